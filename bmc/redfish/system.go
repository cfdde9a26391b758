package redfish

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
)

// What is remembered of a device.
const (
	systemFact  = "redfish system"   // path of the ComputerSystem
	managerFact = "redfish manager"  // path of the Manager
	profileFact = "profile"          // its name
	bootFact    = "redfish boot"     // where the boot override is written: system, settings or a path
	etagFact    = "redfish etag "    // and the kind of resource: the form of ETag that is taken
	resetFact   = "redfish reset "   // and the action: the reset type that worked
	assertFact  = "redfish boot set" // the device to set again before each boot, where nothing lasts
)

// system is what we read of a ComputerSystem.
type system struct {
	Manufacturer, Model, SerialNumber, SKU, UUID, AssetTag text
	BiosVersion                                            text
	PowerState                                             text
	Status                                                 status
	Boot                                                   *bootDoc
	Bios, SecureBoot, EthernetInterfaces, LogServices      link
	VirtualMedia, Storage, Processors, Memory              link
	NetworkInterfaces                                      link
	IndicatorLED                                           text
	LocationIndicatorActive                                flag
	LastResetTime                                          moment
	ETag                                                   text `json:"@odata.etag"`
	Settings                                               struct {
		SettingsObject link
	} `json:"@Redfish.Settings"`
	Actions struct {
		Reset *action `json:"#ComputerSystem.Reset"`
	}
	Links struct {
		Chassis   many[link]
		ManagedBy many[link]
	}
	Oem map[string]any
}

// action is an action that a resource offers.
type action struct {
	Target link       `json:"target"`
	Types  many[text] `json:"ResetType@Redfish.AllowableValues"`
	Info   link       `json:"@Redfish.ActionInfo"`
}

// read reads the system, after finding it.
func (d *Driver) read(ctx context.Context) (system, string, error) {
	if d.system == "" {
		d.system = d.access.Memory.Get(systemFact)
	}
	if d.system != "" {
		var s system
		etag, err := d.get(ctx, link(d.system), &s)
		if err == nil || !absent(err) || d.access.System != "" {
			return s, etag, err
		}
		d.system = "" // new firmware names it otherwise
	}
	s, etag, err := d.find(ctx)
	if err == nil {
		d.access.Memory.Set(systemFact, d.system)
	}
	return s, etag, err
}

// find looks for the member of the collection that is a server: it can be reset. BMCs list GPU boards and
// SmartNICs there too, and ids are everything from 1 to the serial number.
func (d *Driver) find(ctx context.Context) (found system, etag string, err error) {
	root, err := d.service(ctx)
	if err != nil {
		return found, "", err
	}
	all, err := d.members(ctx, root.Systems)
	if err != nil {
		return found, "", err
	}
	var hosts []string
	var garbled error
	for _, m := range all {
		var s system
		tag, err := d.get(ctx, m, &s)
		if err != nil {
			if bmc.ClassOf(err) == bmc.Garbled {
				garbled = err
			} else if !absent(err) {
				return found, "", err
			}
			continue
		}
		if s.Actions.Reset == nil && !d.irmc(s) {
			continue
		}
		if hosts = append(hosts, string(m)); len(hosts) == 1 {
			found, etag = s, tag
		}
	}
	switch len(hosts) {
	case 0:
		if garbled != nil {
			return found, "", garbled // it may be the server
		}
		return found, "", bmc.Fail(bmc.Failure{Class: bmc.Unsupported}, "none of the BMC's %d systems can be reset; set redfish_system_id", len(all))
	case 1:
		d.system = hosts[0]
		return found, etag, nil
	}
	return found, "", bmc.Fail(bmc.Failure{Class: bmc.Refused}, "the BMC controls %d servers; set redfish_system_id to one of %s", len(hosts), strings.Join(hosts, ", "))
}

// managerDoc is what we read of a Manager.
type managerDoc struct {
	Manufacturer, Model, FirmwareVersion text
	ManagerType                          text
	VirtualMedia, LogServices            link
	DateTime                             moment
	Actions                              struct {
		Reset *action `json:"#Manager.Reset"`
	}
}

// bmcOf finds the Manager that controls the system and reads it.
func (d *Driver) bmcOf(ctx context.Context, s system) (managerDoc, error) {
	var m managerDoc
	if d.manager == "" {
		d.manager = d.access.Memory.Get(managerFact)
	}
	if d.manager != "" {
		if _, err := d.get(ctx, link(d.manager), &m); err == nil || !absent(err) {
			return m, err
		}
	}
	candidates := []link(s.Links.ManagedBy)
	if root, err := d.service(ctx); err == nil {
		if more, err := d.members(ctx, root.Managers); err == nil { // Huawei leaves ManagedBy out for a while
			candidates = append(candidates, more...)
		}
	}
	for _, c := range candidates {
		var m managerDoc
		if _, err := d.get(ctx, c, &m); err != nil {
			if absent(err) {
				continue
			}
			return m, err
		}
		if m.ManagerType != "" && !strings.EqualFold(string(m.ManagerType), "BMC") && len(candidates) > 1 {
			continue
		}
		d.manager = string(c)
		d.access.Memory.Set(managerFact, d.manager)
		return m, nil
	}
	return m, lacks("Manager resource")
}

// know finds the profile of the BMC, once.
func (d *Driver) know(ctx context.Context) (*profile.Profile, error) {
	if d.profile != nil || d.book == nil {
		return d.profile, nil
	}
	if d.profile = d.book.Named(d.access.Memory.Get(profileFact)); d.profile != nil {
		return d.profile, nil
	}
	s, _, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	f, err := d.facts(ctx, s)
	if err != nil {
		return nil, err
	}
	if d.profile = d.book.Find(f); d.profile != nil {
		d.access.Memory.Set(profileFact, d.profile.Name)
	} else {
		d.profile = &profile.Profile{Name: "none"}
	}
	return d.profile, nil
}

// facts collects what the BMC tells of itself. Its vendor is not the server's: many sell others' BMCs.
func (d *Driver) facts(ctx context.Context, s system) (profile.Facts, error) {
	root, err := d.service(ctx)
	if err != nil {
		return profile.Facts{}, err
	}
	m, err := d.bmcOf(ctx, s)
	if err != nil && !absent(err) {
		return profile.Facts{}, err
	}
	f := profile.Facts{Vendor: string(root.Vendor), BMC: strings.TrimSpace(string(root.Product + " " + m.Model)), Firmware: string(m.FirmwareVersion),
		Maker: string(s.Manufacturer), Model: string(s.Model)}
	if f.Vendor == "" {
		f.Vendor = oemVendor(root.Oem)
	}
	if f.Vendor == "" {
		f.Vendor = string(m.Manufacturer)
	}
	return f, nil
}

// oemVendor tells the vendor by the name of its extensions, where the root does not name it (Supermicro X13).
func oemVendor(oem map[string]any) string {
	for key, name := range map[string]string{"Hpe": "HPE", "Hp": "HPE", "Dell": "Dell", "ts_fujitsu": "Fujitsu", "Fsas": "Fujitsu", "Supermicro": "Supermicro", "Lenovo": "Lenovo", "Ami": "AMI", "OpenBmc": "OpenBMC", "Cisco": "Cisco"} {
		if _, ok := oem[key]; ok {
			return name
		}
	}
	return ""
}

// Identify reads what the server and its BMC are. A BMC with other firmware than remembered is a new device:
// what was learnt about it is forgotten.
func (d *Driver) Identify(ctx context.Context) (bmc.Identity, error) {
	s, _, err := d.read(ctx)
	if err != nil {
		return bmc.Identity{}, err
	}
	id := bmc.Identity{Manufacturer: string(s.Manufacturer), Model: string(s.Model), Serial: string(s.SerialNumber), UUID: uuidOf(string(s.UUID)),
		AssetTag: string(s.AssetTag), BIOSVersion: string(s.BiosVersion)}
	f, err := d.facts(ctx, s)
	if err != nil {
		return id, err
	}
	if strings.HasPrefix(id.Manufacturer, "Dell") || strings.HasPrefix(f.Vendor, "Dell") {
		id.Serial = string(cmp.Or(s.SKU, s.SerialNumber)) // Dell's serial number is the board's; the service tag is in SKU
	}
	m, err := d.bmcOf(ctx, s)
	if err != nil && !absent(err) {
		return id, err
	}
	d.access.Memory.NoteClock(m.DateTime.Time, time.Now())
	id.BMCVendor, id.BMCModel, id.BMCVersion = string(m.Manufacturer), string(m.Model), f.Firmware
	if id.BMCVendor == "" {
		id.BMCVendor = f.Vendor
	}
	return id, nil
}

// uuidOf returns a UUID in lower case; "" for all zeros and all ones, by which SMBIOS says that there is none.
func uuidOf(s string) string {
	s = strings.ToLower(s)
	if digits := strings.ReplaceAll(s, "-", ""); strings.Trim(digits, "0") == "" || strings.Trim(digits, "f") == "" {
		return ""
	}
	return s
}
