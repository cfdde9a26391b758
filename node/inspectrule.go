package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node/rule"
	"github.com/hagane-cloud/hagane/workflow"
)

// InspectionRule says what is to be changed about nodes when they have been inspected. What it says is kept sealed, as it may hold
// passwords.
type InspectionRule struct {
	bun.BaseModel `bun:"table:inspection_rule"`

	ID          string           `bun:",pk" json:"uuid"`
	Description string           `json:"description"`
	Conditions  []rule.Condition `bun:"-" json:"conditions"`
	Actions     []rule.Action    `bun:"-" json:"actions"`
	Body        []byte           `json:"-"` // conditions and actions, sealed
	Phase       string           `json:"phase"`
	Priority    int64            `json:"priority"`  // rules with higher ones are applied first
	Sensitive   bool             `json:"sensitive"` // its conditions and actions are shown to nobody, and it logs nothing
	CreatedAt   time.Time        `json:"-"`
	UpdatedAt   time.Time        `json:"-"`
}

// MainPhase is when rules are applied: when the inventory has been taken.
const MainPhase = "main"

func (r *InspectionRule) identity() (*string, string) { return &r.ID, "inspection rule" }

func (r *InspectionRule) stamp(created bool) { stamp(&r.CreatedAt, &r.UpdatedAt, created) }

func (r *InspectionRule) rule() rule.Rule {
	return rule.Rule{Conditions: r.Conditions, Actions: r.Actions}
}

func (r *InspectionRule) check(_ context.Context, s *Service) error {
	const most = 255
	r.Phase = cmp.Or(r.Phase, MainPhase)
	switch {
	case r.Phase != MainPhase:
		return fault.Field("phase", "%.40q is not possible; possible: %s", r.Phase, MainPhase)
	case len(r.Description) > most:
		return fault.Field("description", "must have at most %d bytes", most)
	case r.Priority < 0 || r.Priority > 9999:
		return fault.Field("priority", "must be 0 to 9999")
	}
	if err := r.rule().Check(); err != nil {
		return err
	}
	body, err := json.Marshal(r.rule())
	if err != nil {
		return err
	}
	r.Body = s.Box.Seal("inspection rule/"+r.ID, body)
	return nil
}

// open unseals what a rule says.
func (s *Service) open(r *InspectionRule) error {
	raw, err := s.Box.Open("inspection rule/"+r.ID, r.Body)
	if err != nil {
		return err
	}
	var said rule.Rule
	if err := json.Unmarshal(raw, &said); err != nil {
		return fault.E(fault.Internal, "reading an inspection rule", err)
	}
	r.Conditions, r.Actions = said.Conditions, said.Actions
	return nil
}

// CreateInspectionRule writes a rule down.
func (s *Service) CreateInspectionRule(ctx context.Context, r InspectionRule) (InspectionRule, error) {
	r.ID = strings.ToLower(cmp.Or(r.ID, uuid.NewString()))
	return create[InspectionRule](ctx, s, r)
}

// InspectionRule returns a rule.
func (s *Service) InspectionRule(ctx context.Context, id string) (InspectionRule, error) {
	r, err := read[InspectionRule](ctx, s, id)
	if err == nil {
		err = s.open(&r)
	}
	return r, err
}

// InspectionRules returns a page of the rules; phase "" is any.
func (s *Service) InspectionRules(ctx context.Context, phase string, p Page) ([]InspectionRule, error) {
	rules, err := list[InspectionRule](ctx, s, p, func(q *bun.SelectQuery) *bun.SelectQuery {
		if phase != "" {
			q = q.Where("phase = ?", phase)
		}
		return q
	})
	for i := range rules {
		if err == nil {
			err = s.open(&rules[i])
		}
	}
	return rules, err
}

// UpdateInspectionRule writes a rule that the caller has read and changed.
func (s *Service) UpdateInspectionRule(ctx context.Context, r InspectionRule) (InspectionRule, error) {
	return save[InspectionRule](ctx, s, r)
}

// DeleteInspectionRule forgets a rule.
func (s *Service) DeleteInspectionRule(ctx context.Context, id string) error {
	return remove[InspectionRule](ctx, s, id)
}

// DeleteInspectionRules forgets all rules.
func (s *Service) DeleteInspectionRules(ctx context.Context) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewDelete().Model((*InspectionRule)(nil)).Where("id <> ''").Exec(ctx)
		return err
	})
}

// applyRules applies the inspection rules to a node whose inventory was taken, those with the highest priority first. It is the
// last step, as they may change how the BMC is reached.
func applyRules(ctx context.Context, j *Job) error {
	rules, err := j.InspectionRules(ctx, MainPhase, Page{})
	if err != nil || len(rules) == 0 {
		return err
	}
	slices.SortStableFunc(rules, func(a, b InspectionRule) int { return cmp.Compare(b.Priority, a.Priority) })
	n, err := get(ctx, j.DB.Read(), j.Node.ID)
	if err != nil {
		return err
	}
	w, err := j.world(n)
	if err != nil {
		return err
	}
	before, err := j.world(n)
	if err != nil {
		return err
	}
	var applied []string
	for i := range rules {
		w.Log = j.ruleLog(ctx, &rules[i])
		held, err := rules[i].rule().Apply(w)
		if err != nil {
			return workflow.GiveUp(fault.Wrap("the inspection rule "+rules[i].ID, err))
		}
		if held {
			applied = append(applied, rules[i].ID)
		}
	}
	if err := j.keepRuled(ctx, n, before, w); err != nil {
		if fault.Is(err, fault.Conflict) || fault.Is(err, fault.Unavailable) {
			return err
		}
		return workflow.GiveUp(fault.Wrap("what the inspection rules want", err))
	}
	return j.tell(ctx, "inspection rules", fmt.Sprintf("%d of %d applied: %s", len(applied), len(rules), strings.Join(applied, ", ")))
}

// ruleLog writes what a rule logs; nothing of a sensitive one.
func (j *Job) ruleLog(ctx context.Context, r *InspectionRule) func(level, text string) {
	return func(level, text string) {
		var l slog.Level
		if err := l.UnmarshalText([]byte(cmp.Or(level, "info"))); err != nil {
			l = slog.LevelInfo
		}
		if !r.Sensitive {
			j.Log.Log(ctx, l, text, "node", j.Node.ID, "inspection rule", r.ID)
		}
	}
}

// world is a node as rules see it.
func (j *Job) world(n *Node) (*rule.World, error) {
	w := &rule.World{Node: n.attributes(), Ports: map[string]map[string]any{}, Inventory: map[string]any{}, PluginData: map[string]any{}, Traits: slices.Clone(n.Traits)}
	for i := range j.Ports {
		w.Ports[string(j.Ports[i].ID)] = j.Ports[i].attributes()
	}
	inv := cmp.Or(n.Inventory, &protocol.Inventory{})
	var err error
	w.Inventory, err = Inventory(inv)
	if err != nil {
		return nil, fault.E(fault.Internal, "writing the inventory down for the inspection rules", err)
	}
	return asJSON(w)
}

// asJSON has all values of a world as JSON has them: numbers of one kind.
func asJSON(w *rule.World) (*rule.World, error) {
	raw, err := json.Marshal(map[string]any{"node": w.Node, "ports": w.Ports, "inventory": w.Inventory})
	if err != nil {
		return nil, fault.E(fault.Internal, "writing a node down for the inspection rules", err)
	}
	var in struct {
		Node, Inventory map[string]any
		Ports           map[string]map[string]any
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fault.E(fault.Internal, "reading a node for the inspection rules", err)
	}
	w.Node, w.Inventory, w.Ports = in.Node, in.Inventory, in.Ports
	return w, nil
}

// keepRuled records what rules changed in a world.
func (j *Job) keepRuled(ctx context.Context, n *Node, before, after *rule.World) error {
	password, err := n.setAttributes(before.Node, after.Node)
	if err != nil {
		return err
	}
	for _, t := range after.Traits {
		if !traitForm.MatchString(t) {
			return fault.Field("traits", "%.60q is not a trait such as CUSTOM_GPU", t)
		}
	}
	n.Traits = after.Traits
	for i := range j.Ports {
		p, id := &j.Ports[i], string(j.Ports[i].ID)
		if reflect.DeepEqual(before.Ports[id], after.Ports[id]) {
			continue
		}
		if err := p.setAttributes(before.Ports[id], after.Ports[id]); err != nil {
			return err
		}
		if err := j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
			_, err := tx.NewUpdate().Model(p).WherePK().Exec(ctx)
			return err
		}); err != nil {
			return err
		}
	}
	if reflect.DeepEqual(before.Node, after.Node) && slices.Equal(before.Traits, after.Traits) {
		return nil
	}
	out, err := j.Update(ctx, *n, password)
	if err == nil {
		*j.Node = out
	}
	return err
}
