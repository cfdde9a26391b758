package network

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// everyone is the target of a policy that shares with all projects.
const everyone = "*"

// asShared is the one action of policies: the target may use the thing but not change it.
const asShared = "access_as_shared"

// Policy shares a thing with another project, or with all.
type Policy struct {
	bun.BaseModel `bun:"table:network_policy"`
	Record

	ObjectType, ObjectID string
	Action               string
	Target               string // a project, or * for all
}

// shareable are the nouns that policies share.
var shareable = []*noun{networkNoun, poolNoun, scopeNoun, groupNoun, addressGroupNoun}

func shareableNoun(name string) (*noun, error) {
	for _, n := range shareable {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fault.Field("object_type", "%q can not be shared by a policy", name)
}

// CreatePolicies shares things of the owner, all or none.
func (s *Service) CreatePolicies(ctx context.Context, o Owner, ps []Policy) ([]Policy, error) {
	return ps, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for i := range ps {
			p := &ps[i]
			n, err := shareableNoun(p.ObjectType)
			if err != nil {
				return err
			}
			if p.Action != asShared {
				return fault.Field("action", "must be %s; nothing else is served", asShared)
			}
			if err := checkTarget(o, p.Target); err != nil {
				return err
			}
			if err := ownObject(ctx, tx, n, o, p.ObjectID); err != nil {
				return err
			}
			if err := s.spend(ctx, tx, p.ProjectID, "rbac_policy", 1); err != nil {
				return err
			}
			p.head().born()
			if err := insertPolicy(ctx, tx, n, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkTarget(o Owner, target string) error {
	if target == "" || len(target) > 255 {
		return fault.Field("target_tenant", "must be a project's id, or * for all")
	}
	if target == everyone && o != "" {
		return fault.Errorf(fault.Denied, "only an operator may share with all projects")
	}
	return nil
}

func ownObject(ctx context.Context, tx db.Tx, n *noun, o Owner, id string) error {
	q := tx.NewSelect().Table(n.table).Where("id = ?", id)
	if o != "" {
		q = q.Where("project_id = ?", o)
	}
	found, err := q.Exists(ctx)
	if err == nil && !found {
		return reason("RbacPolicyObjectNotFound", fault.Errorf(fault.NotFound, "no %s %s of the project", n.name, id))
	}
	return err
}

func insertPolicy(ctx context.Context, tx db.Tx, n *noun, p *Policy) error {
	taken, err := tx.NewSelect().Model((*Policy)(nil)).Where("object_type = ? AND object_id = ? AND action = ? AND target = ?", n.name, p.ObjectID, p.Action, p.Target).Exists(ctx)
	if err != nil {
		return err
	}
	if taken {
		return reason("DuplicatePolicy", fault.Errorf(fault.Conflict, "the %s is shared with %s already", n.name, p.Target))
	}
	if _, err := tx.NewInsert().Model(p).Exec(ctx); err != nil {
		return err
	}
	return markShared(ctx, tx, n, p.ObjectID)
}

// markShared makes the column shared of a thing say what its policies do.
func markShared(ctx context.Context, tx db.Tx, n *noun, id string) error {
	_, err := tx.NewRaw("UPDATE ? SET shared = EXISTS (SELECT 1 FROM network_policy WHERE object_type = ? AND object_id = ? AND target = ?) WHERE id = ?",
		bun.Ident(n.table), n.name, id, everyone, id).Exec(ctx)
	return fault.Wrap("marking "+n.name+" "+id+" as shared", err)
}

// share makes a policy for a thing of a project.
func share(ctx context.Context, tx db.Tx, n *noun, project, id, target string) error {
	p := Policy{Record: Record{ProjectID: project}, ObjectType: n.name, ObjectID: id, Action: asShared, Target: target}
	p.head().born()
	return insertPolicy(ctx, tx, n, &p)
}

// insert writes a new thing, and the policy that shares it with all when it is shared.
func insert[T any, P thing[T]](ctx context.Context, tx db.Tx, n *noun, v P, shared bool) error {
	if _, err := tx.NewInsert().Model(v).Exec(ctx); err != nil || !shared {
		return err
	}
	h := v.head()
	return share(ctx, tx, n, *h.project, *h.id, everyone)
}

// unshare forgets the policies of a thing.
func unshare(ctx context.Context, tx db.Tx, n *noun, id string) error {
	_, err := tx.NewDelete().Model((*Policy)(nil)).Where("object_type = ? AND object_id = ?", n.name, id).Exec(ctx)
	return fault.Wrap("forgetting the policies of "+n.name+" "+id, err)
}

// setShared shares a thing with all projects, or no longer.
func (s *Service) setShared(ctx context.Context, tx db.Tx, n *noun, project, id string, shared bool) error {
	if shared {
		return share(ctx, tx, n, project, id, everyone)
	}
	if _, err := tx.NewDelete().Model((*Policy)(nil)).Where("object_type = ? AND object_id = ? AND target = ?", n.name, id, everyone).Exec(ctx); err != nil {
		return err
	}
	return notUsed(ctx, tx, n, id)
}

// notUsed refuses to leave ports of others on a network that they could not see any more.
func notUsed(ctx context.Context, tx db.Tx, n *noun, id string) error {
	if err := markShared(ctx, tx, n, id); err != nil || n != networkNoun {
		return err
	}
	count, err := tx.NewSelect().Model((*Port)(nil)).Where("network_id = ?", id).
		Where("NOT EXISTS (SELECT 1 FROM network WHERE network.id = port.network_id AND (network.project_id = port.project_id OR network.shared))").
		Where("NOT EXISTS (SELECT 1 FROM network_policy p WHERE p.object_type = 'network' AND p.object_id = port.network_id AND p.target = port.project_id)").Count(ctx)
	if err == nil && count > 0 {
		return reason("RbacPolicyInUse", fault.Errorf(fault.Conflict, "%d ports of projects that the network is shared with are on it; delete them first", count))
	}
	return err
}

// Policy returns one policy of the owner.
func (s *Service) Policy(ctx context.Context, o Owner, id string) (Policy, error) {
	return find[Policy](ctx, s.DB.Read(), policyNoun, o, id)
}

// Policies returns the policies of the owner that w asks for.
func (s *Service) Policies(ctx context.Context, o Owner, w Query) ([]Policy, error) {
	return list[Policy](ctx, s.DB.Read(), policyNoun, o, w)
}

// RetargetPolicy gives a policy another target.
func (s *Service) RetargetPolicy(ctx context.Context, o Owner, id, target string) (Policy, error) {
	if err := checkTarget(o, target); err != nil {
		return Policy{}, err
	}
	return edit(ctx, s, policyNoun, o, id, 0, func(ctx context.Context, tx db.Tx, p *Policy) error {
		n, err := shareableNoun(p.ObjectType)
		if err != nil || p.Target == target {
			return err
		}
		if _, err := tx.NewDelete().Model((*Policy)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		p.Target = target
		if err := insertPolicy(ctx, tx, n, p); err != nil {
			return err
		}
		return notUsed(ctx, tx, n, p.ObjectID)
	})
}

// DeletePolicy ends a sharing. Ports of the target on the network are a Conflict.
func (s *Service) DeletePolicy(ctx context.Context, o Owner, id string) error {
	return remove(ctx, s, policyNoun, o, id, 0, func(ctx context.Context, tx db.Tx, p Policy) error {
		n, err := shareableNoun(p.ObjectType)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*Policy)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
			return err
		}
		return notUsed(ctx, tx, n, p.ObjectID)
	})
}
