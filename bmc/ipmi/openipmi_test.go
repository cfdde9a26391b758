package ipmi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/bmctest"
	"github.com/hagane-cloud/hagane/fault"
)

// openIPMI is a BMC that we did not write: OpenIPMI's simulator. It knows the cipher suite 3 and no newer one, so
// that the driver has to fall back from 17.
type openIPMI struct {
	dir, program, address string
	stop                  func()
}

const (
	openIPMIUser     = "admin"
	openIPMIPassword = "s3cretpassword16"
)

// The simulator's files. The chassis is a script that keeps the power, and counts starts and resets as a line each.
const (
	openIPMIConfig = `name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 %d
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "%s"
  startnow false
  user 2 true %q %q admin 10 none md2 md5 straight
`
	// One temperature sensor with a full record (IPMI 2.0, table 43-1), reading 23 °C.
	openIPMICommands = `mc_setbmc 0x20
mc_add 0x20 0 has-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
main_sdr_add 0x20 0x00 0x00 0x51 0x01 0x2e 0x20 0x00 0x01 0x03 0x01 0x7f 0x68 0x01 0x01 0x00 0x00 0x00 0x00 0x10 0x00 0x00 0x01 0x00 0x00 0x01 0x00 0x00 0x00 0x00 0x00 0x00 0x17 0x00 0x00 0xff 0x00 0x00 0x2d 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0x00 0xc3 0x41 0x6d 0x62
sensor_add 0x20 0 1 0x01 0x01
sensor_set_value 0x20 0 1 23 0
mc_enable 0x20
`
	openIPMIChassis = `#!/bin/sh
cd "$(dirname "$0")" || exit 1
op=$1; shift
while [ $# -gt 0 ]; do
  case "$op $1" in
  "get power") echo "power:$(cat power)"; shift ;;
  "get boot") echo "boot:$(cat boot)"; shift ;;
  "set power") [ "$2" = 1 ] && [ "$(cat power)" = 0 ] && echo on >> starts; echo "$2" > power; shift 2 ;;
  "set reset") echo reset >> starts; shift 2 ;;
  "set shutdown") echo 0 > power; shift 2 ;;
  "set boot") echo "$2" > boot; shift 2 ;;
  *) shift ;;
  esac
done
`
)

func startOpenIPMI(t *testing.T) *openIPMI {
	t.Helper()
	program, err := exec.LookPath("ipmi_sim")
	if err != nil {
		t.Skip("OpenIPMI's simulator is not installed; apt-get install openipmi")
	}
	o := &openIPMI{dir: t.TempDir(), program: program}
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.address = free.LocalAddr().String()
	port := free.LocalAddr().(*net.UDPAddr).Port
	if err := errors.Join(free.Close(), os.Mkdir(filepath.Join(o.dir, "state"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"lan.conf": fmt.Sprintf(openIPMIConfig, port, filepath.Join(o.dir, "chassis"), openIPMIUser, openIPMIPassword),
		"sim.emu":  openIPMICommands, "chassis": openIPMIChassis, "power": "0\n", "boot": "none\n", "starts": "",
	} {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	o.start(t)
	t.Cleanup(func() { o.stop() })
	return o
}

// start runs the simulator and waits for its first answer.
func (o *openIPMI) start(t *testing.T) {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command(o.program, "-c", "lan.conf", "-f", "sim.emu", "-s", "state", "-n")
	cmd.Dir, cmd.Stdout, cmd.Stderr = o.dir, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	o.stop = func() {
		_ = cmd.Process.Kill() // it has no state that it would have to save
		<-ended
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		d, err := Open(t.Context(), o.access())
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Power(t.Context())
		_ = d.Close(t.Context())
		if err == nil {
			return
		}
		select {
		case <-ended:
			t.Fatalf("the simulator ended: %s", said.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the simulator does not answer: %v", err)
		}
	}
}

func (o *openIPMI) access() bmc.Access {
	return bmc.Access{Driver: "ipmi", Address: o.address, Username: openIPMIUser, Password: openIPMIPassword}
}

// starts counts how often the chassis was started or reset.
func (o *openIPMI) starts(t *testing.T) int {
	raw, err := os.ReadFile(filepath.Join(o.dir, "starts"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(raw), "\n")
}

func TestConformanceWithOpenIPMI(t *testing.T) {
	t.Parallel()
	const selectorOnly = "of the boot flags this simulator keeps the device selector alone: TestBootWithOpenIPMI looks at that"
	bmctest.Run(t, func(t *testing.T) bmctest.Target {
		o := startOpenIPMI(t)
		return bmctest.Target{
			Open: Open, Access: o.access(), Network: "udp", Obeys: true, Boots: func() int { return o.starts(t) },
			Restart: func(t *testing.T) { o.stop(); o.start(t) },
			Lacks: map[bmctest.Check]string{bmctest.BootDevice: selectorOnly, bmctest.BootOnce: selectorOnly, bmctest.BootAlways: selectorOnly,
				bmctest.RestartBMC: "this simulator does not know Cold Reset", bmctest.Interrupt: "this simulator does not know the diagnostic interrupt"},
		}
	})
}

// The simulator hands the boot device on to its chassis; it knows no boot mode and no flags, and takes parameter 3
// without a use for it.
func TestBootWithOpenIPMI(t *testing.T) {
	t.Parallel()
	o := startOpenIPMI(t)
	d, err := Open(t.Context(), o.access())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close(context.Background()) }()
	for _, c := range []struct {
		set  bmc.Boot
		want string
	}{
		{bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}, "pxe"}, {bmc.Boot{Device: bmc.CDROM, Mode: bmc.BIOS}, "cdrom"},
		{bmc.Boot{Device: bmc.Disk, Mode: bmc.UEFI, Persistent: true}, "default"}, {bmc.Boot{Device: bmc.None}, "none"},
	} {
		if err := d.SetBoot(t.Context(), c.set); err != nil {
			t.Errorf("set %+v: %v", c.set, err)
		}
		raw, err := os.ReadFile(filepath.Join(o.dir, "boot"))
		if got := strings.TrimSpace(string(raw)); err != nil || got != c.want {
			t.Errorf("after %+v the chassis boots %q, want %q; %v", c.set, got, c.want, err)
		}
	}
	// A chassis that forgets what it was told is found out by reading back.
	forgetful := strings.Replace(openIPMIChassis, `echo "$2" > boot`, `echo none > boot`, 1)
	if err := os.WriteFile(filepath.Join(o.dir, "chassis"), []byte(forgetful), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.SetBoot(t.Context(), bmc.Boot{Device: bmc.PXE, Mode: bmc.UEFI}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a boot device that was forgotten: %v", err)
	}
}
