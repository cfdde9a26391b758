package wsman

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// invoke carries out a method; "" when there is no such method, or not at the service that was addressed.
func (b *BMC) invoke(ctx context.Context, r request) string {
	if want, ok := names[r.class]; ok && r.selectors["Name"] != want {
		return soap("wsman:InvalidSelectors", "The Selectors for the resource are not valid.")
	}
	switch r.class + "." + r.method {
	case "DCIM_ComputerSystem.RequestStateChange":
		return b.power(ctx, r)
	case "DCIM_CSPowerManagementService.RequestPowerStateChange":
		return b.manage(ctx, r)
	case "DCIM_LCService.GetRemoteServicesAPIStatus":
		return b.status(r)
	case "DCIM_BIOSService.SetAttributes":
		return b.setAttributes(r)
	case "DCIM_BIOSService.CreateTargetedConfigJob":
		if b.scheduled() != nil {
			return b.output(r, "2", "Configuration job already created, cannot create another config job on specified target until existing job is completed or is cancelled", "BIOS007")
		}
		return b.created(r, b.newJob("ConfigBIOS:"+setupTarget, "Scheduled").id)
	case "DCIM_BIOSService.DeletePendingConfiguration":
		return b.deletePending(r)
	case "DCIM_BootConfigSetting.ChangeBootOrderByInstanceID":
		return b.changeOrder(r)
	case "DCIM_JobService.SetupJobQueue":
		return b.enqueue(r)
	case "DCIM_JobService.DeleteJobQueue":
		return b.deleteJobs(r)
	case "DCIM_SELRecordLog.ClearLog":
		b.events = []event{{"2", "Log cleared."}}
		return b.output(r, "0", "The command was successful.", "SYS001")
	case "DCIM_SoftwareInstallationService.InstallFromURI":
		j := b.newJob("update:"+strings.TrimPrefix(r.input.Find("Selector").Text, "DCIM:INSTALLED#"), "Downloading")
		return b.created(r, j.id)
	}
	if b.kind.ServerBoot {
		return b.newer(ctx, r)
	}
	return ""
}

// names are the services' selectors; one that is wrong is refused.
var names = map[string]string{
	"DCIM_ComputerSystem": "srv:system", "DCIM_BIOSService": "DCIM:BIOSService", "DCIM_LCService": "DCIM:LCService", "DCIM_JobService": "JobService",
	"DCIM_CSPowerManagementService": "pwrmgtsvc:1", "DCIM_iDRACCardService": "DCIM:iDRACCardService",
}

// newer carries out what iDRACs from 7 on have.
func (b *BMC) newer(ctx context.Context, r request) string {
	switch r.class + "." + r.method {
	case "DCIM_iDRACCardService.iDRACReset":
		b.door.Leave()
		return b.output(r, "0", "iDRAC was successfully reset.", "RAC064")
	case "DCIM_iDRACCardService.ApplyAttributes":
		j := b.newJob("iDRACConfig", "Completed")
		j.percent = 100
		boot := b.machine.Status().Boot
		for name, v := range pairs(r) {
			switch name {
			case "ServerBoot.1#FirstBootDevice":
				boot.Device = map[string]machine.Device{"Normal": machine.None, "PXE": machine.Network, "HDD": machine.Disk, "VCD-DVD": machine.CDROM, "BIOS": machine.Setup}[v]
			case "ServerBoot.1#BootOnce":
				boot.Persistent = v == "Disabled"
			default:
				b.setUser(name, v)
			}
		}
		if boot.Device == "" || b.machine.SetBoot(ctx, boot) != nil {
			j.status, j.message = "Failed", "The value is not valid"
		}
		return b.created(r, j.id)
	case "DCIM_SystemManagementService.IdentifyChassis":
		b.blinking = r.input.Value("IdentifyState") == "1"
		return b.output(r, "0", "The command was successful.", "SYS001")
	}
	return ""
}

// setUser sets an attribute of a user, such as Users.3#UserName.
func (b *BMC) setUser(name, value string) {
	var n int
	var what string
	if _, err := fmt.Sscanf(strings.Replace(name, "#", " ", 1), "Users.%d %s", &n, &what); err != nil || n < 2 || n >= len(b.users) {
		return
	}
	switch u := &b.users[n]; what {
	case "UserName":
		u.name = value
	case "Password":
		u.password = value
	case "Privilege":
		u.privilege = value
	case "Enable":
		u.on = value == "Enabled"
	}
}

// pairs reads AttributeName and AttributeValue, which follow each other.
func pairs(r request) map[string]string {
	out := map[string]string{}
	name := ""
	for _, e := range r.input.Children {
		switch e.Name {
		case "AttributeName":
			name = e.Text
		case "AttributeValue":
			out[name] = e.Text
		}
	}
	return out
}

func (b *BMC) power(ctx context.Context, r request) string {
	on := b.machine.Status().On
	refused := func() string {
		return b.output(r, "2", "The command failed to set RequestedState", "SYS021")
	}
	action := machine.PowerOff
	switch r.input.Value("RequestedState") {
	case "2":
		if on {
			return refused()
		}
		action = machine.PowerOn
	case "3":
		if !on {
			return refused()
		}
	case "11":
		if !on {
			return refused()
		}
		action = machine.Reset
	default:
		return refused()
	}
	if action != machine.PowerOff {
		b.runJob(ctx)
	}
	if b.machine.Power(ctx, action) != nil {
		return refused()
	}
	b.boots = b.machine.Status().Boots
	return b.output(r, "0", "The command was successful.", "SYS001")
}

func (b *BMC) manage(ctx context.Context, r request) string {
	if !b.machine.Status().On {
		return b.output(r, "2", "The server is off.", "SYS021")
	}
	switch r.input.Value("PowerState") {
	case "11":
		b.nmis++
	case "12":
		if b.machine.Power(ctx, machine.SoftOff) != nil {
			return b.output(r, "2", "The command failed.", "SYS021")
		}
	}
	return b.output(r, "0", "The command was successful.", "SYS001")
}

func (b *BMC) status(r request) string {
	if b.notReady > 0 {
		b.notReady--
		return b.output(r, "0", "Lifecycle Controller Remote Services is not ready.", "LC060", "<n1:LCStatus>5</n1:LCStatus>")
	}
	return b.output(r, "0", "Lifecycle Controller Remote Services is ready.", "LC061", "<n1:LCStatus>0</n1:LCStatus>")
}

func (b *BMC) setAttributes(r request) string {
	if b.scheduled() != nil {
		return b.output(r, "2", "Pending configuration values are already committed, unable to perform another set operation.", "BIOS011")
	}
	values := pairs(r)
	for name, v := range values {
		a := b.find(name)
		if a == nil || a.readOnly || (len(a.possible) > 0 && !slices.Contains(a.possible, v)) {
			return b.output(r, "2", "Invalid AttributeValue for AttributeName "+name+".", "BIOS003")
		}
	}
	for name, v := range values {
		a := b.find(name)
		a.pending, a.set = v, v != a.current
	}
	return b.output(r, "0", "The command was successful.", "BIOS001", "<n1:RebootRequired>Yes</n1:RebootRequired><n1:SetResult>Set PendingValue</n1:SetResult>")
}

func (b *BMC) deletePending(r request) string {
	if b.scheduled() != nil {
		return b.output(r, "2", "Configuration job already created, pending data cannot be deleted.", "BIOS011")
	}
	for _, a := range b.bios {
		a.set = false
	}
	for _, o := range b.orders {
		o.pending = slices.Clone(o.current)
	}
	return b.output(r, "0", "The command was successful.", "BIOS001")
}

func (b *BMC) changeOrder(r request) string {
	o := b.orders[r.selectors["InstanceID"]]
	if o == nil || b.scheduled() != nil {
		return b.output(r, "2", "The boot order can not be changed.", "BOOT011")
	}
	var ids []string
	for _, e := range r.input.All("source") {
		ids = append(ids, e.Text)
	}
	if !slices.Equal(slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values(o.factory))) {
		return b.output(r, "2", "Invalid number of arguments.", "BOOT002")
	}
	o.pending = ids
	return b.output(r, "0", "The command was successful.", "BOOT001")
}

func (b *BMC) deleteJobs(r request) string {
	id := r.input.Value("JobID")
	i := slices.IndexFunc(b.jobs, func(j *job) bool { return j.id == id })
	switch {
	case id == "JID_CLEARALL" || id == "JID_CLEARALL_FORCE":
		b.jobs = nil
	case i < 0:
		return b.output(r, "2", "Invalid Job ID", "SUP011")
	default:
		b.jobs = slices.Delete(b.jobs, i, i+1)
	}
	return b.output(r, "0", "The specified job was deleted", "SUP020")
}

// Schedule makes a job of somebody else's wait for a boot, for tests.
func (b *BMC) Schedule() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newJob("ConfigBIOS:"+setupTarget, "Scheduled")
}

// Interrupts returns how many NMIs were raised.
func (b *BMC) Interrupts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nmis
}

// Blinks reports whether the identify LED blinks.
func (b *BMC) Blinks() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.blinking
}
