// Package lab is a data centre in a box, which anyone can run without rights: a VLAN switch, machines
// and their BMCs. It is a process of its own; the cloud can not tell it from steel. Run starts
// one, writes down how to reach it (package lab/client reads that), and enrols its machines into the
// cloud whose clouds.yaml lies in the data folder.
//
// The folders below: vswitch is the switch, ether and netstack are its frames and hosts, machine/qemu and
// machine/sim the machines, bmcsim their BMCs, enrol the operator's part, client what to ask a lab with.
package lab

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/client"
	"github.com/hagane-cloud/hagane/lab/enrol"
)

// The kinds of machine.
const (
	Sim  = "sim"
	QEMU = "qemu"
)

// Options says what lab to run.
type Options struct {
	DataDir  string // the cloud's data folder; the lab's own things go into lab/ below it
	Nodes    int    // number of machines; 0 is 2
	Machine  string // Sim or QEMU; "" is Sim
	Seed     uint64 // of names, addresses, passwords and serial numbers; the same seed makes the same lab
	MemoryMB int    // of each machine; 0 is 1024 for QEMU and 4096 for sim
	DiskGB   int    // of each machine's disk, which takes only the room that is used; 0 is 10 for QEMU and 100 for sim
	Disks    int    // of each machine, 1 to 16; 0 is 1. The first is the one that is written to without a root hint
	CPUs     int    // of each machine; 0 is 1
	NICs     int    // of each machine, 1 to 4; 0 is 1. Of two and more the second half is of the storage plane

	PortMbps int // of each port of the switch, each way, in Mbit/s; 0: as fast as can be

	Mix           string // alternate (""): UEFI with Redfish and a virtio disk, then BIOS with IPMI and an NVMe disk; or one of "uefi", "bios" for all
	Accel         string // of QEMU: tcg, kvm, or "" to try whether KVM works
	FirmwarePXE   bool   // UEFI machines in QEMU boot with the firmware's PXE client instead of the iPXE in the NIC's ROM
	Vendors       string // kinds of BMC that the machines get in turn: "mixed", or names with commas between them; "": those that keep to the standard
	Faults        string // scripts of what goes wrong at the BMCs (package inject), by name or file; "": nothing
	Cloud         string // entry of clouds.yaml to enrol into; "" is hagane
	NoEnrol       bool   // leaves it to the user to enrol the machines
	ResourceClass string // of the nodes; "" is lab

	Out   io.Writer                         // where the table of machines goes; nil: nowhere
	Log   *slog.Logger                      // nil: nowhere
	Ready func(context.Context, client.Lab) // called once when all is enrolled (or started, with NoEnrol); may be nil
}

func (o Options) filled() (Options, error) {
	o.Machine = cmp.Or(o.Machine, Sim)
	o.Nodes = cmp.Or(o.Nodes, 2)
	o.CPUs, o.NICs, o.Disks = cmp.Or(o.CPUs, 1), cmp.Or(o.NICs, 1), cmp.Or(o.Disks, 1)
	memory, disk := 4096, 100
	if o.Machine == QEMU {
		memory, disk = 1024, 10
	}
	o.MemoryMB, o.DiskGB = cmp.Or(o.MemoryMB, memory), cmp.Or(o.DiskGB, disk)
	o.Mix = cmp.Or(o.Mix, mixAlternate)
	o.Cloud = cmp.Or(o.Cloud, "hagane")
	o.ResourceClass = cmp.Or(o.ResourceClass, "lab")
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.DataDir == "":
		return o, fault.Field("data", "the lab needs a data folder")
	case o.Machine != Sim && o.Machine != QEMU:
		return o, fault.Field("machine", "%q is no kind of machine: sim and qemu are", o.Machine)
	case o.Nodes < 1 || o.Nodes > maxNodes:
		return o, fault.Field("nodes", "%d machines are not possible: 1 to %d are", o.Nodes, maxNodes)
	case o.NICs < 1 || o.NICs > mostNICs:
		return o, fault.Field("nics", "a machine has 1 to %d NICs", mostNICs)
	case o.Disks < 1 || o.Disks > mostDisks:
		return o, fault.Field("disks", "a machine has 1 to %d disks", mostDisks)
	case o.MemoryMB < 128 || o.DiskGB < 1 || o.CPUs < 1:
		return o, fault.Field("memory", "a machine needs 128 MB of memory, 1 GB of disk and 1 CPU at least")
	case o.PortMbps < 0:
		return o, fault.Field("port-mbps", "a port has at least 1 Mbit/s; 0 is as fast as can be")
	case !mixes[o.Mix]:
		return o, fault.Field("mix", "%q is no mix: alternate, uefi and bios are", o.Mix)
	}
	var err error
	o.DataDir, err = filepath.Abs(o.DataDir)
	return o, err
}

// Run runs a lab until ctx ends; then it powers everything off and returns nil.
func Run(ctx context.Context, o Options) error {
	o, err := o.filled()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(client.Folder(o.DataDir), 0o700); err != nil {
		return fault.E(fault.Internal, "make the lab's folder", err)
	}
	unlock, err := lock(o.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	before, _ := client.Read(o.DataDir) // of an earlier run: BMCs prefer the ports they had
	_ = os.Remove(client.File(o.DataDir))
	r, err := build(ctx, o, before)
	if err != nil {
		return err
	}
	defer r.close()
	control, err := listen(client.Socket(o.DataDir))
	if err != nil {
		return err
	}
	steering, err := listen(client.SwitchSocket(o.DataDir))
	if err != nil {
		_ = control.Close()
		return err
	}
	if err := write(o.DataDir, r.lab); err != nil {
		_ = control.Close()
		_ = steering.Close()
		return err
	}
	defer func() { _ = os.Remove(client.File(o.DataDir)) }()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.sw.Serve(ctx, steering, o.Log) })
	group.Go(func() error { return r.serveControl(ctx, control) })
	for _, n := range r.nodes {
		group.Go(func() error { return n.bmc.Serve(ctx) })
		if n.beside != nil {
			group.Go(func() error { return n.beside.Serve(ctx) })
		}
	}
	r.print(o.Out)
	group.Go(func() error { return r.introduce(ctx) })
	return group.Wait()
}

// introduce enrols the machines, as soon as the cloud answers, and tells that all is ready.
func (r *rack) introduce(ctx context.Context) error {
	o := r.options
	if !o.NoEnrol {
		if err := r.enrolUntil(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		r.lab.Enrolled = true
		if err := write(o.DataDir, r.lab); err != nil {
			return err
		}
	}
	if o.Ready != nil {
		o.Ready(ctx, r.lab)
	}
	return nil
}

// enrolPause is the time between two tries to enrol.
const enrolPause = 500 * time.Millisecond

func (r *rack) enrolUntil(ctx context.Context) error {
	o, said := r.options, ""
	for {
		err := enrol.Run(ctx, enrol.Options{
			DataDir: o.DataDir, Cloud: o.Cloud, ResourceClass: o.ResourceClass, Lab: r.lab, Log: o.Log,
		})
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if !fault.Is(err, fault.Unavailable) {
			return fault.Wrap("enrol the lab", err)
		}
		if why := err.Error(); why != said {
			o.Log.Info("waiting for the cloud", "why", why)
			said = why
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(enrolPause):
		}
	}
}

// lock makes sure that one lab at a time runs in a data folder.
func lock(data string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(client.Folder(data), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.E(fault.Internal, "open the lab's lock", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fault.Errorf(fault.Conflict, "a lab runs in %s already: stop it first, or take another data folder", data)
	}
	return func() { _ = f.Close() }, nil
}
