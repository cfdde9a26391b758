package node

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/fault"
)

// The kinds of template.
const (
	DeployTemplate = "deploy"  // steps for deployments of nodes with the trait of its name; they are kept, and no deployment takes them
	Runbook        = "runbook" // steps to clean or service nodes with the trait of its name by
)

// TemplateStep is a step of a template, as Ironic names them.
type TemplateStep struct {
	Interface string                     `json:"interface"`
	Step      string                     `json:"step"`
	Args      map[string]json.RawMessage `json:"args"`
	Priority  *int                       `json:"priority,omitempty"` // of deploy templates
	Order     *int                       `json:"order,omitempty"`    // of runbooks
}

// Template is a named list of steps.
type Template struct {
	bun.BaseModel `bun:"table:template"`

	ID             string                     `bun:",pk" json:"uuid"`
	Kind           string                     `json:"-"`
	Name           string                     `json:"name"`
	Steps          []TemplateStep             `json:"steps"`
	Extra          map[string]json.RawMessage `json:"extra"`
	Description    string                     `json:"description"`
	Project        string                     `json:"owner"` // of a runbook; "" is everybody's
	Public         bool                       `json:"public"`
	DisableRamdisk bool                       `json:"disable_ramdisk"`
	CreatedAt      time.Time                  `json:"-"`
	UpdatedAt      time.Time                  `json:"-"`
}

func (t *Template) identity() (*string, string) {
	return &t.ID, map[string]string{DeployTemplate: "deploy template", Runbook: "runbook", "": "template"}[t.Kind]
}

func (t *Template) stamp(created bool) { stamp(&t.CreatedAt, &t.UpdatedAt, created) }

var traitForm = regexp.MustCompile(`^(CUSTOM|HW|COMPUTE)_[A-Z0-9_]+$`)

// stepInterfaces are the parts of a node that have steps.
var stepInterfaces = []string{"bios", "deploy", "firmware", "management", "power", "raid", "vendor"}

func (t *Template) check(context.Context, *Service) error {
	if !traitForm.MatchString(t.Name) || len(t.Name) > 255 {
		return fault.Field("name", "%q must be a trait, such as CUSTOM_HYPERTHREADING_ON", t.Name)
	}
	if len(t.Steps) == 0 || len(t.Steps) > 100 {
		return fault.Field("steps", "must be 1 to 100 steps")
	}
	for _, s := range t.Steps {
		if !slices.Contains(stepInterfaces, s.Interface) {
			return fault.Field("steps", "the interface %q is not possible; possible: %s", s.Interface, strings.Join(stepInterfaces, ", "))
		}
		if s.Step == "" || len(s.Step) > 255 {
			return fault.Field("steps", "each needs the name of a step")
		}
		if t.Kind == DeployTemplate && (s.Priority == nil || *s.Priority < 0) {
			return fault.Field("steps", "each needs a priority of 0 or more")
		}
		if t.Kind == Runbook && (s.Order == nil || *s.Order < 0) {
			return fault.Field("steps", "each needs an order of 0 or more")
		}
	}
	return nil
}

// CreateTemplate writes a template down.
func (s *Service) CreateTemplate(ctx context.Context, t Template) (Template, error) {
	return create[Template](ctx, s, t)
}

// Template returns a template of a kind by its id or name.
func (s *Service) Template(ctx context.Context, kind, ref string) (Template, error) {
	t, err := read[Template](ctx, s, ref, "name")
	if err == nil && t.Kind != kind {
		return t, fault.Errorf(fault.NotFound, "there is no %s template %q", kind, ref)
	}
	return t, err
}

// Templates returns a page of the templates of a kind.
func (s *Service) Templates(ctx context.Context, kind string, p Page) ([]Template, error) {
	return list[Template](ctx, s, p, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("kind = ?", kind) })
}

// UpdateTemplate writes a template that the caller has read and changed.
func (s *Service) UpdateTemplate(ctx context.Context, t Template) (Template, error) {
	return save[Template](ctx, s, t)
}

// DeleteTemplate forgets a template.
func (s *Service) DeleteTemplate(ctx context.Context, kind, ref string) error {
	t, err := s.Template(ctx, kind, ref)
	if err != nil {
		return err
	}
	return remove[Template](ctx, s, t.ID)
}
