package server

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Unlimited is a quota that bounds nothing.
const Unlimited = -1

// everyone is the project under which an operator's own defaults are kept.
const everyone = ""

// quotas are what is counted, with Nova's names. How many servers there can be is bounded by the nodes, so nothing
// bounds them until an operator says so. What is not counted here (addresses and security groups, which the network
// service counts) is kept as it was set.
var quotas = []struct {
	resource string
	amount   int
}{
	{"instances", Unlimited}, {"cores", Unlimited}, {"ram", Unlimited}, {"key_pairs", 100}, {"server_groups", 10}, {"server_group_members", 10},
	{"metadata_items", MaxMetadata}, {"injected_files", MaxPersonality}, {"injected_file_content_bytes", MaxPersonalitySize},
	{"injected_file_path_bytes", 255}, {"fixed_ips", Unlimited}, {"floating_ips", Unlimited}, {"security_groups", Unlimited}, {"security_group_rules", Unlimited},
}

// Quota is how much of a resource a project may have and has.
type Quota struct {
	Resource    string
	Limit, Used int
}

type quotaRow struct {
	bun.BaseModel `bun:"table:server_quota"`

	ProjectID, Resource string
	Amount              int
}

// limits returns what holds for a project: what was said for it, what was said for everyone, or what is built in.
func limits(ctx context.Context, q bun.IDB, project string) (map[string]int, error) {
	var rows []quotaRow
	if err := q.NewSelect().Model(&rows).Where("project_id IN (?)", bun.In([]string{everyone, project})).OrderExpr("project_id").Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "reading quotas", err)
	}
	out := map[string]int{}
	for _, k := range quotas {
		out[k.resource] = k.amount
	}
	for _, r := range rows { // those for everyone come first
		out[r.Resource] = r.Amount
	}
	return out, nil
}

// need is how much more of a resource is wanted, and a query for how much there is.
type need struct {
	resource string
	n        int
	have     func(q bun.IDB) *bun.SelectQuery
}

// uses are what is counted of a project: its servers with their flavors' processors and memory, key pairs and groups.
func uses(project string) map[string]func(q bun.IDB) *bun.SelectQuery {
	count := func(model any, number string) func(q bun.IDB) *bun.SelectQuery {
		return func(q bun.IDB) *bun.SelectQuery {
			return q.NewSelect().Model(model).ColumnExpr(number).Where("project_id = ?", project)
		}
	}
	servers := func(number string) func(q bun.IDB) *bun.SelectQuery {
		of := count((*Server)(nil), number)
		return func(q bun.IDB) *bun.SelectQuery { return of(q).Join("JOIN flavor AS f ON f.id = flavor_id") }
	}
	return map[string]func(q bun.IDB) *bun.SelectQuery{
		"instances": count((*Server)(nil), "COUNT(*)"), "cores": servers("CAST(COALESCE(SUM(f.vcpus), 0) AS BIGINT)"), "ram": servers("CAST(COALESCE(SUM(f.ram), 0) AS BIGINT)"),
		"key_pairs": count((*KeyPair)(nil), "COUNT(*)"), "server_groups": count((*Group)(nil), "COUNT(*)"),
	}
}

// spend takes what is needed from a project's quotas, in the caller's transaction, or is Denied. The project's row is
// locked until that ends, so that two transactions never share what is left.
func (s *Service) spend(ctx context.Context, tx db.Tx, project string, needs ...need) error {
	const lock = "INSERT INTO server_tenant (project_id) VALUES (?) ON CONFLICT (project_id) DO UPDATE SET project_id = EXCLUDED.project_id"
	if _, err := tx.NewRaw(lock, project).Exec(ctx); err != nil {
		return fault.E(fault.Internal, "locking the project", err)
	}
	most, err := limits(ctx, tx, project)
	if err != nil {
		return err
	}
	for _, w := range needs {
		if most[w.resource] == Unlimited {
			continue
		}
		have := w.have
		if have == nil {
			have = uses(project)[w.resource]
		}
		used, err := number(ctx, have(tx))
		if err != nil {
			return err
		}
		if used+w.n > most[w.resource] {
			// Nova's words, which clients look for.
			return fault.Errorf(fault.Denied, "Quota exceeded for %s: Requested %d, but already used %d of %d %s", w.resource, w.n, used, most[w.resource], w.resource)
		}
	}
	return nil
}

// within checks a number that is not counted, such as the entries of a server's metadata, against a project's quota.
func (s *Service) within(ctx context.Context, q bun.IDB, project, resource string, n int) error {
	if n == 0 {
		return nil
	}
	most, err := limits(ctx, q, project)
	if err == nil && most[resource] != Unlimited && n > most[resource] {
		err = fault.Errorf(fault.Denied, "Maximum number of %s exceeds %d", resource, most[resource])
	}
	return err
}

// number is what a query for one counts.
func number(ctx context.Context, q *bun.SelectQuery) (n int, err error) {
	return n, fault.Wrap("counting what a project has", q.Scan(ctx, &n))
}

// DefaultQuotas returns what projects have of which nothing else was said.
func (s *Service) DefaultQuotas(ctx context.Context) ([]Quota, error) {
	return s.Quotas(ctx, everyone, false)
}

// Quotas returns the quotas of a project, with what is used when that is asked for.
func (s *Service) Quotas(ctx context.Context, project string, withUsed bool) ([]Quota, error) {
	most, err := limits(ctx, s.db.Read(), project)
	if err != nil {
		return nil, err
	}
	all := uses(project)
	out := make([]Quota, len(quotas))
	for i, k := range quotas {
		out[i] = Quota{Resource: k.resource, Limit: most[k.resource]}
		if have := all[k.resource]; withUsed && have != nil {
			if out[i].Used, err = number(ctx, have(s.db.Read())); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// SetQuotas changes quotas of a project, or what holds for all of which nothing else was said when project is "". Less
// than a project has already is Invalid unless force is set; what it has it keeps.
func (s *Service) SetQuotas(ctx context.Context, project string, amounts map[string]int, force bool) error {
	if len(project) > 64 {
		return fault.Field("tenant_id", "must be a project's id")
	}
	now, err := s.Quotas(ctx, project, true)
	if err != nil {
		return err
	}
	for resource, amount := range amounts {
		i := slices.IndexFunc(now, func(q Quota) bool { return q.Resource == resource })
		switch {
		case i < 0:
			return fault.Field(resource, "there is no quota %q", resource)
		case amount < Unlimited || amount > 1<<31-1:
			return fault.Field(resource, "must be -1 for no limit, or up to %d", 1<<31-1)
		case project != everyone && !force && amount != Unlimited && amount < now[i].Used:
			return fault.Field(resource, "Quota limit %d for %s must be greater than or equal to already used and reserved %d.", amount, resource, now[i].Used)
		}
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for resource, amount := range amounts {
			row := quotaRow{ProjectID: project, Resource: resource, Amount: amount}
			if _, err := tx.NewInsert().Model(&row).On("CONFLICT (project_id, resource) DO UPDATE").Set("amount = EXCLUDED.amount").Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// ResetQuotas gives a project what everyone has.
func (s *Service) ResetQuotas(ctx context.Context, project string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*quotaRow)(nil)).Where("project_id = ? AND project_id <> ''", project).Exec(ctx)
		return err
	})
}
