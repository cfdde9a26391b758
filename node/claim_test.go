package node_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

const mac = "02:00:00:00:00:01"

// wanting makes a node whose run wants the agent.
func (w *world) wanting(t *testing.T) node.Node {
	t.Helper()
	n, err := w.Create(t.Context(), node.Node{Name: "n1", Driver: "fake"}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreatePort(t.Context(), node.Port{NodeID: n.ID, MAC: mac, PXE: true}); err != nil {
		t.Fatal(err)
	}
	err = w.DB.Tx(t.Context(), func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&node.Agent{NodeID: n.ID, RunID: "run", Wanted: true}).Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestClaim lets an agent claim its run, and refuses everyone who comes after or with something else.
func TestClaim(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		n := w.wanting(t)
		first, err := w.BootFor(t.Context(), mac)
		if err != nil || first.Secret == "" {
			t.Fatalf("no secret for a wanted agent: %v", err)
		}
		second, err := w.BootFor(t.Context(), strings.ToUpper(mac)) // the machine was reset and asks again
		if err != nil || second.Secret == first.Secret {
			t.Fatalf("the second boot got the first one's secret (%v)", err)
		}
		claim := func(secret, nonce, mac string) (protocol.Claimed, error) {
			return w.Claim(t.Context(), protocol.Claim{Secret: secret, Nonce: nonce, MACs: []string{mac}})
		}
		refused := func(what string, err error, kind fault.Kind) {
			t.Helper()
			if !fault.Is(err, kind) {
				t.Errorf("%s: %v, want a fault of kind %q", what, err, kind)
			}
		}
		_, err = claim(first.Secret, "x", mac)
		refused("a secret of an earlier boot", err, fault.Unauthentic)
		_, err = claim("nonsense", "x", mac)
		refused("nonsense", err, fault.Unauthentic)
		_, err = claim(second.Secret, "x", "02:00:00:00:00:99")
		refused("a foreign machine", err, fault.Unauthentic)
		got, err := claim(second.Secret, "x", mac)
		if err != nil || got.Node != string(n.ID) || got.Token == "" {
			t.Fatalf("the claim got %+v, %v", got, err)
		}
		again, err := claim(second.Secret, "x", mac)
		if err != nil || again.Token != got.Token {
			t.Errorf("the same agent asking again got %+v, %v; want the same token", again, err)
		}
		_, err = claim(second.Secret, "y", mac)
		refused("a second claim", err, fault.Conflict)
		if _, err := w.Beat(t.Context(), got.Token, protocol.Beat{}); err != nil {
			t.Errorf("the agent's token does not work: %v", err)
		}
		_, err = w.Beat(t.Context(), "nonsense", protocol.Beat{})
		refused("a heartbeat with nonsense", err, fault.Unauthentic)
		events, err := w.Events(t.Context(), n.ID, 10)
		kept := 0
		for _, e := range events {
			if e.Kind == "claim refused" {
				kept++
			}
		}
		if err != nil || kept != 2 {
			t.Errorf("%d refused claims are recorded (%v), want the foreign and the second", kept, err)
		}
	})
}

// TestNoSecretUnlessWanted boots a machine whose run does not want the agent: it goes on to its disk.
func TestNoSecretUnlessWanted(t *testing.T) {
	w := newWorld(t, dbtest.SQLite(t))
	n, err := w.Create(t.Context(), node.Node{Name: "n1", Driver: "fake"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreatePort(t.Context(), node.Port{NodeID: n.ID, MAC: mac, PXE: true}); err != nil {
		t.Fatal(err)
	}
	b, err := w.BootFor(t.Context(), mac)
	if err != nil || b.Secret != "" {
		t.Errorf("got %+v, %v; want no secret", b, err)
	}
	if known, err := w.Known(t.Context(), "02:00:00:00:00:99"); err != nil || known {
		t.Errorf("an unknown MAC is known: %v, %v", known, err)
	}
}
