package server

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Bootstrap makes the first flavor when there is none.
func (s *Service) Bootstrap(ctx context.Context) error {
	n, err := s.db.Read().NewSelect().Model((*Flavor)(nil)).Count(ctx)
	if err != nil || n > 0 {
		return fault.Wrap("counting flavors", err)
	}
	_, err = s.CreateFlavor(ctx, Flavor{Name: "General Purpose 1", ResourceClass: defaultClass, VCPUs: 1, RAM: 1024, Disk: 4})
	return err
}

// defaultClass is the resource class of nodes of which nothing else was said.
const defaultClass = "baremetal"

// flavorID is what may be an id that an operator chooses.
var flavorID = regexp.MustCompile(`^[a-zA-Z0-9._-]([a-zA-Z0-9. _-]{0,253}[a-zA-Z0-9._-])?$`)

// CreateFlavor makes a flavor known. Its name must be new, and its id where it has one. Without a resource class it is
// for the nodes of the class "baremetal".
func (s *Service) CreateFlavor(ctx context.Context, f Flavor) (Flavor, error) {
	switch {
	case f.Name == "" || len(f.Name) > 255:
		return f, fault.Field("name", "must have 1 to 255 characters")
	case len(f.Description) > 65535:
		return f, fault.Field("description", "must have at most 65535 bytes")
	case f.VCPUs < 0 || f.RAM < 0 || f.Disk < 0:
		return f, fault.Field("flavor", "vcpus, ram and disk must be 0 or more")
	}
	if f.ResourceClass == "" {
		f.ResourceClass = defaultClass
	}
	if f.ID == "" {
		f.ID = uuid.NewString()
	} else if !flavorID.MatchString(f.ID) {
		return f, fault.Field("id", "must have 1 to 255 letters, digits, dots, hyphens, underscores and inner spaces")
	}
	if f.Specs == nil {
		f.Specs = map[string]string{}
	}
	f.CreatedAt = db.Now()
	return f, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&f).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "a flavor named %q or with the id %q exists already", f.Name, f.ID)
		}
		return err
	})
}

// FlavorQuery says which flavors are wanted.
type FlavorQuery struct {
	Project         string // who asks: others' private flavors are not for it; "" may see all
	Private         *bool  // nil is both
	MinDisk, MinRAM int64
	Sort            string // name, or one of flavorKeys; "" is by age
	Down            bool
	After           string // the id of the last one of the page before
	Limit           int    // 0 is no limit
}

// flavorKeys are what flavors can be sorted by, with Nova's names.
var flavorKeys = map[string]string{"": "created_at", "flavorid": "id", "id": "id", "name": "name", "memory_mb": "ram", "ram": "ram", "vcpus": "vcpus",
	"root_gb": "disk", "disk": "disk", "created_at": "created_at"}

// seen restricts a query to the flavors that a project may use.
func seen(q *bun.SelectQuery, project string) *bun.SelectQuery {
	if project == "" {
		return q
	}
	return q.Where("(NOT private OR id IN (SELECT flavor_id FROM flavor_access WHERE project_id = ?))", project)
}

// Flavors returns the flavors that a query selects.
func (s *Service) Flavors(ctx context.Context, w FlavorQuery) ([]Flavor, error) {
	fs := []Flavor{}
	column, ok := flavorKeys[w.Sort]
	if !ok {
		return nil, fault.Field("sort_key", "flavors can not be sorted by %q", w.Sort)
	}
	q := db.Page(seen(s.db.Read().NewSelect().Model(&fs), w.Project), "flavor", []db.Order{{By: column, Descending: w.Down}}, w.After, w.Limit)
	if w.Private != nil {
		q = q.Where("private = ?", *w.Private)
	}
	q = q.Where("disk >= ? AND ram >= ?", w.MinDisk, w.MinRAM)
	if w.After != "" {
		if _, err := s.Flavor(ctx, w.Project, w.After); err != nil {
			return nil, fault.Field("marker", "no flavor %q", w.After)
		}
	}
	return fs, fault.Wrap("listing flavors", q.Scan(ctx))
}

// FlavorsOf returns flavors by their ids.
func (s *Service) FlavorsOf(ctx context.Context, ids []string) (map[string]Flavor, error) {
	var fs []Flavor
	out := map[string]Flavor{}
	if len(ids) == 0 {
		return out, nil
	}
	if err := s.db.Read().NewSelect().Model(&fs).Where("id IN (?)", bun.In(ids)).Scan(ctx); err != nil {
		return nil, fault.E(fault.Internal, "reading flavors", err)
	}
	for _, f := range fs {
		out[f.ID] = f
	}
	return out, nil
}

// Flavor returns one flavor that a project may use; "" may use all.
func (s *Service) Flavor(ctx context.Context, project, id string) (Flavor, error) {
	return flavor(ctx, s.db.Read(), project, id)
}

func flavor(ctx context.Context, q bun.IDB, project, id string) (Flavor, error) {
	var f Flavor
	err := seen(q.NewSelect().Model(&f).Where("id = ?", id), project).Scan(ctx)
	if db.None(err) {
		return f, fault.Errorf(fault.NotFound, "no flavor %q", id)
	}
	return f, fault.Wrap("reading flavor "+id, err)
}

// EditFlavor lets fn change a flavor's description or extra specs.
func (s *Service) EditFlavor(ctx context.Context, id string, fn func(f *Flavor) error) (Flavor, error) {
	var f Flavor
	return f, s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.NewRaw("UPDATE flavor SET id = id WHERE id = ?", id).Exec(ctx); err != nil { // others wait
			return err
		}
		var err error
		if f, err = flavor(ctx, tx, "", id); err != nil {
			return err
		}
		was := maps.Clone(f.Specs)
		if err := fn(&f); err != nil {
			return err
		}
		if len(f.Description) > 65535 {
			return fault.Field("description", "must have at most 65535 bytes")
		}
		if err := f.understand(was); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&f).Column("description", "specs", "resource_class", "traits").Where("id = ?", id).Exec(ctx)
		return err
	})
}

// Bounds of extra specs.
const mostSpecs = 128

var specName = regexp.MustCompile(`^[a-zA-Z0-9 ._:-]{1,255}$`)

// How Nova's flavors choose bare-metal nodes. Source: Ironic's guide, "Create flavors for use with the Bare Metal service".
const (
	classSpec = "resources:CUSTOM_"
	traitSpec = "trait:"
)

// understand checks changed extra specs, and takes from them which nodes fit: the resource class of "resources:CUSTOM_X",
// in small letters, and the traits of "trait:X".
func (f *Flavor) understand(was map[string]string) error {
	if len(f.Specs) > mostSpecs {
		return fault.Field("extra_specs", "at most %d", mostSpecs)
	}
	class, traits := "", []string{}
	for name, v := range f.Specs {
		if !specName.MatchString(name) || len(v) > 255 {
			return fault.Field("extra_specs", "%q: names have 1 to 255 letters, digits, spaces and . _ : -, values at most 255 bytes", name)
		}
		if c, ok := strings.CutPrefix(name, classSpec); ok && v != "0" {
			if v != "1" || class != "" {
				return fault.Field("extra_specs", "a server is one node: one %s* with the value 1", classSpec)
			}
			class = strings.ToLower(c)
		}
		if t, ok := strings.CutPrefix(name, traitSpec); ok {
			if v != "required" {
				return fault.Field("extra_specs", "%s: only the value required is kept to", name)
			}
			traits = append(traits, t)
		}
	}
	if speaks(f.Specs, classSpec) || speaks(was, classSpec) {
		f.ResourceClass = class
		if class == "" {
			f.ResourceClass = defaultClass
		}
	}
	if speaks(f.Specs, traitSpec) || speaks(was, traitSpec) {
		slices.Sort(traits)
		f.Traits = traits
	}
	return nil
}

func speaks(specs map[string]string, of string) bool {
	for name := range specs {
		if strings.HasPrefix(name, of) {
			return true
		}
	}
	return false
}

// DeleteFlavor forgets a flavor that no server has.
func (s *Service) DeleteFlavor(ctx context.Context, id string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := flavor(ctx, tx, "", id); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*Server)(nil)).Where("flavor_id = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.Errorf(fault.Conflict, "the flavor is that of %d servers; delete those first", n)
		}
		_, err = tx.NewDelete().Model((*Flavor)(nil)).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// Access lets a project use a private flavor.
type Access struct {
	bun.BaseModel `bun:"table:flavor_access"`

	FlavorID, ProjectID string
}

// Accesses returns which projects may use a private flavor; of a public one it is NotFound.
func (s *Service) Accesses(ctx context.Context, id string) ([]Access, error) {
	f, err := s.Flavor(ctx, "", id)
	if err != nil {
		return nil, err
	}
	if !f.Private {
		return nil, fault.Errorf(fault.NotFound, "the flavor is public: every project may use it")
	}
	all := []Access{}
	return all, fault.Wrap("listing who may use a flavor", s.db.Read().NewSelect().Model(&all).Where("flavor_id = ?", id).OrderExpr("project_id").Scan(ctx))
}

// Allow lets a project use a private flavor, or no longer.
func (s *Service) Allow(ctx context.Context, id, project string, may bool) error {
	if project == "" || len(project) > 64 {
		return fault.Field("tenant", "must be a project's id")
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		f, err := flavor(ctx, tx, "", id)
		if err != nil {
			return err
		}
		if !f.Private {
			return fault.Errorf(fault.Conflict, "the flavor is public: every project may use it")
		}
		if may {
			_, err := tx.NewInsert().Model(&Access{FlavorID: id, ProjectID: project}).Exec(ctx)
			if db.Duplicate(err) {
				return fault.Errorf(fault.Conflict, "the project %s may use the flavor already", project)
			}
			return err
		}
		res, err := tx.NewDelete().Model((*Access)(nil)).Where("flavor_id = ? AND project_id = ?", id, project).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return fault.Errorf(fault.NotFound, "the project %s was not let use the flavor", project)
		}
		return nil
	})
}
