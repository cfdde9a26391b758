package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Deed is something that someone asks of a node's BMC, other than power: to set, insert, clear or look up
// something. It is carried out by a conductor as a run of its own, on a node at rest.
type Deed struct {
	Do      string          `json:"do"` // a key of deeds
	Boot    *bmc.Boot       `json:"boot,omitempty"`
	Mode    bmc.Mode        `json:"mode,omitempty"`
	Medium  bmc.Medium      `json:"medium,omitempty"`
	URL     string          `json:"url,omitempty"`
	Slot    string          `json:"slot,omitempty"`
	Values  map[string]any  `json:"values,omitempty"`
	Enabled bool            `json:"enabled,omitempty"`
	Light   bmc.Light       `json:"light,omitempty"`
	User    *bmc.Account    `json:"user,omitempty"`
	Kind    string          `json:"kind,omitempty"` // of truth, to look up
	Restart bmc.RestartKind `json:"restart,omitempty"`
}

// The deeds.
const (
	SetBoot       = "set the boot device"
	SetMode       = "set the boot mode"
	InsertMedia   = "insert media"
	EjectMedia    = "eject media"
	SetSettings   = "change BIOS settings"
	ResetSettings = "reset the BIOS settings"
	DropSettings  = "drop pending BIOS settings"
	SetSecureBoot = "change secure boot"
	ResetKeys     = "reset the secure boot keys"
	SetLight      = "switch the identify LED"
	Interrupt     = "interrupt the server"
	ClearEvents   = "clear the event log"
	RemoveUser    = "remove a user of the BMC"
	LookUp        = "look up"
	KeepTrace     = "keep the latest exchanges"
	FindOutOffers = "find out what the BMC can do"
)

// deeds are how they are done, and which truth each changes.
var deeds = map[string]struct {
	do    func(ctx context.Context, d *bmc.Composed, w Deed) error
	after string // the kind of truth that is looked up when it is done
}{
	SetBoot: {func(ctx context.Context, d *bmc.Composed, w Deed) error { return d.SetBoot(ctx, *w.Boot) }, "boot"},
	SetMode: {func(ctx context.Context, d *bmc.Composed, w Deed) error { return d.SetBootMode(ctx, w.Mode) }, "boot mode"},
	InsertMedia: {func(ctx context.Context, d *bmc.Composed, w Deed) error {
		_, err := d.Insert(ctx, w.Medium, w.URL)
		return err
	}, "media"},
	EjectMedia:    {func(ctx context.Context, d *bmc.Composed, w Deed) error { return d.Eject(ctx, w.Slot) }, "media"},
	SetSettings:   {func(ctx context.Context, d *bmc.Composed, w Deed) error { return d.SetSettings(ctx, w.Values) }, "settings"},
	ResetSettings: {func(ctx context.Context, d *bmc.Composed, _ Deed) error { return d.ResetSettings(ctx) }, "settings"},
	DropSettings:  {func(ctx context.Context, d *bmc.Composed, _ Deed) error { return d.DropPending(ctx) }, "settings"},
	SetSecureBoot: {func(ctx context.Context, d *bmc.Composed, w Deed) error { return d.SetSecureBoot(ctx, w.Enabled) }, "secure boot"},
	ResetKeys:     {func(ctx context.Context, d *bmc.Composed, _ Deed) error { return d.ResetSecureBootKeys(ctx) }, "secure boot"},
	SetLight:      {func(ctx context.Context, d *bmc.Composed, w Deed) error { return d.SetLight(ctx, w.Light) }, "light"},
	Interrupt:     {func(ctx context.Context, d *bmc.Composed, _ Deed) error { return d.Interrupt(ctx) }, ""},
	ClearEvents:   {func(ctx context.Context, d *bmc.Composed, _ Deed) error { return d.ClearEvents(ctx) }, "events"},
	RemoveUser:    {func(ctx context.Context, d *bmc.Composed, w Deed) error { return d.RemoveAccount(ctx, w.User.Name) }, "users"},
	FindOutOffers: {func(ctx context.Context, d *bmc.Composed, _ Deed) error { _, err := d.Survey(ctx); return err }, ""},
	LookUp:        {func(context.Context, *bmc.Composed, Deed) error { return nil }, ""},
	KeepTrace:     {func(context.Context, *bmc.Composed, Deed) error { return nil }, ""},
}

// Check finds what is missing in a deed before anything is begun.
func (w Deed) Check() error {
	var names []string
	for name := range deeds {
		names = append(names, name)
	}
	slices.Sort(names)
	switch {
	case !slices.Contains(names, w.Do):
		return fault.Field("do", "%q is not possible; possible: %s", w.Do, strings.Join(names, ", "))
	case w.Do == SetBoot && w.Boot == nil:
		return fault.Field("boot", "is missing")
	case w.Do == InsertMedia && (w.URL == "" || (w.Medium != bmc.CD && w.Medium != bmc.USB)):
		return fault.Field("url", "is missing, or medium is not cd or usb")
	case w.Do == RemoveUser && w.User == nil:
		return fault.Field("user", "is missing")
	case w.Do == SetSettings && len(w.Values) == 0:
		return fault.Field("values", "names no setting")
	}
	return nil
}

// lookUps are how the kinds of truth are read from a BMC.
var lookUps = map[string]func(ctx context.Context, d *bmc.Composed) (any, error){
	"boot":        func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Boot(ctx) },
	"boot mode":   func(ctx context.Context, d *bmc.Composed) (any, error) { return d.BootMode(ctx) },
	"media":       func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Media(ctx) },
	"settings":    func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Settings(ctx) },
	"secure boot": func(ctx context.Context, d *bmc.Composed) (any, error) { return d.SecureBoot(ctx) },
	"firmware":    func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Firmware(ctx) },
	"sensors":     func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Sensors(ctx) },
	"health":      func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Health(ctx) },
	"events":      func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Events(ctx, mostEvents) },
	"light":       func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Light(ctx) },
	"users":       func(ctx context.Context, d *bmc.Composed) (any, error) { return d.Accounts(ctx) },
	"nics":        func(ctx context.Context, d *bmc.Composed) (any, error) { return d.NICs(ctx) },
}

// mostEvents is how many entries of an event log are kept.
const mostEvents = 500

// deed carries out a deed on a node at rest.
var deed = workflow.Workflow[*Job]{Name: "bmc/1", Steps: []workflow.Step[*Job]{
	{Name: "ask the BMC", Do: doDeed, Within: 6 * time.Minute},
}}

func doDeed(ctx context.Context, j *Job) error {
	w, err := input[Deed](j)
	if err != nil {
		return err
	}
	if w.Do == KeepTrace {
		return j.keepExchanges(ctx, record.Length, "kept for whoever asked")
	}
	how := deeds[w.Do]
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	if err := how.do(ctx, d, w); err != nil {
		j.keepTrace(ctx, err)
		if !bmc.Passing(err) || w.Do == Interrupt {
			return workflow.GiveUp(fault.Wrap(w.Do, err))
		}
		return fault.Wrap(w.Do, err)
	}
	kind, sure := how.after, Proven
	if w.Do == LookUp {
		kind, sure = w.Kind, Told
	}
	if kind == "" {
		return nil
	}
	if err := j.lookUp(ctx, d, kind, sure); err != nil {
		if w.Do == LookUp && !bmc.Passing(err) {
			return workflow.GiveUp(err)
		}
		return err
	}
	if w.Do == SetBoot {
		return j.update(ctx, func(n *Node) { n.Boot = w.Boot }, "boot")
	}
	return nil
}

// lookUp reads a kind of truth from the BMC and keeps it.
func (j *Job) lookUp(ctx context.Context, d *bmc.Composed, kind string, sure Confidence) error {
	v, err := lookUps[kind](ctx, d)
	if err != nil {
		return fault.Wrap("reading the "+kind, err)
	}
	return j.found(ctx, kind, v, "read from the BMC", sure)
}

// Perform has a deed done on a node at rest and waits for its outcome.
func (s *Service) Perform(ctx context.Context, id ID, w Deed) error {
	if err := w.Check(); err != nil {
		return err
	}
	if _, ok := lookUps[w.Kind]; w.Do == LookUp && !ok {
		return fault.Field("kind", "%q can not be looked up; there are %s", w.Kind, strings.Join(Kinds(), ", "))
	}
	var run workflow.Run
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := get(ctx, tx, id); err != nil {
			return err
		}
		var err error
		run, err = s.Engine.Start(ctx, tx, deed.Name, string(id), w)
		return err
	})
	if err != nil {
		return err
	}
	return s.outcome(ctx, run.ID, deed.Within(), w.Do)
}

// mostWaiting is how many deeds may wait for the one under way.
const mostWaiting = 8

// AskDeed has a deed begun and does not wait for it. While another deed is under way it waits for its turn.
func (s *Service) AskDeed(ctx context.Context, id ID, w Deed) error {
	if err := w.Check(); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, err := get(ctx, tx, id)
		if err != nil {
			return err
		}
		live, err := s.Engine.Live(ctx, tx, string(id))
		if err != nil {
			return err
		}
		if live == nil || live.Workflow != deed.Name {
			_, err := s.Ask(ctx, tx, id, w)
			return err
		}
		if len(n.Deeds) >= mostWaiting {
			return fault.Errorf(fault.Conflict, "%d requests wait for the BMC already; wait for them, or look at why it does not answer", len(n.Deeds))
		}
		n.Deeds = append(n.Deeds, w)
		_, err = tx.NewUpdate().Model(n).Column("deeds").WherePK().Exec(ctx)
		return err
	})
}

// nextDeed begins the deed whose turn it is.
func (s *Service) nextDeed(ctx context.Context, tx db.Tx, n *Node) error {
	if len(n.Deeds) == 0 {
		return nil
	}
	next := n.Deeds[0]
	n.Deeds = n.Deeds[1:]
	if _, err := tx.NewUpdate().Model(n).Column("deeds").WherePK().Exec(ctx); err != nil {
		return err
	}
	_, err := s.Ask(ctx, tx, n.ID, next)
	return err
}

// Kinds are the kinds of truth that can be looked up at a BMC.
func Kinds() []string {
	var all []string
	for k := range lookUps {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// outcome waits for a run's end.
func (s *Service) outcome(ctx context.Context, id workflow.RunID, within time.Duration, doing string) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		now, err := s.Engine.Run(ctx, s.DB.Read(), id)
		switch {
		case err != nil:
			return err
		case now.Phase == workflow.Done:
			return nil
		case now.Phase == workflow.Failed:
			return fault.Errorf(fault.Conflict, "%s", now.Error)
		}
		select {
		case <-ctx.Done():
			return fault.Errorf(fault.Unavailable, "the BMC has not answered yet; it still tries to %s (run %s)", doing, id)
		case <-t.C:
		}
	}
}

// Learn returns what is known of a kind; what is not known, or older than age, is looked up first when the node
// is at rest. A zero age never looks up what is known.
func (s *Service) Learn(ctx context.Context, id ID, kind string, age time.Duration) (*Truth, error) {
	t, err := s.Truth(ctx, id, kind)
	if err != nil || (t != nil && (age == 0 || db.Since(t.At) < age)) {
		return t, err
	}
	if err := s.Perform(ctx, id, Deed{Do: LookUp, Kind: kind}); err != nil {
		if t != nil && fault.Is(err, fault.Conflict) {
			return t, nil // older, but known
		}
		return nil, err
	}
	return s.Truth(ctx, id, kind)
}

// SetBootDevice has the boot device of a node at rest set, and waits for the outcome.
func (s *Service) SetBootDevice(ctx context.Context, id ID, b bmc.Boot) error {
	return s.Perform(ctx, id, Deed{Do: SetBoot, Boot: &b})
}

// BootDevice returns the boot device that was last set and read back.
func (s *Service) BootDevice(ctx context.Context, id ID) (bmc.Boot, error) {
	n, err := get(ctx, s.DB.Read(), id)
	if err != nil || n.Boot == nil {
		return bmc.Boot{}, err
	}
	return *n.Boot, nil
}

// Known reads a truth's value.
func Known[T any](t *Truth) (v T, err error) {
	if t == nil {
		return v, nil
	}
	if err := json.Unmarshal(t.Value, &v); err != nil {
		return v, fault.E(fault.Internal, fmt.Sprintf("reading what is known of %s", t.Kind), err)
	}
	return v, nil
}
