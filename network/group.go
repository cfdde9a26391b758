package network

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Group is a security group: rules for what may pass at ports. They are kept, and shown; whether anything keeps to them
// depends on the switches.
type Group struct {
	bun.BaseModel `bun:"table:security_group"`
	Record

	Name, Description string
	Stateful, Shared  bool
	Tags              map[string]string
	Labels            Labels

	Rules []Rule `bun:"-"`
}

// membership is a port in a security group.
type membership struct {
	bun.BaseModel `bun:"table:port_security_group"`

	PortID, GroupID string
}

// Default is the name of the security group that every project has.
const Default = "default"

// mostGroups bounds a port's security groups.
const mostGroups = 50

// CreateGroups makes security groups, all or none. Each begins with rules that let everything out.
func (s *Service) CreateGroups(ctx context.Context, gs []Group) ([]Group, error) {
	return gs, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for i := range gs {
			g := &gs[i]
			if err := g.check(); err != nil {
				return err
			}
			if g.Name == Default {
				return reason("SecurityGroupDefaultAlreadyExists", fault.Errorf(fault.Conflict, "every project has its group default already; choose another name"))
			}
			if _, err := s.defaultGroup(ctx, tx, g.ProjectID); err != nil {
				return err
			}
			if err := s.spend(ctx, tx, g.ProjectID, "security_group", 1); err != nil {
				return err
			}
			if err := insertGroup(ctx, tx, g); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g *Group) check() error {
	if err := checkText(g.Name, g.Description); err != nil {
		return err
	}
	return taggedOnce(g.Tags, g.Labels)
}

// insertGroup writes a group with the rules that it begins with: all may leave, and into the default group come its own.
func insertGroup(ctx context.Context, tx db.Tx, g *Group) error {
	g.head().born()
	if _, err := tx.NewInsert().Model(g).Exec(ctx); err != nil {
		return err
	}
	for _, ether := range []string{IPv4, IPv6} {
		out := Rule{Direction: egress, EtherType: ether, PortMin: anyPort, PortMax: anyPort}
		g.Rules = append(g.Rules, out)
		if g.Name == Default {
			in := out
			in.Direction, in.RemoteGroup = Ingress, g.ID
			g.Rules = append(g.Rules, in)
		}
	}
	for i := range g.Rules {
		r := &g.Rules[i]
		r.ProjectID, r.GroupID = g.ProjectID, g.ID
		r.head().born()
	}
	_, err := tx.NewInsert().Model(&g.Rules).Exec(ctx)
	return err
}

// defaultGroup returns the id of a project's default group, which is made when it is first needed.
func (s *Service) defaultGroup(ctx context.Context, tx db.Tx, project string) (string, error) {
	if err := lockProject(ctx, tx, project); err != nil {
		return "", err
	}
	g := Group{Record: Record{ProjectID: project}, Name: Default, Description: "Default security group", Stateful: true}
	var ids []string
	if err := tx.NewSelect().Model((*Group)(nil)).Column("id").Where("project_id = ? AND name = ?", project, Default).Scan(ctx, &ids); err != nil {
		return "", fault.E(fault.Internal, "looking for the default security group", err)
	}
	if len(ids) > 0 {
		return ids[0], nil
	}
	err := insertGroup(ctx, tx, &g)
	return g.ID, err
}

// EnsureDefaultGroup makes a project's default group unless there is one.
func (s *Service) EnsureDefaultGroup(ctx context.Context, project string) error {
	there, err := s.DB.Read().NewSelect().Model((*Group)(nil)).Where("project_id = ? AND name = ?", project, Default).Exists(ctx)
	if err != nil || there {
		return fault.Wrap("looking for the default security group", err)
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := s.defaultGroup(ctx, tx, project)
		return err
	})
}

// Group returns one security group that owner may see, with its rules.
func (s *Service) Group(ctx context.Context, o Owner, id string) (Group, error) {
	g, err := find[Group](ctx, s.DB.Read(), groupNoun, o, id)
	if err != nil {
		return g, err
	}
	gs := []Group{g}
	err = fillGroups(ctx, s.DB.Read(), gs)
	return gs[0], err
}

// Groups returns the security groups that owner may see and w asks for, with their rules.
func (s *Service) Groups(ctx context.Context, o Owner, w Query) ([]Group, error) {
	gs, err := list[Group](ctx, s.DB.Read(), groupNoun, o, w)
	if err != nil {
		return nil, err
	}
	return gs, fillGroups(ctx, s.DB.Read(), gs)
}

func fillGroups(ctx context.Context, q bun.IDB, gs []Group) error {
	at := map[string]*Group{}
	ids := make([]string, len(gs))
	for i := range gs {
		ids[i], at[gs[i].ID] = gs[i].ID, &gs[i]
	}
	return eachPart(ctx, q, ids, "group_id", "created_at, id", func(r Rule) { at[r.GroupID].Rules = append(at[r.GroupID].Rules, r) })
}

// EditGroup lets fn change what may be changed of a security group of the owner.
func (s *Service) EditGroup(ctx context.Context, o Owner, id string, rev int64, fn func(*Group) error) (Group, error) {
	g, err := edit(ctx, s, groupNoun, o, id, rev, func(ctx context.Context, tx db.Tx, g *Group) error {
		was := *g
		if err := fn(g); err != nil {
			return err
		}
		if g.Name != was.Name && (g.Name == Default || was.Name == Default) {
			return reason("SecurityGroupCannotUpdateDefault", fault.Errorf(fault.Conflict, "the name of the default group can not be changed, and no other group can have it"))
		}
		if g.Stateful != was.Stateful {
			if err := notMember(ctx, tx, id); err != nil {
				return err
			}
		}
		return g.check()
	})
	if err != nil {
		return g, err
	}
	gs := []Group{g}
	err = fillGroups(ctx, s.DB.Read(), gs)
	return gs[0], err
}

// notMember is a Conflict when ports are in a group.
func notMember(ctx context.Context, tx db.Tx, group string) error {
	count, err := tx.NewSelect().Model((*membership)(nil)).Where("group_id = ?", group).Count(ctx)
	if err == nil && count > 0 {
		return reason("SecurityGroupInUse", fault.Errorf(fault.Conflict, "%d ports are in the security group %s; take them out first", count, group))
	}
	return err
}

// DeleteGroup forgets a security group of the owner, and the rules of others that name it. Ports in it are a Conflict.
func (s *Service) DeleteGroup(ctx context.Context, o Owner, id string, rev int64) error {
	return remove(ctx, s, groupNoun, o, id, rev, func(ctx context.Context, tx db.Tx, g Group) error {
		if g.Name == Default && o != "" {
			return reason("SecurityGroupCannotRemoveDefault", fault.Errorf(fault.Conflict, "the default group can not be deleted"))
		}
		if err := notMember(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*Rule)(nil)).Where("remote_group = ?", id).Exec(ctx)
		return err
	})
}

// join puts a port into the groups that it names, and into no others.
func (s *Service) join(ctx context.Context, tx db.Tx, o Owner, p *Port) error {
	p.Groups = distinct(p.Groups)
	if p.Groups == nil {
		p.Groups = []string{}
	}
	if len(p.Groups) > mostGroups {
		return fault.Field("security_groups", "at most %d", mostGroups)
	}
	if _, err := tx.NewDelete().Model((*membership)(nil)).Where("port_id = ?", p.ID).Exec(ctx); err != nil {
		return err
	}
	if len(p.Groups) == 0 {
		return nil
	}
	// None of them may be deleted until the port is in it.
	if _, err := tx.NewRaw("UPDATE security_group SET id = id WHERE id IN (?)", bun.In(p.Groups)).Exec(ctx); err != nil {
		return err
	}
	var found []string
	q := groupNoun.visible(tx.NewSelect().Model((*Group)(nil)).Column("id").Where("id IN (?)", bun.In(p.Groups)), o)
	if err := q.Scan(ctx, &found); err != nil {
		return fault.E(fault.Internal, "reading security groups", err)
	}
	var ms []membership
	for _, g := range p.Groups {
		if !slices.Contains(found, g) {
			return reason("SecurityGroupNotFound", fault.Errorf(fault.NotFound, "no security group %s", g))
		}
		ms = append(ms, membership{PortID: p.ID, GroupID: g})
	}
	_, err := tx.NewInsert().Model(&ms).Exec(ctx)
	return err
}
