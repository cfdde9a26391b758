package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
	"github.com/hagane-cloud/hagane/lab/client"
	"github.com/hagane-cloud/hagane/lab/ether"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
	"github.com/hagane-cloud/hagane/lab/vswitch"
)

// BMCOptions says which BMCs to run alone, without a cloud.
type BMCOptions struct {
	DataDir string // for the machines' consoles
	Kind    string // "" is generic
	Count   int    // 0 is 1
	Faults  string // script, or several with commas; "" is none
	Seed    uint64 // of names, passwords and faults
	Tree    string // folder or archive (.tar.xz, .tar.gz) of a captured Redfish tree to show; Kind is then found out
	Out     io.Writer
	Log     *slog.Logger                        // nil: nowhere
	Ready   func(context.Context, []client.BMC) // called once when all answer; may be nil
}

// RunBMCs runs simulated BMCs, each with a simulated machine behind it, until ctx ends.
func RunBMCs(ctx context.Context, o BMCOptions) error {
	if o.Count = cmp.Or(o.Count, 1); o.Count < 1 || o.Count > maxNodes {
		return fault.Field("count", "%d BMCs are not possible: 1 to %d are", o.Count, maxNodes)
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := bench{BMCOptions: o, seed: machine.Seed(o.Seed), sw: vswitch.New("lab", ether.MAC(machine.Seed(o.Seed).MAC("switch")))}
	err := b.prepare()
	if err == nil {
		err = b.serve(ctx)
	}
	return errors.Join(err, b.close())
}

// bench is a row of BMCs.
type bench struct {
	BMCOptions
	seed     machine.Seed
	sw       *vswitch.Switch
	kind     Kind
	script   *inject.Script
	machines []machine.Machine
	engines  []*inject.Engine
	servers  []server
	access   []client.BMC
}

func (b *bench) prepare() (err error) {
	if b.script, err = inject.Load(b.Faults); err != nil {
		return err
	}
	if b.Tree != "" {
		capture, err := redfish.OpenCapture(b.Tree)
		if err != nil {
			return err
		}
		b.kind = Kind{Name: "capture", Driver: "redfish", listen: func(c bmcsim.Config) (server, error) { return redfish.ListenCapture(c, capture) }}
	} else if b.kind, err = KindNamed(cmp.Or(b.Kind, "generic")); err != nil {
		return err
	}
	shared, err := redfish.SelfSigned(cmp.Or(b.kind.Name, "BMC"), "lab", bmcAddress(0))
	if err != nil {
		return err
	}
	for i := range b.Count {
		name := fmt.Sprintf("bmc%d", i+1)
		m, err := b.machine(name)
		if err != nil {
			return err
		}
		b.machines = append(b.machines, m)
		log := b.Log.With("bmc", name)
		faults := inject.NewEngine(b.script, seedOf(b.Seed, i), log)
		b.engines = append(b.engines, faults)
		access := client.BMC{Driver: b.kind.Driver, Username: "admin", Password: b.seed.Password(name)}
		s, err := b.kind.open(bmcsim.Config{
			Machine: m, Address: bmcAddress(i), Username: access.Username, Password: access.Password, Log: log, Faults: faults, Certificate: &shared,
		})
		if err != nil {
			return err
		}
		access.Address = s.Address()
		b.servers, b.access = append(b.servers, s), append(b.access, access)
	}
	return nil
}

func (b *bench) machine(name string) (machine.Machine, error) {
	nic := machine.NICSpec{MAC: b.seed.MAC(name + "/0"), Port: name}
	port, err := b.sw.AddPort(nic.Port)
	if err != nil {
		return nil, err
	}
	return sim.New(machine.Spec{
		Name: name, Manufacturer: "Hagane", Product: "Lab Server R1", Serial: b.seed.Serial("HGN", name), UUID: b.seed.UUID(name), Mode: machine.UEFI, CPUs: 1, MemoryMB: 4096,
		Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 100 << 30, Serial: b.seed.Serial("HGD", name)}}, NICs: []machine.NICSpec{nic},
	}, filepath.Join(b.DataDir, name), []*vswitch.Port{port}, sim.Options{Log: b.Log})
}

func (b *bench) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range b.servers {
		group.Go(func() error { return s.Serve(ctx) })
	}
	table := tabwriter.NewWriter(b.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "BMC\tKIND\tDRIVER\tADDRESS\tUSER\tPASSWORD")
	for i, a := range b.access {
		_, _ = fmt.Fprintf(table, "bmc%d\t%s\t%s\t%s\t%s\t%s\n", i+1, b.kind.Name, a.Driver, a.Address, a.Username, a.Password)
	}
	_ = table.Flush()
	if b.Ready != nil {
		b.Ready(ctx, b.access)
	}
	return group.Wait()
}

// close powers everything off.
func (b *bench) close() error {
	var errs []error
	for _, s := range b.servers {
		_ = s.Close() // it has ended already, unless it never served
	}
	for _, e := range b.engines {
		e.Close()
	}
	for _, m := range b.machines {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
