package redfish

import (
	"encoding/json"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// Personality is how one kind of BMC differs from another: where its resources are, what it offers, and in
// which ways it deviates from the standard. It is data; what a field makes a BMC do is in the file of its noun.
type Personality struct {
	Name  string // by which it is asked for
	About string // one line for people

	Vendor, Product, Model, Firmware string // Vendor and Product of the service root; Model and Firmware of the manager
	Manufacturer                     string // of the manager; "" is Vendor
	RedfishVersion                   string
	SystemID, ManagerID, ChassisID   string
	OEM                              string // key of the vendor's own properties; "" has none

	Wire     Wire
	Tags     Tags
	Logins   Logins
	Accounts Accounts
	Power    Power
	Boot     Boot
	Media    Media
	Settings Settings
	Tasks    Tasks
	Tree     Tree
	Changes  []Change
}

// Wire is how it speaks HTTP.
type Wire struct {
	HangsUp  bool   // closes the connection after each answer and does not say so (HPE iLO 4 to 6)
	Gzip     bool   // compresses although nobody asked
	GzipOnly bool   // 406 for registries unless gzip is accepted (HPE Gen10 Plus)
	MaxTLS   uint16 // 0: any
	Fold     bool   // takes paths in any case
}

// Form is a way to write an ETag.
type Form string

// The forms.
const (
	Strong Form = ""       // "abc"
	Weak   Form = "weak"   // W/"abc" is sent; only "abc" is accepted
	NoTag  Form = "none"   // no header
	Empty  Form = "empty"  // a header with nothing in it
	Twice  Form = "twice"  // ""abc"" is sent; only abc is accepted
	InBody Form = "body"   // only as @odata.etag
	Number Form = "number" // a bare number, as @odata.etag only (Fujitsu iRMC)
)

// Tags is how it guards against lost updates.
type Tags struct {
	Form       Form
	Needed     bool // 428 for a PATCH without If-Match
	RefusePOST bool // 412 for a POST with If-Match (iDRAC10)
	RefuseAll  bool // 412 for any If-Match
	Racy       bool // every other If-Match that is right is refused (Lenovo XCC)
}

// Logins is how sessions are made.
type Logins struct {
	Max     int
	Old     bool   // the collection is /redfish/v1/Sessions and SessionService/Sessions takes no POST (iDRAC7/8)
	NoID    bool   // the answer to a login has no @odata.id (iLO4)
	FullID  string // message id when there is no room
	Absolut bool   // Location has scheme and host
}

// Accounts is how users are kept.
type Accounts struct {
	Slots             int  // fixed slots in place of a collection; 0: a collection
	First             int  // first slot that can be given away
	RoleNeedsPassword bool // 400 for a role without a password (iDRAC)
}

// Power is what power actions there are, and how they go wrong.
type Power struct {
	Types      []string
	ActionInfo bool          // the types are told by an ActionInfo resource, not by AllowableValues
	Same       int           // status when the server is already in the state; 0 is 204
	Cooling    time.Duration // so long after a change, the next one is refused
	CoolingID  string        // with this message
	BMCTypes   []string      // of Manager.Reset; nil takes none, and an empty body
}

// Boot is how the boot device is set.
type Boot struct {
	At           string // "": on the system; Settings or SD: on that resource, and the system refuses
	RefuseID     string // message of the system's refusal
	Advertised   bool   // the system's @Redfish.Settings names At
	Decoy        bool   // @Redfish.Settings names a resource that has no Boot
	Triple       bool   // target, enabled and mode are all needed
	Forgets      bool   // what is left out is reset: mode to Legacy, enabled to Disabled
	NoMode       bool   // does not know BootSourceOverrideMode and refuses the whole change
	FixedMode    bool   // UnsupportedOperation when the mode is to change (HPE)
	OnceIgnored  bool   // says Once and boots as ever
	Nothing      bool   // 200, and the override shows Disabled and Legacy
	NoContinuous bool
	BriefAlways  bool   // Continuous holds for one boot
	NoTargets    bool   // no AllowableValues of the target on the system
	SelfTestID   string // message with which changes are refused during the self-test
	PhysicalCD   bool   // the target Cd is a drive that is not there; the virtual one is booted by an attribute of the manager (iDRAC)
	CD           string // target of the virtual CD; "" is Cd
	Order        bool   // has BootOrder and BootOptions; without, BootOrder is an unknown property
	Blank        bool   // enumerations are empty strings until first set (BlueField)
}

// Media is how virtual media are inserted.
type Media struct {
	Under      string // Managers or Systems; "" is Managers
	Style      string // "": actions; patch: PATCH of the slot; irmc: Fujitsu's own action
	Slots      []Slot
	Refused    []string      // fields of InsertMedia that are refused
	Needed     []string      // fields of InsertMedia that must be there
	NeededID   string        // message when one is missing
	EjectBody  bool          // 415 for EjectMedia without a body
	EjectEmpty int           // status of ejecting an empty slot; 0 is 204
	KeepsName  bool          // ImageName stays after ejecting (Supermicro)
	Lingers    time.Duration // so long after ejecting the slot still shows inserted, and InsertMedia fails
	Status     int           // of a good InsertMedia; 0 is 204
	NullTypes  bool          // MediaTypes is null
}

// Slot is a virtual drive.
type Slot struct {
	ID     string
	Types  []string
	Unable int  // status of InsertMedia on a slot that can not do it; 0: it can
	Silent bool // lists no InsertMedia action, or is no use with PATCH
}

// Settings is how BIOS settings are changed.
type Settings struct {
	Path     string // of the BIOS; "" is Systems/ID/Bios
	Pending  string // last part of the path of what is pending
	FullCopy bool   // what is pending is a copy of everything
	Jobs     bool   // a job carries the change out; /Bios shows the new values before (Dell)
	Body     bool   // 415 for ResetBios without a body
	Mode     Mode
	None     bool   // no BIOS resource
	Registry string // path of the registry; "none": there is none
	ExtRef   bool   // the registry's Uri is an object (iLO4)
}

// Mode is the setting that holds the firmware mode.
type Mode struct{ Name, UEFI, BIOS string }

// Tasks is how long work is told.
type Tasks struct {
	NewFirst       bool // the state is New at first
	Critical       bool // ends as Completed with status Critical
	Purge          bool // a finished task is gone after it was read once
	MonitorDeletes bool // reading the monitor of a finished task deletes it (Lenovo)
	MonitorGone    bool // the monitor is gone when a BMC update is complete (HPE)
	NoLocation     bool // 202 without Location
	Racy           bool // a new task is 404 at the first look (Dell)
	None           bool // no SimpleUpdate
	OnReset        bool // an update can be left for the next boot, or the BMC's restart
}

// Tree is what else there is, or is not.
type Tree struct {
	HGX          bool          // a second system and manager that can do nothing (NVIDIA)
	Traps        []string      // reading these restarts the BMC (iDRAC and its enclosures)
	Dead         []string      // links that lead nowhere, in the manager's log services
	Page         int           // members a page; 0: all
	NullMembers  bool          // empty lists are null
	ExpandDrops  bool          // $expand leaves Id and Name out (AMI)
	NoQuery      bool          // 400 for any query
	Comma        []string      // resources with a comma too many
	Slow         time.Duration // of the service root
	NoRootLinks  bool          // the root names neither Systems, Chassis nor Managers
	NoSystemNICs bool          // no EthernetInterfaces
	NoAdapters   bool          // 400 for NetworkAdapters (HPE Gen11)
	NoCount      bool          // no Members@odata.count
	OldSensors   bool          // Thermal and Power
	NewSensors   bool          // ThermalSubsystem and Sensors
	Licensed     []string      // paths that a licence is needed for (Supermicro)
	SystemLogs   []string      // log services of the system
	ManagerLogs  []string
	LEDs         string // "": both; old: IndicatorLED alone; new: LocationIndicatorActive alone
}

// Change is a JSON document that is merged (RFC 7386) into the resources whose path below the root matches a
// pattern, in which * stands for any characters.
type Change struct {
	Path string
	JSON json.RawMessage
}

// Personalities are all kinds: the plain ones first, then those that deviate as real ones do.
var Personalities = everyKind()

func everyKind() []Personality {
	all := Plain()
	for _, vendor := range [][]Personality{hpe(), dell(), fujitsu(), supermicro(), lenovo(), ami(), openbmc(), nvidia(), cisco(), odd()} {
		all = append(all, vendor...)
	}
	return all
}

// PersonalityNamed returns the kind of a name, such as dell-idrac9.
func PersonalityNamed(name string) (Personality, error) {
	for _, p := range Personalities {
		if p.Name == name {
			return p, nil
		}
	}
	return Personality{}, fault.Errorf(fault.NotFound, "there is no kind of Redfish BMC %q: hagane lab bmc list shows those there are", name)
}
