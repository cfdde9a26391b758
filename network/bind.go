package network

import (
	"context"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// serverOwner marks ports that a bare-metal server uses.
const serverOwner = "baremetal:server"

// Bind gives a port to a server's NIC with the given MAC, in the caller's transaction, and returns it with its network.
func (s *Service) Bind(ctx context.Context, tx db.Tx, o Owner, id, server, mac string) (Port, Network, error) {
	var n Network
	p, err := findPort(ctx, tx, o, id)
	if err != nil {
		return p, n, err
	}
	if p.DeviceID != "" && p.DeviceID != server {
		return p, n, fault.Errorf(fault.Conflict, "the port %s is in use by %s", id, p.DeviceID)
	}
	if err := tx.NewSelect().Model(&n).Where("id = ?", p.NetworkID).Scan(ctx); err != nil {
		return p, n, fault.E(fault.Internal, "reading the port's network", err)
	}
	p.DeviceID, p.DeviceOwner, p.MAC, p.UpdatedAt = server, serverOwner, mac, db.Now()
	p.Revision++
	_, err = tx.NewUpdate().Model(&p).Column("device_id", "device_owner", "mac", "revision", "updated_at").Where("id = ?", id).Exec(ctx)
	if db.Duplicate(err) {
		return p, n, macInUse(mac)
	}
	if err != nil {
		return p, n, err
	}
	return p, n, readdress(ctx, tx, &p)
}

// PortTx returns a port, whosever it is, in the caller's transaction.
func (s *Service) PortTx(ctx context.Context, tx db.Tx, id string) (Port, error) {
	return findPort(ctx, tx, "", id)
}

// Unbind frees the ports of a server, in the caller's transaction: those that were made for it go away.
func (s *Service) Unbind(ctx context.Context, tx db.Tx, server string) error {
	if _, err := dropMade(ctx, tx, server, "TRUE"); err != nil {
		return err
	}
	if err := s.Loosen(ctx, tx, server); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Model((*Port)(nil)).Set("device_id = ''").Set("device_owner = ''").Where("device_id = ?", server).Exec(ctx)
	return err
}

// Release frees one port of a server, in the caller's transaction: it goes away if it was made for the server.
func (s *Service) Release(ctx context.Context, tx db.Tx, server, id string) error {
	if n, err := dropMade(ctx, tx, server, "id = ?", id); err != nil || n > 0 {
		return err
	}
	if err := s.loosen(ctx, tx, Query{Where: map[string][]string{"device_id": {server}, "id": {id}}}); err != nil {
		return err
	}
	_, err := tx.NewUpdate().Model((*Port)(nil)).Set("device_id = ''").Set("device_owner = ''").Set("revision = revision + 1").Set("updated_at = ?", db.Now()).
		Where("id = ? AND device_id = ?", id, server).Exec(ctx)
	return err
}

// dropMade deletes ports that were made for a server, and returns how many. Their floating addresses lead nowhere after that.
func dropMade(ctx context.Context, tx db.Tx, server, which string, args ...any) (int, error) {
	var gone []string
	if err := tx.NewRaw("DELETE FROM port WHERE device_id = ? AND made_by = ? AND "+which+" RETURNING id", append([]any{server, server}, args...)...).Scan(ctx, &gone); err != nil {
		return 0, fault.E(fault.Internal, "deleting the server's ports", err)
	}
	for _, id := range gone {
		if err := loseFloating(ctx, tx, &Port{ID: id}); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}

// Loosen takes a server's ports off the NICs that they were bound to, in the caller's transaction: the NICs' MACs
// go with the NICs.
func (s *Service) Loosen(ctx context.Context, tx db.Tx, server string) error {
	return s.loosen(ctx, tx, one("device_id", server))
}

func (s *Service) loosen(ctx context.Context, tx db.Tx, which Query) error {
	ports, err := list[Port](ctx, tx, portNoun, "", which)
	if err != nil {
		return err
	}
	if err := fillPorts(ctx, tx, ports); err != nil {
		return err
	}
	for i := range ports {
		p := &ports[i]
		p.MAC = randomMAC()
		if _, err := tx.NewUpdate().Model(p).Column("mac").Where("id = ?", p.ID).Exec(ctx); err != nil {
			return fault.E(fault.Internal, "loosening the port "+p.ID, err)
		}
		if err := readdress(ctx, tx, p); err != nil {
			return err
		}
	}
	return nil
}

// OfServer reports whether a bare-metal server uses the port.
func (p Port) OfServer() bool { return p.DeviceOwner == serverOwner }
