package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// Region is a part of the cloud, perhaps of another region.
type Region struct {
	bun.BaseModel `bun:"table:region,alias:region"`

	ID, ParentID, Description string
	Extra                     Extra
}

// CatalogService is a service in the catalog.
type CatalogService struct {
	bun.BaseModel `bun:"table:catalog_service,alias:catalog_service"`

	ID, Type, Name, Description string
	Enabled                     bool
	Extra                       Extra
	Own                         bool `bun:"-"` // the cloud's own
}

// Endpoint is where a service is reached. The URL may hold %(project_id)s or $(project_id)s, or the older tenant_id; that of an own one begins
// with a slash: the host is the one by which the client reached us.
type Endpoint struct {
	bun.BaseModel `bun:"table:catalog_endpoint,alias:catalog_endpoint"`

	ID, ServiceID, RegionID, Interface, URL string
	Enabled                                 bool
	Extra                                   Extra
	Own                                     bool `bun:"-"`
}

// Catalog is services with their endpoints, and the regions of these.
type Catalog struct {
	Region    Region
	Services  []CatalogService
	Endpoints []Endpoint
}

// addedCatalog is what the operator has added to the catalog.
type addedCatalog struct {
	services  []CatalogService
	endpoints []Endpoint
}

// Offer says what the cloud itself offers. It is called once, before the first request.
func (s *Service) Offer(c Catalog) { s.own = c }

func (s *Service) loadAdded(ctx context.Context) (addedCatalog, error) {
	var a addedCatalog
	if err := s.db.Read().NewSelect().Model(&a.services).OrderExpr("type, name, id").Scan(ctx); err != nil {
		return a, fault.E(fault.Unavailable, "reading the catalog", err)
	}
	if err := s.db.Read().NewSelect().Model(&a.endpoints).OrderExpr("service_id, interface, region_id, id").Scan(ctx); err != nil {
		return a, fault.E(fault.Unavailable, "reading the catalog", err)
	}
	return a, nil
}

// Services returns all services: the cloud's own, and those that the operator has added.
func (s *Service) Services(ctx context.Context) ([]CatalogService, error) {
	a, err := s.added.get(ctx, s.loadAdded)
	return slices.Concat(s.own.Services, a.services), err
}

// Endpoints returns all endpoints.
func (s *Service) Endpoints(ctx context.Context) ([]Endpoint, error) {
	a, err := s.added.get(ctx, s.loadAdded)
	return slices.Concat(s.own.Endpoints, a.endpoints), err
}

// CatalogFor returns the enabled services and endpoints that a project's tokens show. Of the endpoints that the operator has added, a
// project that endpoints were chosen for shows only these; the cloud's own are always there.
func (s *Service) CatalogFor(ctx context.Context, project string) ([]CatalogService, []Endpoint, error) {
	a, err := s.added.get(ctx, s.loadAdded)
	if err != nil || len(a.endpoints) == 0 {
		return s.own.Services, s.own.Endpoints, err
	}
	chosen, err := s.EndpointsOf(ctx, project)
	if err != nil {
		return nil, nil, err
	}
	chosen = slices.DeleteFunc(chosen, func(e Endpoint) bool { return e.Own })
	added := a.endpoints
	if len(chosen) > 0 {
		added = chosen
	}
	services := slices.DeleteFunc(slices.Concat(s.own.Services, a.services), func(v CatalogService) bool { return !v.Enabled })
	endpoints := slices.DeleteFunc(slices.Concat(s.own.Endpoints, added), func(e Endpoint) bool { return !e.Enabled })
	return services, endpoints, nil
}

// Service returns a service by id.
func (s *Service) Service(ctx context.Context, id string) (CatalogService, error) {
	all, err := s.Services(ctx)
	return pick(all, err, "service", id, func(v CatalogService) string { return v.ID })
}

// Endpoint returns an endpoint by id.
func (s *Service) Endpoint(ctx context.Context, id string) (Endpoint, error) {
	all, err := s.Endpoints(ctx)
	return pick(all, err, "endpoint", id, func(v Endpoint) string { return v.ID })
}

func pick[T any](all []T, err error, what, id string, idOf func(T) string) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	if i := slices.IndexFunc(all, func(v T) bool { return idOf(v) == id }); i >= 0 {
		return all[i], nil
	}
	return none, fault.Errorf(fault.NotFound, "no %s %q", what, id)
}

// errOwn refuses changes of the cloud's own part of the catalog.
var errOwn = fault.Errorf(fault.Denied, "this is the cloud's own and tells where it really is: it can not be changed or deleted")

func checkService(v CatalogService) error {
	if v.Type == "" || len(v.Type) > 255 || len(v.Name) > 255 {
		return fault.Field("type", "must have 1 to 255 characters, and so the name")
	}
	return checkExtras(v.Description, v.Extra)
}

// CreateService adds a service to the catalog.
func (s *Service) CreateService(ctx context.Context, v CatalogService) (CatalogService, error) {
	if err := checkService(v); err != nil {
		return v, err
	}
	v.ID = secret.Token()
	return v, s.insert(ctx, &v, "service")
}

// UpdateService writes a service that the caller has read and changed.
func (s *Service) UpdateService(ctx context.Context, v CatalogService) error {
	if v.Own {
		return errOwn
	}
	if err := checkService(v); err != nil {
		return err
	}
	return s.update(ctx, &v, v.ID, "service", "type", "name", "description", "enabled", "extra")
}

// DeleteService forgets a service with its endpoints and limits.
func (s *Service) DeleteService(ctx context.Context, id string) error {
	if v, err := s.Service(ctx, id); err != nil || v.Own {
		return orOwn(err)
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		for _, sql := range []string{
			"DELETE FROM endpoint_project WHERE endpoint_id IN (SELECT id FROM catalog_endpoint WHERE service_id = ?)", "DELETE FROM catalog_endpoint WHERE service_id = ?",
			"DELETE FROM quota_limit WHERE registered_id IN (SELECT id FROM registered_limit WHERE service_id = ?)", "DELETE FROM registered_limit WHERE service_id = ?",
		} {
			if _, err := tx.NewRaw(sql, id).Exec(ctx); err != nil {
				return err
			}
		}
		return remove(ctx, tx, (*CatalogService)(nil), "service", id)
	})
}

func orOwn(err error) error {
	if err != nil {
		return err
	}
	return errOwn
}

func (s *Service) checkEndpoint(ctx context.Context, e Endpoint) error {
	if !slices.Contains([]string{"public", "internal", "admin"}, e.Interface) {
		return fault.Field("interface", "must be public, internal or admin")
	}
	if !strings.Contains(e.URL, "://") || len(e.URL) > 2048 {
		return fault.Field("url", "must be a URL such as https://host/path")
	}
	if e.RegionID != "" {
		if _, err := s.Region(ctx, e.RegionID); err != nil {
			return fault.Field("region_id", "no region %q", e.RegionID)
		}
	}
	v, err := s.Service(ctx, e.ServiceID)
	if err != nil {
		return fault.Field("service_id", "no service %q", e.ServiceID)
	}
	if v.Own && (e.RegionID == "" || e.RegionID == s.own.Region.ID) {
		return fault.Errorf(fault.Denied, "the service %s is the cloud's own and has its endpoint in this region; name another region", v.Type)
	}
	return checkExtras("", e.Extra)
}

// CreateEndpoint adds an endpoint to the catalog.
func (s *Service) CreateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error) {
	if err := s.checkEndpoint(ctx, e); err != nil {
		return e, err
	}
	e.ID = secret.Token()
	return e, s.insert(ctx, &e, "endpoint")
}

// UpdateEndpoint writes an endpoint that the caller has read and changed.
func (s *Service) UpdateEndpoint(ctx context.Context, e Endpoint) error {
	if e.Own {
		return errOwn
	}
	if err := s.checkEndpoint(ctx, e); err != nil {
		return err
	}
	return s.update(ctx, &e, e.ID, "endpoint", "service_id", "region_id", "interface", "url", "enabled", "extra")
}

// DeleteEndpoint forgets an endpoint.
func (s *Service) DeleteEndpoint(ctx context.Context, id string) error {
	if e, err := s.Endpoint(ctx, id); err != nil || e.Own {
		return orOwn(err)
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.NewDelete().Model((*chosenEndpoint)(nil)).Where("endpoint_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		return remove(ctx, tx, (*Endpoint)(nil), "endpoint", id)
	})
}

// Regions returns all regions, or those of a parent.
func (s *Service) Regions(ctx context.Context, parent string) ([]Region, error) {
	var rs []Region
	if err := s.db.Read().NewSelect().Model(&rs).Order("id").Scan(ctx); err != nil {
		return nil, fault.Wrap("listing regions", err)
	}
	if s.own.Region.ID != "" {
		rs = slices.Insert(rs, 0, s.own.Region)
	}
	if parent != "" {
		rs = slices.DeleteFunc(rs, func(r Region) bool { return r.ParentID != parent })
	}
	return rs, nil
}

// Region returns a region by id.
func (s *Service) Region(ctx context.Context, id string) (Region, error) {
	all, err := s.Regions(ctx, "")
	return pick(all, err, "region", id, func(r Region) string { return r.ID })
}

func (s *Service) checkRegion(ctx context.Context, r Region) error {
	if r.ID == "" || len(r.ID) > 255 {
		return fault.Field("id", "must have 1 to 255 characters")
	}
	for up := r.ParentID; up != ""; {
		if up == r.ID {
			return fault.Field("parent_region_id", "the region would be its own parent")
		}
		parent, err := s.Region(ctx, up)
		if err != nil {
			return fault.Field("parent_region_id", "no region %q", up)
		}
		up = parent.ParentID
	}
	return checkExtras(r.Description, r.Extra)
}

// CreateRegion adds a region; without an id it gets one.
func (s *Service) CreateRegion(ctx context.Context, r Region) (Region, error) {
	if r.ID == "" {
		r.ID = secret.Token()
	}
	if err := s.checkRegion(ctx, r); err != nil {
		return r, err
	}
	if r.ID == s.own.Region.ID {
		return r, fault.Errorf(fault.Conflict, "the region %s exists already", r.ID)
	}
	return r, s.insert(ctx, &r, "region "+r.ID)
}

// UpdateRegion writes a region that the caller has read and changed.
func (s *Service) UpdateRegion(ctx context.Context, r Region) error {
	if r.ID == s.own.Region.ID {
		return errOwn
	}
	if err := s.checkRegion(ctx, r); err != nil {
		return err
	}
	return s.update(ctx, &r, r.ID, "region", "parent_id", "description", "extra")
}

// DeleteRegion forgets a region; one that has endpoints, limits or regions below it is a Conflict.
func (s *Service) DeleteRegion(ctx context.Context, id string) error {
	if id == s.own.Region.ID {
		return errOwn
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		var n int
		if err := tx.NewRaw("SELECT (SELECT count(*) FROM catalog_endpoint WHERE region_id = ?) + (SELECT count(*) FROM region WHERE parent_id = ?) + (SELECT count(*) FROM registered_limit WHERE region_id = ?)", id, id, id).Scan(ctx, &n); err != nil {
			return err
		}
		if n > 0 {
			return fault.Errorf(fault.Conflict, "the region %s has endpoints, limits or regions below it; delete them first", id)
		}
		return remove(ctx, tx, (*Region)(nil), "region", id)
	})
}
