package server

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
)

// Status is what a server and its node are together.
type Status string

// The statuses, with Nova's names.
const (
	StatusBuild   Status = "BUILD"
	StatusActive  Status = "ACTIVE"
	StatusShutoff Status = "SHUTOFF"
	StatusReboot  Status = "REBOOT"
	StatusRebuild Status = "REBUILD"
	StatusRescue  Status = "RESCUE"
	StatusError   Status = "ERROR"
)

// Query selects servers; zero fields do not.
type Query struct {
	Project  string              // whose; "" is all
	Where    map[string][]string // by one of the names of columns: which values it may have
	Name     string              // a part of the name, in any case; with ^ before it and $ behind it, its beginning and end
	Statuses []Status            // any of these
	States   []State             // any of these; nil is any, and an empty list none
	Address  string              // a part of an address
	Locked   *bool
	Since    time.Time // changed then or later
	Before   time.Time // changed then or earlier
	Deleted  bool      // servers that are gone, of which there are none

	Tags, AnyTag, NotTags, NotAnyTag []string

	Sort  []Order // by the names of sortKeys
	After ID      // the last one of the page before
	Limit int     // 0 is no limit
}

// Order is what to sort by, one of sortKeys.
type Order = db.Order

// columns are what a list can be filtered by, with Nova's names.
var columns = map[string]string{"uuid": "id", "user_id": "user_id", "project_id": "project_id", "tenant_id": "project_id", "flavor": "flavor_id", "image": "image_id",
	"key_name": "key_name", "availability_zone": "zone", "reservation_id": "reservation", "description": "description", "hostname": "hostname", "host": "node_id",
	"node": "node_id", "server_group": "group_id"}

// sortKeys are what a list can be sorted by, with Nova's names.
var sortKeys = map[string]string{"created_at": "created_at", "updated_at": "updated_at", "display_name": "name", "name": "name", "uuid": "id", "id": "id",
	"project_id": "project_id", "user_id": "user_id", "vm_state": "state", "status": "state", "image_ref": "image_id", "instance_type_id": "flavor_id",
	"key_name": "key_name", "host": "node_id", "node": "node_id", "availability_zone": "zone", "display_description": "description", "hostname": "hostname",
	"launch_index": "launch_index"}

// List returns the servers that a query selects, the newest first unless it says otherwise.
func (s *Service) List(ctx context.Context, w Query) ([]Server, error) {
	all := []Server{}
	if w.Deleted || (w.States != nil && len(w.States) == 0) {
		return all, nil
	}
	q := s.db.Read().NewSelect().Model(&all)
	if w.Project != "" {
		q = q.Where("project_id = ?", w.Project)
	}
	for name, values := range w.Where {
		if columns[name] == "" {
			return nil, fault.Field(name, "servers can not be filtered by %q", name)
		}
		q = q.Where("? IN (?)", bun.Ident(columns[name]), bun.In(values))
	}
	if w.Name != "" {
		q = q.Where(`LOWER(name) LIKE ? ESCAPE '\'`, pattern(w.Name))
	}
	if w.States != nil {
		q = q.Where("state IN (?)", bun.In(w.States))
	}
	if w.Locked != nil {
		q = q.Where(map[bool]string{true: "locked_by <> ''", false: "locked_by = ''"}[*w.Locked])
	}
	if !w.Since.IsZero() {
		q = q.Where("updated_at >= ?", w.Since)
	}
	if !w.Before.IsZero() {
		q = q.Where("updated_at <= ?", w.Before)
	}
	q = network.Labelled(s.inStatus(q, w.Statuses), network.Query{Tags: w.Tags, AnyTag: w.AnyTag, NotTags: w.NotTags, NotAnyTag: w.NotAnyTag})
	q, err := s.at(ctx, q, w)
	if err != nil {
		return nil, err
	}
	if q, err = s.page(ctx, q, w); err != nil {
		return nil, err
	}
	return all, fault.Wrap("listing servers", q.Scan(ctx))
}

// page sorts, and begins behind the last one of the page before.
func (s *Service) page(ctx context.Context, q *bun.SelectQuery, w Query) (*bun.SelectQuery, error) {
	orders := []db.Order{}
	for _, o := range w.Sort {
		if sortKeys[o.By] == "" {
			return nil, fault.Field("sort_key", "servers can not be sorted by %q", o.By)
		}
		orders = append(orders, db.Order{By: sortKeys[o.By], Descending: o.Descending})
	}
	if len(orders) == 0 {
		orders = []db.Order{{By: "created_at", Descending: true}}
	}
	if w.After != "" {
		if _, err := s.Get(ctx, w.Project, w.After); err != nil {
			return nil, fault.Field("marker", "no server %q", w.After)
		}
	}
	return db.Page(q, "server", orders, string(w.After), w.Limit), nil
}

// at selects the servers with an address. The addresses are the network service's to know.
func (s *Service) at(ctx context.Context, q *bun.SelectQuery, w Query) (*bun.SelectQuery, error) {
	if w.Address == "" {
		return q, nil
	}
	ports, err := s.networks.ListPorts(ctx, network.Owner(w.Project), network.Query{Where: map[string][]string{"fixed_ips.ip_address_substr": {w.Address}}})
	if err != nil {
		return nil, err
	}
	ids := []string{""}
	for _, p := range ports {
		ids = append(ids, p.DeviceID)
	}
	return q.Where("id IN (?)", bun.In(ids)), nil
}

// inStatus selects by status: a server's state and, where it is active, its node's state and power.
func (s *Service) inStatus(q *bun.SelectQuery, statuses []Status) *bun.SelectQuery {
	if len(statuses) == 0 {
		return q
	}
	states := map[Status]State{StatusBuild: Building, StatusRebuild: Rebuilding}
	astray := s.nodes.Astray()
	return q.WhereGroup(" AND ", func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("1 = 0")
		for _, st := range statuses {
			switch st {
			case StatusActive:
				q = q.WhereOr("state = ? AND node_id NOT IN (?) AND node_id NOT IN (?) AND node_id NOT IN (?) AND node_id NOT IN (?)", Active,
					s.nodes.In(node.Rescue, node.Unrescuing), astray, s.nodes.WithPower(bmc.Off), s.nodes.Restarting())
			case StatusRescue:
				q = q.WhereOr("state = ? AND node_id IN (?) AND node_id NOT IN (?)", Active, s.nodes.In(node.Rescue, node.Unrescuing), astray)
			case StatusShutoff:
				q = q.WhereOr("state = ? AND node_id IN (?) AND node_id NOT IN (?) AND node_id NOT IN (?)", Active,
					s.nodes.WithPower(bmc.Off), s.nodes.In(node.Rescue, node.Rescuing, node.Unrescuing), s.nodes.Restarting())
			case StatusReboot:
				q = q.WhereOr("state = ? AND node_id IN (?)", Active, s.nodes.Restarting())
			case StatusError:
				q = q.WhereOr("state = ? OR (state = ? AND node_id IN (?))", Failed, Active, astray)
			default:
				q = q.WhereOr("state = ?", states[st])
			}
		}
		return q
	})
}

// pattern makes one for LIKE of a name, with Nova's marks of beginning and end.
func pattern(name string) string {
	before, after := "%", "%"
	if rest, ok := strings.CutPrefix(name, "^"); ok {
		name, before = rest, ""
	}
	if rest, ok := strings.CutSuffix(name, "$"); ok {
		name, after = rest, ""
	}
	return before + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(name)) + after
}
