package node

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// paths reads how to reach a node's BMC from Ironic's driver_info: by the node's driver first, then by every
// other protocol that has an address there. All take the same password; a user of its own is optional.
func (s *Service) paths(n *Node) ([]bmc.Access, error) {
	password, err := s.Box.Open(place(n.ID), n.Password)
	if err != nil {
		return nil, err
	}
	if n.Driver == "fake" {
		return []bmc.Access{{Driver: "fake", Address: string(n.ID)}}, nil
	}
	order := append([]string{n.Driver}, bmc.Protocols...)
	var out []bmc.Access
	for i, name := range order {
		if i > 0 && name == n.Driver {
			continue
		}
		a, err := pathOf(n.DriverInfo, name)
		if err != nil {
			return nil, err
		}
		if a.Address == "" && i == 0 {
			return nil, fault.Field("driver_info", "has no %s_address", n.Driver)
		}
		if a.Address == "" {
			continue
		}
		if a.Username == "" {
			a.Username = n.DriverInfo[n.Driver+"_username"]
		}
		a.Password, a.Pace = string(password), s.Pace
		out = append(out, a)
	}
	return out, nil
}

// usernames are the users that the node's drivers log in with.
func (j *Job) usernames() ([]string, error) {
	paths, err := j.paths(j.Node)
	var out []string
	for _, a := range paths {
		out = append(out, a.Username)
	}
	return out, err
}

// pathOf reads one protocol's part of driver_info.
func pathOf(info map[string]string, name string) (bmc.Access, error) {
	get := func(key string) string { return info[name+"_"+key] }
	a := bmc.Access{Driver: name, Address: get("address"), Username: get("username"), System: get("system_id"), OldTLS: yes(get("old_tls"))}
	if p := get("port"); p != "" && a.Address != "" {
		a.Address += ":" + p
	}
	switch verify := get("verify_ca"); {
	case strings.EqualFold(verify, "false"):
		a.Insecure, a.PinFirst = true, true
	case strings.Contains(verify, "BEGIN CERTIFICATE"):
		a.CA = verify
	case verify != "" && !strings.EqualFold(verify, "true"):
		return a, fault.Field("driver_info", "%s_verify_ca must be true, false or a certificate in PEM", name)
	}
	return a, nil
}

func yes(word string) bool { return strings.EqualFold(word, "true") }

// BMC returns the node's driver, opened at its first use in a turn. What it learns about the device is kept
// with the node when the turn ends.
func (j *Job) BMC(ctx context.Context) (*bmc.Composed, error) {
	if j.driver != nil {
		return j.driver, nil
	}
	paths, err := j.paths(j.Node)
	if err != nil {
		return nil, err
	}
	kept := j.kept(j.Node)
	for _, a := range paths {
		if a.OldTLS {
			j.Log.Warn("old TLS is allowed for a BMC", "audit", true, "node", j.Node.ID, "address", a.Address)
		}
	}
	kept.Memory.SaveBy(j.keepDevice)
	d, done, err := j.pool.Get(ctx, string(j.Node.ID), paths)
	if err != nil {
		return nil, fault.Wrap("reaching the BMC at "+paths[0].Address, err)
	}
	j.driver = d
	j.done = func() {
		done()
		j.overcame(ctx, kept.Journal.Take())
		j.keepDevice(ctx)
	}
	return d, nil
}

// keepDevice records what was learnt about the device.
func (j *Job) keepDevice(ctx context.Context) {
	memory := j.kept(j.Node).Memory
	if !memory.Taken() {
		return
	}
	// Losing it costs a few tries of other forms next time, no more.
	ctx = context.WithoutCancel(ctx)
	if err := j.update(ctx, func(n *Node) { n.Device = memory.Facts() }, "device"); err != nil {
		j.Log.Warn("what was learnt about a BMC could not be kept", "node", j.Node.ID, slog.Any("err", err))
	}
}

// overcame keeps what the drivers overcame in this turn in the node's history.
func (j *Job) overcame(ctx context.Context, notes []string) {
	if len(notes) == 0 {
		return
	}
	if err := j.tell(context.WithoutCancel(ctx), "overcome", strings.Join(notes, "\n")); err != nil {
		j.Log.Warn("what a BMC driver overcame could not be kept", "node", j.Node.ID, "notes", notes, slog.Any("err", err))
	}
}

// recall loads what is known about the node's device as it is recorded: another conductor may have worked on it since this one did.
func (s *Service) recall(n *Node) { s.kept(n).Memory.Load(n.Device) }

// kept returns what outlives the drivers of a node's BMC, filled from the record at first use.
func (s *Service) kept(n *Node) *bmc.Kept {
	return s.pool.Kept(string(n.ID), func(m *bmc.Memory) {
		for name, value := range n.Device {
			m.Set(name, value)
		}
	})
}

// Trust forgets the certificate that the node's BMC was pinned to; the next one that it shows is pinned.
func (s *Service) Trust(ctx context.Context, id ID) error {
	n, err := get(ctx, s.DB.Read(), id)
	if err != nil {
		return err
	}
	kept := s.kept(n)
	wire.Unpin(kept.Memory)
	kept.Rested()
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n.Device = kept.Memory.Facts()
		if _, err := tx.NewUpdate().Model(n).Column("device").WherePK().Exec(ctx); err != nil {
			return err
		}
		return s.note(ctx, tx, id, "bmc", "the next certificate of the BMC is to be trusted")
	})
}

// Offers returns what a survey found that the BMC can do, by protocol.
func (n *Node) Offers() []bmc.PathOffer {
	var out []bmc.PathOffer
	for _, name := range bmc.Protocols {
		for _, c := range bmc.Capabilities {
			if word := n.Device["probed "+name+" "+string(c)]; word != "" {
				verdict, evidence, _ := strings.Cut(word, ": ")
				out = append(out, bmc.PathOffer{Path: name, Offer: bmc.Offer{Capability: c, Works: verdict == "yes", Evidence: evidence}})
			}
		}
	}
	return out
}

// Has reports whether a survey found that the BMC has a capability by any protocol; known is false before one.
func (n *Node) Has(c bmc.Capability) (has, known bool) {
	all := n.Offers()
	return slices.ContainsFunc(all, func(o bmc.PathOffer) bool { return o.Capability == c && o.Works }), len(all) > 0
}
