package network

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Unlimited is a quota that bounds nothing.
const Unlimited = -1

// quotas are what is counted a project, with the defaults of OpenStack. One without a table is kept for what is not
// served: nothing of it is ever used.
var quotas = []struct {
	resource, table string
	amount          int
}{
	{"network", "network", 100}, {"subnet", "subnet", 100}, {"port", "port", 500}, {"subnetpool", "subnet_pool", Unlimited},
	{"security_group", "security_group", 10}, {"security_group_rule", "security_group_rule", 100}, {"rbac_policy", "network_policy", 10},
	{"address_group", "address_group", 10}, {"address_scope", "address_scope", 10}, {"router", "router", 10}, {"floatingip", "floating_ip", 50}, {"trunk", "", Unlimited},
}

// Quota is how much of a resource a project may have and has.
type Quota struct {
	Resource    string
	Limit, Used int
}

type quotaRow struct {
	bun.BaseModel `bun:"table:network_quota"`

	ProjectID, Resource string
	Amount              int
}

// limits returns the quotas of a project that differ from the defaults.
func limits(ctx context.Context, q bun.IDB, project string) (map[string]int, error) {
	var rows []quotaRow
	if err := q.NewSelect().Model(&rows).Where("project_id = ?", project).Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "reading quotas", err)
	}
	out := map[string]int{}
	for _, r := range rows {
		out[r.Resource] = r.Amount
	}
	return out, nil
}

func used(ctx context.Context, q bun.IDB, table, project string) (int, error) {
	n, err := q.NewSelect().Table(table).Where("project_id = ?", project).Count(ctx)
	return int(n), fault.Wrap("counting "+table, err)
}

// spend takes n of a resource from a project's quota, in the caller's transaction, or is a Conflict. The project's row
// is locked until that ends, so that two transactions never share what is left.
func (s *Service) spend(ctx context.Context, tx db.Tx, project, resource string, n int) error {
	if err := lockProject(ctx, tx, project); err != nil {
		return err
	}
	set, err := limits(ctx, tx, project)
	if err != nil {
		return err
	}
	for _, q := range quotas {
		if q.resource != resource {
			continue
		}
		limit, own := set[resource]
		if !own {
			limit = q.amount
		}
		if limit == Unlimited {
			return nil
		}
		have, err := used(ctx, tx, q.table, project)
		if err != nil {
			return err
		}
		if have+n > limit {
			return reason("OverQuota", fault.Errorf(fault.Conflict, "Quota exceeded for resources: ['%s']: the project has %d of %d", resource, have, limit))
		}
	}
	return nil
}

func lockProject(ctx context.Context, tx db.Tx, project string) error {
	_, err := tx.NewRaw("INSERT INTO network_tenant (project_id) VALUES (?) ON CONFLICT (project_id) DO UPDATE SET project_id = EXCLUDED.project_id", project).Exec(ctx)
	return fault.Wrap("locking the project", err)
}

// DefaultQuotas returns what projects have of which nothing else was said.
func (s *Service) DefaultQuotas() []Quota {
	out := make([]Quota, len(quotas))
	for i, q := range quotas {
		out[i] = Quota{Resource: q.resource, Limit: q.amount}
	}
	return out
}

// Quotas returns the quotas of a project, with what is used when that is asked for.
func (s *Service) Quotas(ctx context.Context, project string, withUsed bool) ([]Quota, error) {
	set, err := limits(ctx, s.DB.Read(), project)
	if err != nil {
		return nil, err
	}
	out := s.DefaultQuotas()
	for i := range out {
		if limit, own := set[out[i].Resource]; own {
			out[i].Limit = limit
		}
		if withUsed && quotas[i].table != "" {
			if out[i].Used, err = used(ctx, s.DB.Read(), quotas[i].table, project); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// QuotasSet returns by project the quotas of projects that have others than the defaults.
func (s *Service) QuotasSet(ctx context.Context) (map[string][]Quota, error) {
	var rows []quotaRow
	if err := s.DB.Read().NewSelect().Model(&rows).Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "listing quotas", err)
	}
	out := map[string][]Quota{}
	for _, r := range rows {
		if out[r.ProjectID] == nil {
			out[r.ProjectID] = s.DefaultQuotas()
		}
		for i := range out[r.ProjectID] {
			if out[r.ProjectID][i].Resource == r.Resource {
				out[r.ProjectID][i].Limit = r.Amount
			}
		}
	}
	return out, nil
}

// SetQuotas changes quotas of a project. What it has already it keeps.
func (s *Service) SetQuotas(ctx context.Context, project string, amounts map[string]int) error {
	if project == "" || len(project) > 64 {
		return fault.Field("tenant_id", "must be a project's id")
	}
	for resource, amount := range amounts {
		known := false
		for _, q := range quotas {
			known = known || q.resource == resource
		}
		if !known {
			return fault.Field(resource, "Unrecognized attribute(s) '%s'", resource)
		}
		if amount < Unlimited || amount > 1<<31-1 {
			return fault.Field(resource, "must be -1 for no limit, or up to %d", 1<<31-1)
		}
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		for resource, amount := range amounts {
			row := quotaRow{ProjectID: project, Resource: resource, Amount: amount}
			if _, err := tx.NewInsert().Model(&row).On("CONFLICT (project_id, resource) DO UPDATE").Set("amount = EXCLUDED.amount").Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// ResetQuotas gives a project the defaults again.
func (s *Service) ResetQuotas(ctx context.Context, project string) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*quotaRow)(nil)).Where("project_id = ?", project).Exec(ctx)
		return err
	})
}
