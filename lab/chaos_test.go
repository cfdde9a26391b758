package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/ipmi"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/bmc/record"
	"github.com/hagane-cloud/hagane/bmc/redfish"
	"github.com/hagane-cloud/hagane/bmc/ribcl"
	"github.com/hagane-cloud/hagane/bmc/scci"
	"github.com/hagane-cloud/hagane/bmc/wsman"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

// TestChaos draws operations and faults at random over BMCs of all kinds and protocols, and compares what the
// drivers claim with what is so. HAGANE_CHAOS_SEED replays a run: every BMC draws by itself, so that HAGANE_CHAOS_ONLY
// replays one BMC of it. HAGANE_SOAK=1 makes it 10,000 operations over 200 BMCs.
func TestChaos(t *testing.T) {
	bmcs, operations, seed := 24, 10, uint64(1) // the same each time: new ones are for the soak
	if os.Getenv("HAGANE_SOAK") != "" {
		bmcs, operations, seed = 200, 50, rand.Uint64()
	}
	if s := os.Getenv("HAGANE_CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HAGANE_CHAOS_SEED=%d", seed)
	book, err := profile.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	c := &chaos{T: t, seed: seed, classes: map[bmc.Class]int{}, open: map[string]bmc.Opener{
		"redfish": redfish.Opener(book), "ipmi": ipmi.Open, "ribcl": ribcl.Open, "wsman": wsman.Open, "scci": scci.Open}}
	iso := make([]byte, 64<<10)
	copy(iso[32<<10:], "\x01CD001\x01")
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(iso))
	}))
	defer files.Close()
	c.image = files.URL + "/cd.iso"
	kinds := Kinds()
	const atOnce = 48 // most of the time they wait
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range bmcs {
		if only := os.Getenv("HAGANE_CHAOS_ONLY"); only != "" && only != strconv.Itoa(i) {
			continue
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			c.one(i, kinds[i*7%len(kinds)], operations)
		})
	}
	wg.Wait()
	t.Logf("%d operations on %d BMCs: %d done, %d believed a lie that nobody can see through; failures by class: %v", bmcs*operations, bmcs, c.good, c.deceived, c.classes)
	if c.good < bmcs*operations/3 && os.Getenv("HAGANE_CHAOS_ONLY") == "" {
		t.Errorf("only %d operations were done", c.good)
	}
}

type chaos struct {
	*testing.T
	seed  uint64
	open  map[string]bmc.Opener
	image string

	mu             sync.Mutex
	classes        map[bmc.Class]int
	good, deceived int
}

// scripts are those of which each BMC plays one.
var chaosScripts = []string{"hard", "flaky", "liar", "slow", "sessions", "garbled", "restarts", "post", "media", "tasks"}

// chaosPace is a pace for BMCs next door that are to be tried thousands of times.
var chaosPace = bmc.Pace{Tries: 3, Least: 5 * time.Millisecond, Most: 30 * time.Millisecond, Again: 15, Every: 50 * time.Millisecond,
	Settle: 1500 * time.Millisecond, Look: 20 * time.Millisecond, Rest: 200 * time.Millisecond}

// longest is how long an operation may take at that pace: a few dozen requests, each waiting out its refusals.
const longestOperation = 60 * time.Second

// trial is one BMC under test.
type trial struct {
	*chaos
	name    string
	index   int
	rng     *rand.Rand
	machine machine.Machine
	server  server
	engine  *inject.Engine
	access  bmc.Access
	driver  bmc.Driver
	step    int
}

func (c *chaos) one(i int, kind Kind, operations int) {
	rng := rand.New(rand.NewPCG(c.seed, uint64(i)))
	scriptName := chaosScripts[rng.IntN(len(chaosScripts))]
	tr := &trial{chaos: c, index: i, name: fmt.Sprintf("BMC %d (%s, %s)", i, kind.Name, scriptName), rng: rng}
	stop, err := tr.start(i, kind, scriptName)
	if err != nil {
		c.Errorf("%s: %v", tr.name, err)
		return
	}
	defer stop()
	for tr.step = range operations {
		if c.Failed() && os.Getenv("HAGANE_SOAK") == "stop" {
			return
		}
		tr.operate()
	}
	tr.leaves()
}

func (tr *trial) start(i int, kind Kind, scriptName string) (stop func(), err error) {
	log := slog.New(slog.DiscardHandler)
	name := fmt.Sprintf("c%d", i)
	spec := machine.Spec{Name: name, Manufacturer: "Hagane", Product: "Rack 1", Serial: "HG" + name, UUID: machine.Seed(1).UUID(name), Mode: machine.UEFI,
		CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 20, Serial: "D" + name}}}
	if tr.machine, err = sim.New(spec, filepath.Join(tr.TempDir(), name), nil, sim.Options{Log: log}); err != nil {
		return nil, err
	}
	script, err := inject.Load(scriptName)
	if err != nil {
		return nil, errors.Join(err, tr.machine.Close())
	}
	tr.engine = inject.NewEngine(script, tr.seed+uint64(i), log)
	tr.server, err = kind.open(bmcsim.Config{Machine: tr.machine, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cretpassword16", Log: log,
		Faults: tr.engine, SelfTest: 50 * time.Millisecond})
	if err != nil {
		tr.engine.Close()
		return nil, errors.Join(err, tr.machine.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- tr.server.Serve(ctx) }()
	tr.access = bmc.Access{Driver: kind.Driver, Address: tr.server.Address(), Username: "admin", Password: "s3cretpassword16", Insecure: true, OldTLS: strings.Contains(kind.Name, "ilo"),
		Timeout: 3 * time.Second, Pace: chaosPace, Memory: &bmc.Memory{}, Recorder: record.New(), Journal: &bmc.Journal{}}
	if tr.driver, err = tr.open[kind.Driver](ctx, tr.access); err != nil {
		tr.Errorf("%s: %v", tr.name, err)
	}
	return func() {
		cancel()
		<-served
		tr.engine.Close()
		_ = tr.machine.Close()
	}, err
}

// operations are what is done, by name. check tells what is wrong with a claim of success; "" when it is true.
var operations = map[string]func(tr *trial, ctx context.Context) (err error, check func(ctx context.Context) (string, error)){
	"identify": func(tr *trial, ctx context.Context) (error, func(context.Context) (string, error)) {
		_, err := tr.driver.Identify(ctx)
		return err, nil
	},
	"sensors": func(tr *trial, ctx context.Context) (error, func(context.Context) (string, error)) {
		_, err := tr.driver.Sensors(ctx)
		return err, nil
	},
	"events": func(tr *trial, ctx context.Context) (error, func(context.Context) (string, error)) {
		return with(tr, func(d bmc.EventLog) error { _, err := d.Events(ctx, 10); return err }), nil
	},
	"power":    (*trial).power,
	"boot":     (*trial).boot,
	"media":    (*trial).media,
	"settings": (*trial).settings,
	"light":    (*trial).light,
	"users":    (*trial).users,
}

// with calls a capability.
func with[C any](tr *trial, call func(C) error) error {
	d, err := bmc.As[C](tr.driver)
	if err != nil {
		return err
	}
	return call(d)
}

// operate does one operation and judges it.
func (tr *trial) operate() {
	names := slices.Sorted(maps.Keys(operations))
	name := names[tr.rng.IntN(len(names))]
	ctx, cancel := context.WithTimeout(context.Background(), 2*longestOperation)
	defer cancel()
	boots, lies, began := tr.machine.Status().Boots, tr.engine.Lies(), time.Now()
	err, check := operations[name](tr, ctx)
	if took := time.Since(began); took > longestOperation {
		tr.violated(name, fmt.Sprintf("it took %s", took))
	}
	if rise := tr.machine.Status().Boots - boots; rise > 1 || (rise > 0 && name != "power" && !tr.restarts(name)) {
		tr.violated(name, fmt.Sprintf("the server was started %d times: %v", rise, err))
	}
	if err != nil {
		class := bmc.ClassOf(err)
		if class == "" || fault.Message(err) == "" || fault.KindOf(err) == fault.Internal {
			tr.violated(name, fmt.Sprintf("the failure is not explained: %v", err))
		}
		tr.count(func() { tr.classes[class]++ })
		if class == bmc.Credentials {
			// The password is right: nothing may make a driver say that it is not, or an operator changes it in vain.
			tr.violated(name, err.Error())
		}
		return
	}
	wrong := ""
	if check != nil {
		wrong = tr.truth(ctx, check)
	}
	switch {
	case wrong == "":
		tr.count(func() { tr.good++ })
	case tr.engine.Lies() > lies:
		tr.count(func() { tr.deceived++ })
	default:
		tr.violated(name, "it claims success, and "+wrong)
	}
}

// truth looks, while the BMC behaves well, whether a claim is true. A look that fails, as on a machine that is busy,
// says nothing and is tried again.
func (tr *trial) truth(ctx context.Context, check func(context.Context) (string, error)) string {
	tr.engine.Calm(true)
	defer tr.engine.Calm(false)
	wrong, err := check(ctx)
	for try := 0; err != nil && try < 20; try++ {
		<-time.After(10 * chaosPace.Look)
		wrong, err = check(ctx)
	}
	if err != nil {
		return fmt.Sprintf("nobody can tell whether that is true: %v", err)
	}
	return wrong
}

// restarts reports whether an operation may restart the server: Fujitsu's eLCM does so to read its settings.
func (tr *trial) restarts(operation string) bool {
	return operation == "settings" && tr.access.Driver == "scci"
}

func (tr *trial) count(fn func()) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	fn()
}

// violated reports a violation with what led to it.
func (tr *trial) violated(operation, what string) {
	var trace strings.Builder
	all := tr.access.Recorder.Exchanges()
	if operation == "close" {
		all = slices.DeleteFunc(all, func(x record.Exchange) bool { return !strings.Contains(x.Path, "Sessions") && x.Status != 401 })
	}
	for _, x := range all[max(0, len(all)-12):] {
		outcome := strconv.Itoa(x.Status)
		if x.Error != "" {
			outcome = x.Error
		}
		fmt.Fprintf(&trace, "\n    %s %s %s -> %s", x.Protocol, x.Method, x.Path, outcome)
	}
	tr.Errorf("%s, operation %d, %s: %s; replay with HAGANE_CHAOS_SEED=%d HAGANE_CHAOS_ONLY=%d%s", tr.name, tr.step, operation, what, tr.seed, tr.index, trace.String())
}

// power presses once, and waits a while for the effect; a press without effect is no claim of success.
func (tr *trial) power(ctx context.Context) (error, func(context.Context) (string, error)) {
	a := []bmc.Action{bmc.PowerOn, bmc.PowerOff, bmc.Reset}[tr.rng.IntN(3)]
	want := bmc.On
	if a == bmc.PowerOff {
		want = bmc.Off
	}
	if err := tr.driver.SetPower(ctx, a); err != nil {
		return err, nil
	}
	for range 10 {
		p, err := tr.driver.Power(ctx)
		if err != nil {
			return err, nil
		}
		if p == want {
			return nil, func(context.Context) (string, error) {
				if on := tr.machine.Status().On; on != (want == bmc.On) {
					return fmt.Sprintf("the power is on: %v, wanted %s after %s", on, want, a), nil
				}
				return "", nil
			}
		}
		<-time.After(chaosPace.Look)
	}
	return nil, nil
}

func (tr *trial) boot(ctx context.Context) (error, func(context.Context) (string, error)) {
	b := bmc.Boot{Device: []bmc.Device{bmc.PXE, bmc.Disk, bmc.None}[tr.rng.IntN(3)], Persistent: tr.rng.IntN(3) == 0}
	if b.Device == bmc.None {
		b.Persistent = false
	}
	if err := tr.driver.SetBoot(ctx, b); err != nil {
		return err, nil
	}
	return nil, func(ctx context.Context) (string, error) {
		got, err := tr.driver.Boot(ctx)
		if got.Device != b.Device || (b.Device != bmc.None && got.Persistent != b.Persistent) {
			return fmt.Sprintf("the boot device is %+v, not %+v", got, b), err
		}
		return "", err
	}
}

func (tr *trial) media(ctx context.Context) (error, func(context.Context) (string, error)) {
	insert := tr.rng.IntN(2) == 0
	err := with(tr, func(d bmc.MediaControl) error {
		if insert {
			_, err := d.Insert(ctx, bmc.CD, tr.image)
			return err
		}
		return d.Eject(ctx, "")
	})
	return err, func(context.Context) (string, error) {
		if in := tr.machine.Status().Medium != ""; in != insert {
			return fmt.Sprintf("a medium is in: %v", in), nil
		}
		return "", nil
	}
}

func (tr *trial) settings(ctx context.Context) (error, func(context.Context) (string, error)) {
	var name, value string
	err := with(tr, func(d bmc.SettingsControl) error {
		all, err := d.Settings(ctx)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(s bmc.Setting) bool {
			return s.Type != "enumeration" || s.ReadOnly || len(s.Allowed) < 2 || strings.Contains(strings.ToLower(s.Name), "boot")
		})
		if len(all) == 0 {
			return bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "there is nothing to choose")
		}
		s := all[tr.rng.IntN(len(all))]
		name, value = s.Name, s.Allowed[tr.rng.IntN(len(s.Allowed))]
		return d.SetSettings(ctx, map[string]any{name: value})
	})
	return err, func(ctx context.Context) (string, error) {
		var shown string
		err := with(tr, func(d bmc.SettingsControl) error {
			all, err := d.Settings(ctx)
			for _, s := range all {
				if s.Name == name {
					shown = fmt.Sprint(s.Value)
					if s.Pending != nil {
						shown = fmt.Sprint(s.Pending)
					}
				}
			}
			return err
		})
		if shown != value {
			return fmt.Sprintf("%s is %s, not %s", name, shown, value), err
		}
		return "", err
	}
}

func (tr *trial) light(ctx context.Context) (error, func(context.Context) (string, error)) {
	want := []bmc.Light{bmc.LightOn, bmc.LightOff}[tr.rng.IntN(2)]
	err := with(tr, func(d bmc.LightControl) error { return d.SetLight(ctx, want) })
	return err, func(ctx context.Context) (string, error) {
		var got bmc.Light
		err := with(tr, func(d bmc.LightControl) (err error) { got, err = d.Light(ctx); return err })
		if got != "" && (got == bmc.LightOff) != (want == bmc.LightOff) {
			return fmt.Sprintf("the LED is %s, not %s", got, want), err
		}
		return "", err
	}
}

func (tr *trial) users(ctx context.Context) (error, func(context.Context) (string, error)) {
	const name = "guest"
	add := tr.rng.IntN(2) == 0
	err := with(tr, func(d bmc.AccountControl) error {
		if add {
			return d.AddAccount(ctx, name, "Gu3st-Passw0rd", "Operator")
		}
		return d.RemoveAccount(ctx, name)
	})
	if add && bmc.ClassOf(err) == bmc.Refused {
		err = nil // it is there already
	}
	return err, func(ctx context.Context) (string, error) {
		var all []bmc.Account
		err := with(tr, func(d bmc.AccountControl) (err error) { all, err = d.Accounts(ctx); return err })
		if there := slices.ContainsFunc(all, func(a bmc.Account) bool { return a.Name == name }); there != add {
			return fmt.Sprintf("the user is there: %v", there), err
		}
		return "", err
	}
}

// leaves closes the driver, and looks whether it left sessions behind.
func (tr *trial) leaves() {
	tr.engine.Calm(true)
	ctx, cancel := context.WithTimeout(context.Background(), longestOperation)
	defer cancel()
	if err := tr.driver.Close(ctx); err != nil {
		tr.violated("close", err.Error())
	}
	if b, ok := tr.server.(interface{ Sessions() []string }); ok {
		if left, lost := len(b.Sessions()), tr.engine.LostLogins(); left > lost {
			tr.violated("close", fmt.Sprintf("%d sessions are left, and only %d logins were never answered", left, lost))
		}
	}
}
