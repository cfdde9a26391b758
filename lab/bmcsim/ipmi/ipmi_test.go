package ipmi

import (
	"context"
	"log/slog"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/machine"
	"github.com/hagane-cloud/hagane/lab/machine/sim"
)

func computer(t *testing.T) *sim.Machine {
	t.Helper()
	seed := machine.Seed(1)
	m, err := sim.New(machine.Spec{
		Name: "n1", Manufacturer: "Hagane", Product: "Rack 1", Serial: seed.Serial("HG", "n1"), UUID: seed.UUID("n1"),
		Mode: machine.BIOS, CPUs: 1, MemoryMB: 512, Disks: []machine.DiskSpec{{Bus: machine.Virtio, Bytes: 1 << 30, Serial: "D0"}},
	}, t.TempDir(), nil, sim.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func serve(t *testing.T) (*BMC, *sim.Machine) {
	t.Helper()
	m := computer(t)
	b, err := Listen(bmcsim.Config{
		Machine: m, Address: netip.MustParseAddr("127.0.0.1"), Username: "admin", Password: "s3cretpassword16",
		Vendor: "Hagane", Model: "BMC", Firmware: "2.13", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return b, m
}

func TestGoIPMI(t *testing.T) {
	b, m := serve(t)
	for _, suite := range []types.CipherSuiteID{types.CipherSuiteID17, types.CipherSuiteID3} {
		c, err := client.NewClient(b.Address().IP.String(), b.Address().Port, "admin", "s3cretpassword16")
		if err != nil {
			t.Fatal(err)
		}
		c.WithInterface(client.InterfaceLanplus).WithCipherSuiteID(suite).WithTimeout(5 * time.Second)
		if err := c.Connect(t.Context()); err != nil {
			t.Fatalf("suite %d: %v", suite, err)
		}
		id, err := c.GetDeviceID(t.Context())
		if err != nil || id.FirmwareVersionStr() != "2.13" || id.ManufacturerID != manufacturerID {
			t.Errorf("%+v %v", id, err)
		}
		fru, err := c.GetFRU(t.Context(), 0, "")
		if err != nil || fru.ProductInfoArea == nil || string(fru.ProductInfoArea.SerialNumber) != m.Spec().Serial {
			t.Errorf("%+v %v", fru, err)
		}
		sensors, err := c.GetSensors(t.Context())
		if err != nil || len(sensors) != 6 {
			t.Fatalf("%d sensors: %v", len(sensors), err)
		}
		for _, s := range sensors {
			if s.Name == "P12V" && s.IsReadingValid() != m.Status().On {
				t.Errorf("%s while on=%v: %v", s.Name, m.Status().On, s.Value)
			}
			if s.Name == "Inlet Temp" && (s.Value < 20 || s.Value > 30) {
				t.Errorf("%+v", s)
			}
		}
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := m.Power(t.Context(), machine.PowerOn); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIPMITool(t *testing.T) {
	tool, err := exec.LookPath("ipmitool")
	if err != nil {
		t.Skip("ipmitool is not installed; apt-get install ipmitool")
	}
	b, m := serve(t)
	run := func(password, suite string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		all := append([]string{"-I", "lanplus", "-H", b.Address().IP.String(), "-p", strconv.Itoa(b.Address().Port), "-U", "admin", "-P", password, "-C", suite}, args...)
		out, err := exec.CommandContext(ctx, tool, all...).CombinedOutput()
		return string(out), err
	}
	for _, step := range []struct {
		args string
		want string
	}{
		{"chassis power status", "Chassis Power is off"},
		{"chassis bootdev pxe options=efiboot", "Set Boot Device to pxe"},
		{"chassis bootparam get 5", "Force PXE"},
		{"chassis power on", "Chassis Power Control: Up/On"},
		{"chassis power status", "Chassis Power is on"},
		{"chassis bootparam get 5", "No override"},
		{"chassis bootdev disk options=persistent", "Set Boot Device to disk"},
		{"chassis power reset", "Chassis Power Control: Reset"},
		{"chassis bootparam get 5", "Options apply to all future boots"},
		{"mc info", "Firmware Revision         : 2.13"},
		{"fru print", m.Spec().Serial},
		{"sdr list", "12 Volts"},
		{"chassis identify 5", "5 seconds"},
		{"sel info", "Entries          : 2"},
		{"sel elist", "Upper Critical going high"},
		{"sel clear", "Clearing SEL"},
		{"sel list", "SEL has no entries"},
		{"dcmi power reading", "Instantaneous power reading"},
		{"user list 1", "admin"},
		{"user set name 3 guest", ""},
		{"user set password 3 guestpassword 20", "successful"},
		{"user list 1", "guest"},
		{"sol info 1", "Enabled                         : true"},
		{"chassis power diag", "Chassis Power Control: Diag"},
		{"chassis power off", "Chassis Power Control: Down/Off"},
		{"chassis power status", "Chassis Power is off"},
	} {
		suite := "17"
		if strings.HasPrefix(step.args, "chassis power") {
			suite = "3"
		}
		out, err := run("s3cretpassword16", suite, strings.Fields(step.args)...)
		if err != nil || !strings.Contains(out, step.want) {
			t.Errorf("%s: %v: want %q in\n%s", step.args, err, step.want, out)
		}
	}
	if st := m.Status(); st.Boots != 2 || st.BootedFrom != machine.Disk || !st.Boot.Persistent {
		t.Errorf("%+v", st)
	}
	if out, err := run("wrong", "17", "chassis", "power", "status"); err == nil || !strings.Contains(out, "HMAC") && !strings.Contains(out, "session") {
		t.Errorf("wrong password: %v %s", err, out)
	}
}

// A minute without a reset clears the flags, unless parameter 3 says to keep them.
func TestBootFlagsExpire(t *testing.T) {
	m := computer(t)
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := &bootOptions{machine: m, now: time.Now}
			if keep {
				o.write(t.Context(), paramValidClear, []byte{keepOnTimeout})
			}
			if code := o.write(t.Context(), paramFlags, []byte{0xa0, 0x04, 0, 0, 0}); code != types.CodeOK {
				t.Fatal(code)
			}
			if got := m.Status().Boot; got.Device != machine.Network || got.Persistent {
				t.Errorf("%+v", got)
			}
			time.Sleep(61 * time.Second) // in the bubble's time
			o.expire()
			value, _ := o.read(paramFlags)
			if kept := value[0]&flagsValid != 0; kept != keep {
				t.Errorf("keep %v: flags %x", keep, value)
			}
		})
	}
}
