package wsman

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// attribute is a BIOS setting.
type attribute struct {
	name, kind, current, pending, factory string
	possible                              []string
	readOnly                              bool
	set                                   bool // pending holds a value
}

// order is an order of boot sources.
type order struct{ current, pending, factory []string }

// job is work of the Lifecycle Controller.
type job struct {
	id, name, status, message string
	percent                   int
}

const setupTarget = "BIOS.Setup.1-1"

func (b *BMC) attributes() []*attribute {
	mode := map[machine.Mode]string{machine.BIOS: "Bios", machine.UEFI: "Uefi"}[b.machine.Status().NextMode]
	return []*attribute{
		{name: "BootMode", kind: "DCIM_BIOSEnumeration", current: mode, factory: "Bios", possible: []string{"Bios", "Uefi"}},
		{name: "LogicalProc", kind: "DCIM_BIOSEnumeration", current: "Enabled", factory: "Enabled", possible: []string{"Enabled", "Disabled"}},
		{name: "ProcVirtualization", kind: "DCIM_BIOSEnumeration", current: "Disabled", factory: "Enabled", possible: []string{"Enabled", "Disabled"}},
		{name: "MemTest", kind: "DCIM_BIOSEnumeration", current: "Disabled", factory: "Disabled", possible: []string{"Enabled", "Disabled"}, readOnly: true},
		{name: "AssetTag", kind: "DCIM_BIOSString", current: "", factory: ""},
		{name: "SystemServiceTag", kind: "DCIM_BIOSString", current: b.machine.Spec().Serial, readOnly: true},
		{name: "AcPwrRcvryUserDelay", kind: "DCIM_BIOSInteger", current: "60", factory: "60"},
	}
}

func orders() map[string]*order {
	make := func(kind, seq string) *order {
		ids := []string{kind + ":BIOS.Setup.1-1#" + seq + "#HardDisk.List.1-1#c920", kind + ":BIOS.Setup.1-1#" + seq + "#NIC.Embedded.1-1-1#fbee", kind + ":BIOS.Setup.1-1#" + seq + "#Optical.SATAEmbedded.E-1#9cfb"}
		return &order{current: ids, pending: slices.Clone(ids), factory: slices.Clone(ids)}
	}
	return map[string]*order{"IPL": make("IPL", "BootSeq"), "UEFI": make("UEFI", "UefiBootSeq")}
}

func (b *BMC) find(name string) *attribute {
	for _, a := range b.bios {
		if a.name == name {
			return a
		}
	}
	return nil
}

func (b *BMC) newJob(name, status string) *job {
	b.made++
	j := &job{id: fmt.Sprintf("JID_%012d", 442507917000+b.made), name: name, status: status, message: "Task successfully scheduled."}
	b.jobs = append(b.jobs, j)
	return j
}

// advance lets a job that needs no boot go on, each time that somebody looks.
func (j *job) advance() {
	const step, whole = 50, 100
	if j.status != "Downloading" {
		return
	}
	if j.percent += step; j.percent < whole {
		return
	}
	if j.status, j.message = "Completed", "Job completed successfully"; !strings.Contains(j.name, "iDRAC") {
		j.status, j.message = "Downloaded", "Package successfully downloaded."
	}
}

// enqueue schedules an update that was downloaded.
func (b *BMC) enqueue(r request) string {
	for _, j := range b.jobs {
		if j.id == r.input.Value("JobArray") && j.status == "Downloaded" {
			j.status, j.percent = "Scheduled", 0
			return b.output(r, "0", "The specified job was scheduled", "SUP025")
		}
	}
	return b.output(r, "2", "Invalid Job ID", "SUP011")
}

// update reports whether a job writes firmware.
func (j *job) update() bool { return strings.HasPrefix(j.name, "update:") }

// scheduled returns the job for the BIOS that waits for a boot.
func (b *BMC) scheduled() *job {
	for _, j := range b.jobs {
		if j.status == "Scheduled" && !j.update() {
			return j
		}
	}
	return nil
}

// catchUp runs the scheduled job when the machine has booted without us, as by its operating system.
func (b *BMC) catchUp(ctx context.Context) {
	if n := b.machine.Status().Boots; n != b.boots {
		b.boots = n
		b.runJob(ctx)
	}
}

// runJob brings into force what is pending.
func (b *BMC) runJob(ctx context.Context) {
	for _, j := range b.jobs {
		if j.update() && j.status == "Scheduled" {
			j.status, j.message, j.percent = "Completed", "Job completed successfully", 100
		}
	}
	j := b.scheduled()
	if j == nil {
		return
	}
	for _, a := range b.bios {
		if a.set {
			a.current, a.set = a.pending, false
		}
	}
	for _, o := range b.orders {
		o.current = slices.Clone(o.pending)
	}
	j.status, j.message, j.percent = "Completed", "Job completed successfully", 100
	if b.kind.JobErrors {
		j.status, j.message = "Completed with Errors", "The job ended with errors"
	}
	_ = b.apply(ctx)
}

// apply tells the machine its mode and what to boot from.
func (b *BMC) apply(ctx context.Context) error {
	mode := map[string]machine.Mode{"Bios": machine.BIOS, "Uefi": machine.UEFI}[b.find("BootMode").current]
	boot := machine.Boot{Device: machine.None, Mode: mode}
	if b.kind.ServerBoot {
		if boot.Device = b.machine.Status().Boot.Device; boot.Device != machine.None {
			boot.Persistent = b.machine.Status().Boot.Persistent
		}
		return b.machine.SetBoot(ctx, boot)
	}
	o := b.orders[map[machine.Mode]string{machine.BIOS: "IPL", machine.UEFI: "UEFI"}[mode]]
	if o.current[0] != o.factory[0] {
		boot.Device, boot.Persistent = sourceDevice(o.current[0]), true
	}
	return b.machine.SetBoot(ctx, boot)
}
