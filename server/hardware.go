package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// onHardware runs fn for a server whose hardware its tenant may work with: active, and nothing else under way.
func (s *Service) onHardware(ctx context.Context, project string, id ID, fn func(ctx context.Context, tx db.Tx, srv *Server) error) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		srv, err := unlocked(ctx, tx, project, id)
		if err != nil {
			return err
		}
		if srv.Deleting || srv.State != Active {
			return fault.Errorf(fault.Conflict, "the server is %s; its hardware can be worked with when it is active and nothing else is under way", srv.State)
		}
		return fn(ctx, tx, srv)
	})
}

// Restart restarts a server, into what r says.
func (s *Service) Restart(ctx context.Context, project string, id ID, r node.Restart) error {
	return s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		if err := s.unrescued(ctx, srv, "reboot"); err != nil {
			return err
		}
		if err := s.nodes.AskRestart(ctx, tx, srv.NodeID, r); err != nil {
			return err
		}
		return note(ctx, tx, id, "reboot")
	})
}

// BootInto names what a server can be restarted into, in the words of ECL2.0.
type BootInto string

// The boot modes of ECL2.0.
const (
	IntoDisk   BootInto = "DISK"
	IntoPXE    BootInto = "PXE"
	IntoISO    BootInto = "ISO"
	IntoLegacy BootInto = "LEGACY" // the disk, with BIOS firmware
)

// RestartInto restarts a server and has it boot from something. DISK and LEGACY hold from then on, PXE and ISO for
// one boot.
func (s *Service) RestartInto(ctx context.Context, project string, id ID, into BootInto, soft bool) error {
	srv, err := s.Get(ctx, project, id)
	if err != nil {
		return err
	}
	n, err := s.nodes.Get(ctx, string(srv.NodeID))
	if err != nil {
		return err
	}
	boots := map[BootInto]bmc.Boot{
		IntoDisk: {Device: bmc.Disk, Persistent: true, Mode: n.BootMode}, IntoPXE: {Device: bmc.PXE, Mode: n.BootMode},
		IntoISO: {Device: bmc.CDROM, Mode: n.BootMode}, IntoLegacy: {Device: bmc.Disk, Persistent: true, Mode: bmc.BIOS},
	}
	b, ok := boots[into]
	if !ok {
		return fault.Field("boot_mode", "must be DISK, PXE, ISO or LEGACY")
	}
	if into == IntoISO {
		all, err := s.Media(ctx, id)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(m Medium) bool { return m.State == mediumIn }) {
			return fault.Errorf(fault.Conflict, "no image is attached to boot from; attach one (media-attach) and wait until it shows in media_attachments")
		}
	}
	return s.Restart(ctx, project, id, node.Restart{Soft: soft, Boot: &b})
}

// RestartBMC restarts the BMC of a server.
func (s *Service) RestartBMC(ctx context.Context, project string, id ID, k bmc.RestartKind) error {
	return s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		return s.nodes.AskBMCRestart(ctx, tx, srv.NodeID, k)
	})
}

// Console makes the tenant a user at the BMC's own console. It waits until that works.
func (s *Service) Console(ctx context.Context, project string, id ID) (node.ConsoleAccess, error) {
	var at node.ID
	err := s.onHardware(ctx, project, id, func(_ context.Context, _ db.Tx, srv *Server) error {
		at = srv.NodeID
		return nil
	})
	if err != nil {
		return node.ConsoleAccess{}, err
	}
	return s.nodes.ConsoleFor(ctx, at)
}

// ConsoleOutput returns the last lines of what a server's console showed while its system ran, as far as it is kept; all of
// it with a negative number.
func (s *Service) ConsoleOutput(ctx context.Context, project string, id ID, lines int) (string, error) {
	srv, err := s.Get(ctx, project, id)
	if err != nil {
		return "", err
	}
	if srv.NodeID == "" {
		return "", fault.Errorf(fault.Conflict, "the server %s is on no node, and has no console", id)
	}
	n, err := s.nodes.Get(ctx, string(srv.NodeID))
	if err != nil {
		return "", err
	}
	text, trouble, err := s.nodes.ConsoleText(ctx, n.ID, string(srv.ID))
	if err != nil {
		return "", err
	}
	if trouble != "" {
		trouble = "its BMC does not give it at present" // how the BMC is reached is the operator's
	}
	if on, why := n.Recorded(); !on {
		trouble = why
	}
	if text == "" && trouble != "" {
		return "", fault.Errorf(fault.Conflict, "the console of the server is not recorded: %s", trouble)
	}
	return lastLines(text, lines), nil
}

// lastLines returns the last n lines of a text, or all of them when n is negative.
func lastLines(text string, n int) string {
	if n < 0 {
		return text
	}
	all := strings.SplitAfter(text, "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return strings.Join(all[max(0, len(all)-n):], "")
}

// The words for the last change of UEFI settings, as ECL2.0 shows them.
const (
	uefiApplying = "PROCESSING"
	uefiDone     = "SUCCESS"
	uefiFailed   = "ERROR"
)

// settingsAge is how old settings may be that a tenant is shown.
const settingsAge = time.Hour

// UEFI returns the settings that a tenant may choose: those with a fixed set of values.
func (s *Service) UEFI(ctx context.Context, project string, id ID) (*Server, []bmc.Setting, error) {
	srv, err := s.Get(ctx, project, id)
	if err != nil {
		return nil, nil, err
	}
	if srv.NodeID == "" || srv.State != Active {
		return nil, nil, fault.Errorf(fault.Conflict, "the server is %s; its UEFI settings can be read when it is active", srv.State)
	}
	t, err := s.nodes.Learn(ctx, srv.NodeID, "settings", settingsAge)
	if err != nil {
		return nil, nil, err
	}
	all, err := node.Known[[]bmc.Setting](t)
	return srv, slices.DeleteFunc(all, func(one bmc.Setting) bool { return one.Type != "enumeration" || one.ReadOnly }), err
}

// SetUEFI asks for settings. They are at the BMC a moment later, and in force after the next boot; how that
// went is shown with the settings.
func (s *Service) SetUEFI(ctx context.Context, project string, id ID, values map[string]string) error {
	if len(values) == 0 {
		return fault.Field("setting", "names no setting")
	}
	_, all, err := s.UEFI(ctx, project, id)
	if err != nil {
		return err
	}
	ask := map[string]any{}
	for name, v := range values {
		at := slices.IndexFunc(all, func(one bmc.Setting) bool { return one.Name == name })
		if at < 0 {
			return fault.Field("setting", "there is no setting %q to choose", name)
		}
		if !slices.Contains(all[at].Allowed, v) {
			return fault.Field("setting", "%s can be one of %v, not %q", name, all[at].Allowed, v)
		}
		ask[name] = v
	}
	return s.onHardware(ctx, project, id, func(ctx context.Context, tx db.Tx, srv *Server) error {
		if _, err := s.nodes.Ask(ctx, tx, srv.NodeID, node.Deed{Do: node.SetSettings, Values: ask}); err != nil {
			return err
		}
		return uefi(ctx, tx, srv, uefiApplying, "")
	})
}

func uefi(ctx context.Context, tx db.Tx, srv *Server, status, message string) error {
	srv.UEFIStatus, srv.UEFIMessage, srv.UEFIAt = status, message, bun.NullTime{Time: db.Now()}
	_, err := tx.NewUpdate().Model(srv).Column("uefi_status", "uefi_message", "uefi_at").WherePK().Exec(ctx)
	return err
}

// Asked hears from a node what became of a deed that was asked for a server.
func (s *Service) Asked(ctx context.Context, tx db.Tx, owner string, _ node.ID, w node.Deed, failure string) error {
	srv, err := get(ctx, tx, "", ID(owner))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	switch w.Do {
	case node.SetSettings:
		if failure != "" {
			return uefi(ctx, tx, srv, uefiFailed, failure)
		}
		return uefi(ctx, tx, srv, uefiDone, "")
	case node.InsertMedia, node.EjectMedia:
		return s.mediumMoved(ctx, tx, srv, w, failure)
	}
	return nil
}
