package node

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// maxConsole is how many bytes of a console are kept, the newest.
const maxConsole = 64 << 10

// Recording is what a node's console showed while a server's system ran, or at other times.
type Recording struct {
	bun.BaseModel `bun:"table:node_console"`

	NodeID  ID     `bun:",pk"`
	Owner   string `bun:",pk"` // the server whose system wrote it; "" for what was written while no tenant's system ran
	Text    []byte // sealed: people type passwords at consoles
	Trouble string // why nothing is recorded, with the owner ""; "" while it is
	At      time.Time
}

// Recorded reports whether a node's console is to be recorded, and why it is not: it is when an operator said so, otherwise while
// the node is lent, unless its BMC is known to have none to record.
func (n *Node) Recorded() (bool, string) {
	has, known := n.Has(bmc.CanConsole)
	switch {
	case known && !has:
		return false, "its BMC offers no serial console by any protocol that it is reached by (serial over LAN is IPMI's: set ipmi_address)"
	case n.Console == "false":
		return false, "an operator has switched the recording off"
	case n.Console == "" && n.Owner == "":
		return false, "nobody has switched the recording on, and the node is not lent"
	}
	return true, ""
}

// SetConsole switches the recording of a node's console on or off.
func (s *Service) SetConsole(ctx context.Context, id ID, on bool) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		n.Console = map[bool]string{true: "true", false: "false"}[on]
		if ok, why := n.Recorded(); on && !ok {
			return fault.Errorf(fault.Conflict, "the console of the node can not be recorded: %s", why)
		}
		_, err = tx.NewUpdate().Model(n).Column("console").WherePK().Exec(ctx)
		return err
	})
}

// lentFor is how long a recording gives way to somebody who was given the BMC's own console: many BMCs have room for one.
const lentFor = 15 * time.Minute

// lendConsole has the recording give way.
func (s *Service) lendConsole(ctx context.Context, id ID) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Node)(nil)).Set("console_lent = ?", db.Now().Add(lentFor)).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// ConsoleText returns what a console showed, as far as it is kept: while the system of owner ran or, with "", while no tenant's did. When nothing is
// recorded at present, trouble says why.
func (s *Service) ConsoleText(ctx context.Context, id ID, owner string) (text, trouble string, err error) {
	var all []Recording
	err = s.DB.Read().NewSelect().Model(&all).Where("node_id = ?", id).Where("owner IN (?)", bun.In([]string{"", owner})).Scan(ctx)
	for _, r := range all {
		if r.Owner == "" {
			trouble = r.Trouble
		}
		if r.Owner == owner && len(r.Text) > 0 {
			raw, err := s.Box.Open(consoleTextPlace(id, owner), r.Text)
			if err != nil {
				return "", "", err
			}
			text = printable(raw)
		}
	}
	return text, trouble, fault.Wrap("reading a recorded console", err)
}

// printable leaves out what a terminal would obey rather than show.
func printable(raw []byte) string {
	return strings.Map(func(r rune) rune {
		if (r < ' ' && r != '\n' && r != '\t') || (r >= 0x7f && r < 0xa0) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(raw), "\ufffd"))
}

func consoleTextPlace(id ID, owner string) string { return "node/" + string(id) + "/console/" + owner }

// keepConsole appends to what is kept of a console. Whose it is is told by what the node is doing now: what the
// firmware and the agent write while a node is prepared is no tenant's.
func (s *Service) keepConsole(ctx context.Context, id ID, more []byte) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		r := &Recording{NodeID: id, At: db.Now()}
		if r.Owner, err = s.writer(ctx, tx, n); err != nil {
			return err
		}
		var before []byte
		err = tx.NewSelect().Model(r).Column("text").WherePK().Scan(ctx)
		if err == nil && len(r.Text) > 0 {
			before, err = s.Box.Open(consoleTextPlace(id, r.Owner), r.Text)
		}
		if err != nil && !db.None(err) {
			return err
		}
		all := append(before, more...)
		all = all[max(0, len(all)-maxConsole):]
		r.Text = s.Box.Seal(consoleTextPlace(id, r.Owner), all)
		_, err = tx.NewInsert().Model(r).On("CONFLICT (node_id, owner) DO UPDATE").Set("text = EXCLUDED.text").Set("at = EXCLUDED.at").Exec(ctx)
		return err
	})
}

// writer is the server whose system writes to the node's console now; "" when it is none's.
func (s *Service) writer(ctx context.Context, tx db.Tx, n *Node) (string, error) {
	switch n.State {
	case Active, Rescue, Servicing:
		return n.Owner, nil
	case Deploying, Rebuilding, Unrescuing:
		run, err := s.Engine.Run(ctx, tx, n.RunID)
		if err == nil && run.Step == deploy.Steps[len(deploy.Steps)-1].Name {
			return n.Owner, nil
		}
		return "", err
	}
	return "", nil
}

// consoleTrouble keeps why nothing is recorded, or with nil that it is.
func (s *Service) consoleTrouble(ctx context.Context, id ID, trouble error) error {
	r := &Recording{NodeID: id, At: db.Now()}
	if trouble != nil {
		r.Trouble = fault.Message(trouble)
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(r).On("CONFLICT (node_id, owner) DO UPDATE").Set("trouble = EXCLUDED.trouble").Set("at = EXCLUDED.at").
			Where("recording.trouble <> EXCLUDED.trouble").Exec(ctx)
		return err
	})
}

// forgetConsole drops what the system of a node's owner wrote.
func forgetConsole(ctx context.Context, tx db.Tx, n *Node) error {
	_, err := tx.NewDelete().Model((*Recording)(nil)).Where("node_id = ? AND owner = ? AND owner <> ''", n.ID, n.Owner).Exec(ctx)
	return err
}

// toRecord returns the nodes whose consoles are to be recorded.
func (s *Service) toRecord(ctx context.Context) ([]ID, error) {
	var all []Node
	err := s.DB.Read().NewSelect().Model(&all).Column("id", "owner", "console", "device").Where("state <> ?", Enroll).Where("console <> 'false'").
		Where("console = 'true' OR owner <> ''").Where("console_lent IS NULL OR console_lent < ?", db.Now()).OrderExpr("id").Scan(ctx)
	var ids []ID
	for _, n := range all {
		if ok, _ := n.Recorded(); ok {
			ids = append(ids, n.ID)
		}
	}
	return ids, fault.Wrap("finding the consoles to record", err)
}

// errGiveWay ends a recording that is not wanted any more, or gives way to somebody.
var errGiveWay = errors.New("the console is somebody else's for a while")

// stillRecorded returns errGiveWay when a node's console is not to be recorded any more.
func (s *Service) stillRecorded(ctx context.Context, id ID) error {
	n, err := get(ctx, s.DB.Read(), id)
	if err != nil {
		return err
	}
	if ok, _ := n.Recorded(); !ok || n.ConsoleLent.After(db.Now()) || n.State == Enroll {
		return errGiveWay
	}
	return nil
}

// Record keeps consoles recorded until ctx ends. Conductors call it; holder is who asks for leases.
func (s *Service) Record(ctx context.Context, holder workflow.Holder) error {
	r := &recorder{Service: s, holder: holder, running: map[ID]bool{}}
	return r.run(ctx)
}
