package identity

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// RegisteredLimit is how much of a resource of a service a project may use by default, in a region or ("") in all.
// The records are for services that ask for them; of Hagane's own the image service does.
type RegisteredLimit struct {
	bun.BaseModel `bun:"table:registered_limit,alias:registered_limit"`

	ID, ServiceID, RegionID, ResourceName, Description string
	DefaultLimit                                       int64
}

// Limit replaces a registered limit for one project or domain.
type Limit struct {
	bun.BaseModel `bun:"table:quota_limit,alias:quota_limit"`

	ID, RegisteredID, ProjectID, DomainID, Description string
	ResourceLimit                                      int64

	ServiceID    string `bun:",scanonly"`
	RegionID     string `bun:",scanonly"`
	ResourceName string `bun:",scanonly"`
}

// RegisteredLimits returns registered limits.
func (s *Service) RegisteredLimits(ctx context.Context, q Query) ([]RegisteredLimit, error) {
	var ls []RegisteredLimit
	err := q.conditions(s.db.Read().NewSelect().Model(&ls), "registered_limit").OrderExpr("service_id, resource_name, region_id").Scan(ctx)
	return ls, fault.Wrap("listing registered limits", err)
}

// RegisteredLimit returns one by id.
func (s *Service) RegisteredLimit(ctx context.Context, id string) (RegisteredLimit, error) {
	return one[RegisteredLimit](ctx, s.db.Read(), "registered limit", id)
}

func (s *Service) checkRegistered(ctx context.Context, l RegisteredLimit) error {
	if l.ResourceName == "" || len(l.ResourceName) > 255 {
		return fault.Field("resource_name", "must have 1 to 255 characters")
	}
	if l.DefaultLimit < -1 {
		return fault.Field("default_limit", "must be at least 0, or -1 for no limit")
	}
	if _, err := s.Service(ctx, l.ServiceID); err != nil {
		return fault.Field("service_id", "no service %q", l.ServiceID)
	}
	if l.RegionID != "" {
		if _, err := s.Region(ctx, l.RegionID); err != nil {
			return fault.Field("region_id", "no region %q", l.RegionID)
		}
	}
	return checkExtras(l.Description)
}

// CreateRegisteredLimits makes all of the limits or none.
func (s *Service) CreateRegisteredLimits(ctx context.Context, ls []RegisteredLimit) ([]RegisteredLimit, error) {
	if len(ls) == 0 {
		return nil, fault.Field("registered_limits", "must hold at least one")
	}
	for i := range ls {
		if err := s.checkRegistered(ctx, ls[i]); err != nil {
			return nil, err
		}
		ls[i].ID = secret.Token()
	}
	return ls, s.insert(ctx, &ls, "registered limit")
}

// UpdateRegisteredLimit writes one that the caller has read and changed; one that projects' limits refer to keeps what it is about.
func (s *Service) UpdateRegisteredLimit(ctx context.Context, l RegisteredLimit) error {
	if err := s.checkRegistered(ctx, l); err != nil {
		return err
	}
	if err := s.unused(ctx, l.ID); err != nil {
		return err
	}
	return s.update(ctx, &l, l.ID, "registered limit", "service_id", "region_id", "resource_name", "default_limit", "description")
}

// unused refuses, as Keystone does, to change a registered limit that others refer to.
func (s *Service) unused(ctx context.Context, id string) error {
	n, err := s.db.Read().NewSelect().Model((*Limit)(nil)).Where("registered_id = ?", id).Count(ctx)
	if err == nil && n > 0 {
		return fault.Errorf(fault.Denied, "%d limits of projects or domains refer to the registered limit; delete them first", n)
	}
	return fault.Wrap("counting limits", err)
}

// DeleteRegisteredLimit forgets one that no limit refers to.
func (s *Service) DeleteRegisteredLimit(ctx context.Context, id string) error {
	if err := s.unused(ctx, id); err != nil {
		return err
	}
	return s.delete(ctx, (*RegisteredLimit)(nil), "registered limit", id)
}

func selectLimits(q bun.IDB, dst any) *bun.SelectQuery {
	return q.NewSelect().Model(dst).ColumnExpr("?TableColumns").ColumnExpr("r.service_id AS service_id, r.region_id AS region_id, r.resource_name AS resource_name").
		Join("JOIN registered_limit AS r ON r.id = quota_limit.registered_id")
}

// LimitQuery selects limits; empty fields do not.
type LimitQuery struct{ Service, Region, Resource, Project, Domain string }

// Limits returns the limits of projects and domains.
func (s *Service) Limits(ctx context.Context, l LimitQuery) ([]Limit, error) {
	var ls []Limit
	q := selectLimits(s.db.Read(), &ls).OrderExpr("quota_limit.project_id, quota_limit.domain_id, r.resource_name")
	for column, value := range map[string]string{"r.service_id": l.Service, "r.region_id": l.Region, "r.resource_name": l.Resource,
		"quota_limit.project_id": l.Project, "quota_limit.domain_id": l.Domain} {
		if value != "" {
			q = q.Where("? = ?", bun.Ident(column), value)
		}
	}
	return ls, fault.Wrap("listing limits", q.Scan(ctx))
}

// Limit returns a limit by id.
func (s *Service) Limit(ctx context.Context, id string) (Limit, error) {
	var l Limit
	err := selectLimits(s.db.Read(), &l).Where("quota_limit.id = ?", id).Scan(ctx)
	return l, missing(err, "limit", id)
}

// CreateLimits makes all of the limits or none; for each a registered limit of the service, region and resource must be there.
func (s *Service) CreateLimits(ctx context.Context, ls []Limit) ([]Limit, error) {
	if len(ls) == 0 {
		return nil, fault.Field("limits", "must hold at least one")
	}
	for i := range ls {
		l := &ls[i]
		if (l.ProjectID == "") == (l.DomainID == "") {
			return nil, fault.Field("project_id", "a limit is for either a project or a domain")
		}
		if p, err := s.Project(ctx, l.ProjectID+l.DomainID); err != nil || p.IsDomain != (l.DomainID != "") {
			return nil, fault.Field("project_id", "no such project or domain %q", l.ProjectID+l.DomainID)
		}
		if err := checkLimit(*l); err != nil {
			return nil, err
		}
		rs, err := s.RegisteredLimits(ctx, Query{}.And("service_id", l.ServiceID).And("region_id", l.RegionID).And("resource_name", l.ResourceName))
		if err != nil {
			return nil, err
		}
		if len(rs) == 0 {
			return nil, fault.Errorf(fault.Denied, "there is no registered limit of %q for the service %q in the region %q; make it first", l.ResourceName, l.ServiceID, l.RegionID)
		}
		l.ID, l.RegisteredID = secret.Token(), rs[0].ID
	}
	return ls, s.insert(ctx, &ls, "limit")
}

func checkLimit(l Limit) error {
	if l.ResourceLimit < -1 {
		return fault.Field("resource_limit", "must be at least 0, or -1 for no limit")
	}
	return checkExtras(l.Description)
}

// UpdateLimit writes a limit that the caller has read and changed.
func (s *Service) UpdateLimit(ctx context.Context, l Limit) error {
	if err := checkLimit(l); err != nil {
		return err
	}
	return s.update(ctx, &l, l.ID, "limit", "resource_limit", "description")
}

// DeleteLimit forgets a limit.
func (s *Service) DeleteLimit(ctx context.Context, id string) error {
	return s.delete(ctx, (*Limit)(nil), "limit", id)
}

// PolicyBlob is a document that some service keeps here; the cloud makes nothing of it.
type PolicyBlob struct {
	bun.BaseModel `bun:"table:policy_blob,alias:policy_blob"`

	ID, Type, Blob string
	Extra          Extra
}

// Policies returns policy documents.
func (s *Service) Policies(ctx context.Context, q Query) ([]PolicyBlob, error) {
	var ps []PolicyBlob
	return ps, fault.Wrap("listing policies", q.conditions(s.db.Read().NewSelect().Model(&ps), "policy_blob").Order("id").Scan(ctx))
}

// PolicyBlob returns one by id.
func (s *Service) PolicyBlob(ctx context.Context, id string) (PolicyBlob, error) {
	return one[PolicyBlob](ctx, s.db.Read(), "policy", id)
}

func checkPolicy(p PolicyBlob) error {
	if p.Type == "" || len(p.Type) > 255 {
		return fault.Field("type", "must have 1 to 255 characters")
	}
	if p.Blob == "" || len(p.Blob) > mostBlob {
		return fault.Field("blob", "must have 1 to %d bytes", mostBlob)
	}
	return checkExtras("", p.Extra)
}

// CreatePolicy keeps a policy document.
func (s *Service) CreatePolicy(ctx context.Context, p PolicyBlob) (PolicyBlob, error) {
	p.ID = secret.Token()
	if err := checkPolicy(p); err != nil {
		return p, err
	}
	return p, s.insert(ctx, &p, "policy")
}

// UpdatePolicy writes a policy document that the caller has read and changed.
func (s *Service) UpdatePolicy(ctx context.Context, p PolicyBlob) error {
	if err := checkPolicy(p); err != nil {
		return err
	}
	return s.update(ctx, &p, p.ID, "policy", "type", "blob", "extra")
}

// DeletePolicy forgets a policy document.
func (s *Service) DeletePolicy(ctx context.Context, id string) error {
	return s.delete(ctx, (*PolicyBlob)(nil), "policy", id)
}
