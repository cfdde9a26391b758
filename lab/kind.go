package lab

import (
	"cmp"
	"context"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
	"github.com/hagane-cloud/hagane/lab/bmcsim/ipmi"
	"github.com/hagane-cloud/hagane/lab/bmcsim/redfish"
	"github.com/hagane-cloud/hagane/lab/bmcsim/ribcl"
	"github.com/hagane-cloud/hagane/lab/bmcsim/scci"
	"github.com/hagane-cloud/hagane/lab/bmcsim/wsman"
)

// Kind is a kind of simulated BMC.
type Kind struct {
	Name   string
	Driver string // that the cloud speaks to it with
	About  string // one line
	plain  bool   // keeps to the standard, and gets the lab's own names
	listen func(bmcsim.Config) (server, error)
}

// server is a simulated BMC.
type server interface {
	Serve(ctx context.Context) error
	Close() error
	Address() string
}

// Kinds lists the kinds of BMC that there are.
func Kinds() []Kind {
	var all []Kind
	plain := len(redfish.Plain())
	for i, p := range redfish.Personalities {
		all = append(all, Kind{Name: p.Name, Driver: "redfish", About: p.About, plain: i < plain, listen: func(c bmcsim.Config) (server, error) { return redfish.Listen(c, p) }})
	}
	all = append(all, Kind{Name: "ipmi", Driver: "ipmi", About: "IPMI 2.0 over UDP, cipher suites 17 and 3", plain: true, listen: listenIPMI})
	for _, p := range ribcl.Personalities {
		all = append(all, Kind{Name: "ribcl-" + strings.ToLower(p.Name), Driver: "ribcl", About: "HPE " + p.Name + " by RIBCL (XML)", plain: true, listen: func(c bmcsim.Config) (server, error) { return ribcl.Listen(c, p) }})
	}
	for _, p := range wsman.Personalities {
		all = append(all, Kind{Name: "wsman-" + strings.ToLower(p.Name), Driver: "wsman", About: "Dell " + p.Name + " by WS-Management (SOAP)", plain: true, listen: func(c bmcsim.Config) (server, error) { return wsman.Listen(c, p) }})
	}
	for _, p := range scci.Personalities {
		name := "scci-" + strings.ToLower(strings.ReplaceAll(p.Name, " ", "-"))
		all = append(all, Kind{Name: name, Driver: "scci", About: "Fujitsu " + p.Name + " by SCCI (XML)", plain: true, listen: func(c bmcsim.Config) (server, error) { return scci.Listen(c, p) }})
	}
	return all
}

// KindNamed returns a kind.
func KindNamed(name string) (Kind, error) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fault.Field("kind", "there is no kind of BMC %q: hagane lab bmc list shows those there are", name)
}

// mixed are the kinds of a rack with BMCs of many vendors.
var mixed = []string{"hpe-ilo5", "dell-idrac9", "lenovo-xcc", "supermicro-x13", "ami-megarac", "openbmc", "fujitsu-irmc-s6", "hpe-ilo6", "dell-idrac10", "supermicro-x12", "nvidia-dgx", "cisco-cimc"}

// vendors returns the kinds that the machines of a rack get in turn: mixed, or names with commas between them.
func vendors(text string) ([]Kind, error) {
	names := strings.Split(text, ",")
	switch text {
	case "":
		return nil, nil
	case "mixed":
		names = mixed
	}
	var all []Kind
	for _, n := range names {
		k, err := KindNamed(strings.TrimSpace(n))
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

// open starts a BMC of the kind.
func (k Kind) open(c bmcsim.Config) (server, error) {
	if k.plain {
		c.Vendor, c.Model, c.Firmware = cmp.Or(c.Vendor, "Hagane"), cmp.Or(c.Model, "Lab BMC"), cmp.Or(c.Firmware, firmwareVersion)
	}
	return k.listen(c)
}

// overUDP is the IPMI BMC with its address as text.
type overUDP struct{ *ipmi.BMC }

// Address returns host and port.
func (b overUDP) Address() string { return b.BMC.Address().String() }

func listenIPMI(c bmcsim.Config) (server, error) {
	b, err := ipmi.Listen(c)
	if err != nil {
		return nil, err
	}
	return overUDP{b}, nil
}

// seedOf makes the seed of one BMC's faults out of the lab's.
func seedOf(seed uint64, i int) uint64 { return seed*1_000_003 + uint64(i) }

// Scripts lists the fault scripts that come along, with what each is about.
func Scripts() ([]inject.Script, error) {
	var all []inject.Script
	for _, name := range inject.Names() {
		s, err := inject.Load(name)
		if err != nil {
			return nil, err
		}
		all = append(all, *s)
	}
	return all, nil
}
