// Package ipmi simulates BMCs that speak IPMI 2.0 over UDP (RMCP+, cipher suites 17 and 3). The
// sessions are those of go-ipmi's server; what the commands do to the machine is here, since it is there that
// BMCs differ.
package ipmi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/hal"
	"github.com/bougou/go-ipmi/pkg/hal/mock"
	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/server"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/bmcsim"
	"github.com/hagane-cloud/hagane/lab/machine"
)

// The numbers by which this BMC identifies itself. The manufacturer is one that IANA keeps for documents.
const (
	manufacturerID = 32473
	productID      = 0x0001
	adminSlot      = 2 // slot 1 belongs to the nameless user
	lanChannel     = 1
)

// BMC is one simulated BMC.
type BMC struct {
	config  bmcsim.Config
	conn    *net.UDPConn
	server  *server.Server
	state   *bmc.BMC
	machine machine.Machine
	sensors []bmcsim.Sensor
	boot    bootOptions
	log     *eventLog

	lose         atomic.Bool // the answer that is being made
	commandsSeen atomic.Int64

	mu    sync.Mutex // guards what follows
	back  time.Time  // when the BMC is there again after its own restart
	light light
	nmis  int
}

// Listen makes a BMC and binds its port. It answers from Serve on.
func Listen(c bmcsim.Config) (*BMC, error) {
	conn, err := bmcsim.Bind(c, func(at netip.AddrPort) (*net.UDPConn, error) {
		return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	})
	if err != nil {
		return nil, err
	}
	b := &BMC{config: c, conn: conn, machine: c.Machine, sensors: bmcsim.Sensors(c.Machine.Spec()), log: newEventLog()}
	b.boot = bootOptions{machine: c.Machine, now: time.Now}
	if b.state, err = b.newState(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	b.server = server.NewServer(b.state, &deafSocket{UDPConn: conn, bmc: b}, server.WithHandlerRegistry(b.commands()),
		server.WithCipherSuites([]types.CipherSuiteID{types.CipherSuiteID17, types.CipherSuiteID3}), server.WithV15Disabled())
	return b, nil
}

// Close gives the port back of a BMC that never served.
func (b *BMC) Close() error { return b.conn.Close() }

// Address returns where the BMC listens.
func (b *BMC) Address() *net.UDPAddr { return b.conn.LocalAddr().(*net.UDPAddr) }

// Serve answers until ctx ends.
func (b *BMC) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		_ = b.server.Close()
		_ = b.conn.Close()
	})
	defer stop()
	if err := b.server.Serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fault.E(fault.Internal, "serve IPMI", err)
	}
	return nil
}

// newState makes what a BMC remembers: who it is, its users, FRU and sensor records.
func (b *BMC) newState() (*bmc.BMC, error) {
	spec := b.machine.Spec()
	hardware := mock.New() // only as the memory of FRU and SDR; the commands below never ask it for power
	hardware.SetConsole(&serial{path: func() string { return b.machine.Status().Console }})
	if err := b.seed(hardware); err != nil {
		return nil, err
	}
	var major, minor uint8
	_, _ = fmt.Sscanf(b.config.Firmware, "%d.%x", &major, &minor)
	state := bmc.New(bmc.DeviceInfo{
		DeviceID: 32, DeviceRevision: 1, FirmwareMajor: major, FirmwareMinor: minor, IPMIVersion: 0x20,
		ManufacturerID: b.manufacturer(), ProductID: productID,
		AdditionalDeviceSupport: 0x8f, // chassis, FRU inventory, SEL, SDR repository, sensors
	}, guid(spec.UUID), hardware)
	user, err := state.Users.Add(adminSlot, b.config.Username)
	if err != nil {
		return nil, fault.E(fault.Internal, "add the BMC's user", err)
	}
	user.SetPassword([]byte(b.config.Password))
	user.Enabled = true
	user.ChannelAccess[lanChannel] = bmc.UserChannelAccess{MaxPrivilege: bmc.PrivilegeLevelAdministrator, Enabled: true}
	if err := state.Users.Update(1, func(u *bmc.User) error { u.Enabled = false; return nil }); err != nil {
		return nil, fault.E(fault.Internal, "disable the nameless user", err)
	}
	return state, nil
}

// manufacturers are the IANA enterprise numbers of those that the lab plays.
var manufacturers = map[string]uint32{"Dell": 674, "Fujitsu": 10368, "Supermicro": 10876, "Lenovo": 19046, "HPE": 47196}

func (b *BMC) manufacturer() uint32 {
	if n, ok := manufacturers[b.config.Vendor]; ok {
		return n
	}
	return manufacturerID
}

// SetUser sets a user's place, as another interface of the same BMC does; "" for the name empties it. level is an IPMI privilege level.
func (b *BMC) SetUser(slot uint8, name, password string, level uint8, on bool) error {
	err := b.state.Users.Upsert(slot, func(u *bmc.User) error {
		u.Name, u.Enabled = name, on && name != ""
		u.SetPassword([]byte(password))
		if u.ChannelAccess == nil {
			u.ChannelAccess = map[uint8]bmc.UserChannelAccess{}
		}
		u.ChannelAccess[lanChannel] = bmc.UserChannelAccess{MaxPrivilege: bmc.PrivilegeLevel(level), Enabled: true}
		return nil
	})
	if err != nil {
		return fault.E(fault.Internal, "change a user of the BMC", err)
	}
	return nil
}

func (b *BMC) seed(hardware hal.HAL) error {
	spec, store := b.machine.Spec(), hardware.Storage()
	fru, err := types.PackFRU(types.FRUPackConfig{
		Chassis: &types.FRUPackChassis{Type: 0x17, PartNumber: "HG-CH", Serial: spec.Serial}, // 0x17: rack mount
		Board:   &types.FRUPackBoard{MfgDate: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Mfg: spec.Manufacturer, Product: spec.Product, Serial: spec.Serial, PartNumber: "HG-MB"},
		Product: &types.FRUPackProduct{Manufacturer: spec.Manufacturer, Name: spec.Product, PartModel: "HG-1", Version: "1.0", Serial: spec.Serial},
	})
	if err != nil {
		return fault.E(fault.Internal, "make the FRU record", err)
	}
	ctx := context.Background()
	if err := store.FRU().Write(ctx, 0, fru); err != nil {
		return fault.E(fault.Internal, "keep the FRU record", err)
	}
	locator := types.PackMCLocator(types.MCLocatorPackOpts{RecordID: 1, Name: "BMC"})
	if err := store.SDR().Write(ctx, 1, locator); err != nil {
		return fault.E(fault.Internal, "keep the locator record", err)
	}
	for i, s := range b.sensors {
		id := uint16(i + 2)
		if err := store.SDR().Write(ctx, id, fullRecord(id, uint8(i+1), s)); err != nil {
			return fault.E(fault.Internal, "keep a sensor record", err)
		}
	}
	return nil
}

// commands returns the BMC's commands: go-ipmi's for sessions, users, FRU and SDR, and ours for all that
// touches the machine.
func (b *BMC) commands() *handlers.Registry {
	r := handlers.NewRegistry()
	r.Use(b.misbehave)
	handlers.RegisterAllHandlers(r)
	r.RegisterFunc(types.CommandGetChassisStatus, b.chassisStatus)
	r.RegisterFunc(types.CommandChassisControl, b.chassisControl)
	r.RegisterFunc(types.CommandChassisIdentify, b.identify)
	r.RegisterFunc(types.CommandSetSystemBootOptions, b.setBootOptions)
	r.RegisterFunc(types.CommandGetSystemBootOptions, b.getBootOptions)
	r.RegisterFunc(types.CommandGetSensorReading, b.sensorReading)
	r.RegisterFunc(types.CommandGetSELInfo, b.selInfo)
	r.RegisterFunc(types.CommandReserveSEL, b.reserveSEL)
	r.RegisterFunc(types.CommandGetSELEntry, b.selEntry)
	r.RegisterFunc(types.CommandClearSEL, b.clearSEL)
	r.RegisterFunc(types.CommandGetDCMIPowerReading, b.dcmiPower)
	r.RegisterFunc(types.CommandColdReset, b.resetBMC) // go-ipmi's would reset the machine
	r.RegisterFunc(types.CommandWarmReset, b.resetBMC)
	return r
}

// guid returns a UUID's bytes in the order in which IPMI sends them: the last first (table 20-10).
func guid(uuid string) (id [16]byte) {
	plain, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(plain) != len(id) {
		return id
	}
	for i := range id {
		id[15-i] = plain[i]
	}
	return id
}
