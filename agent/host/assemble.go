package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/module"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

var _ agent.Assembler = (*Machine)(nil)

// personalities are the kernel modules of RAID levels: nothing in the ramdisk loads them when the kernel asks.
var personalities = map[int]string{0: "raid0", 1: "raid1", 5: "raid456", 6: "raid456", 10: "raid10"}

// lvmConfig makes LVM do by itself what udev does elsewhere, and leaves no files of its own.
const lvmConfig = `devices { use_devicesfile=0 obtain_device_list_from_udev=0 external_device_info_source="none" }
activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }
global { event_activation=0 use_lvmpolld=0 use_lvmlockd=0 locking_dir="/run/lvm" }
backup { backup=0 archive=0 }`

// run runs a tool and returns what it printed. A failure carries the end of what the tool complained about.
func (m *Machine) run(ctx context.Context, tool string, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, filepath.Join(m.tools, tool), arguments...)
	command.Env = []string{"LC_ALL=C", "PATH=" + m.tools + ":/bin", "LVM_SYSTEM_DIR=/run/lvm", "LVM_SUPPRESS_FD_WARNINGS=1"}
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	err := command.Run()
	m.log.Info("ran a tool", "tool", tool, "arguments", arguments, "said", complaints.String(), "error", err)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.E(fault.Invalid, "the ramdisk has no "+tool+": build it anew", err)
	}
	if err != nil {
		const most = 1000
		words := strings.TrimSpace(complaints.String())
		words = words[max(0, len(words)-most):]
		return out.Bytes(), fault.E(fault.Internal, tool+": "+words, err)
	}
	return out.Bytes(), nil
}

func (m *Machine) lvm(ctx context.Context, arguments ...string) ([]byte, error) {
	return m.run(ctx, "lvm", append([]string{arguments[0], "--config", lvmConfig}, arguments[1:]...)...)
}

// load loads kernel modules.
func (m *Machine) load(names ...string) error {
	loader, err := module.Open(m.log)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := loader.Load(name); err != nil {
			return err
		}
	}
	return nil
}

// Array makes a software RAID with metadata of version 1.2. Its first synchronisation is left to the system that starts
// from the disks.
func (m *Machine) Array(ctx context.Context, name string, level int, members []string) (agent.Disk, error) {
	if err := m.load("md_mod", personalities[level]); err != nil {
		return nil, err
	}
	// The kernel would synchronise while the disks are in use here, and slow that down.
	_ = os.WriteFile("/proc/sys/dev/raid/speed_limit_max", []byte("1000"), 0o600) // only a matter of time
	device := fmt.Sprintf("md%d", len(m.arrays))
	arguments := []string{
		"--create", filepath.Join(m.dev, device), "--run", "--force", "--level=" + strconv.Itoa(level), "--raid-devices=" + strconv.Itoa(len(members)),
		"--metadata=1.2", "--name=" + name, "--homehost=any", "--auto=yes",
	}
	m.arrays = append(m.arrays, filepath.Join(m.dev, device)) // what fails half way is to be stopped too
	if _, err := m.run(ctx, "mdadm", append(arguments, members...)...); err != nil {
		return nil, err
	}
	return m.open(device)
}

// Group makes a volume group.
func (m *Machine) Group(ctx context.Context, g protocol.VolumeGroup, members []string) (map[string]string, error) {
	if err := m.load("dm_mod"); err != nil {
		return nil, err
	}
	for _, member := range members {
		if _, err := m.lvm(ctx, "pvcreate", "-ff", "-y", "--zero", "y", member); err != nil {
			return nil, err
		}
	}
	if _, err := m.lvm(ctx, append([]string{"vgcreate", "-y", g.Label}, members...)...); err != nil {
		return nil, err
	}
	m.groups = append(m.groups, g.Label)
	devices := map[string]string{}
	for _, open := range []bool{false, true} { // what takes the rest is made last
		for _, v := range g.Volumes {
			if (v.Bytes == 0) != open {
				continue
			}
			size := []string{"-L", fmt.Sprintf("%db", v.Bytes)}
			if open {
				size = []string{"-l", "100%FREE"}
			}
			if _, err := m.lvm(ctx, append([]string{"lvcreate", "-y", "-W", "y", "-Z", "y", "-n", v.Label, g.Label}, size...)...); err != nil {
				return nil, err
			}
			devices[v.Label] = filepath.Join(m.dev, g.Label, v.Label)
		}
	}
	return devices, nil
}

// formats are the programs that make file systems, without discarding and writing what an erased disk holds already. A label
// that is too long for the kind is left out.
var formats = map[string]struct {
	tool      string
	arguments []string
	uuid      string
	label     string
	longest   int
}{
	layout.Ext4: {"mkfs.ext4", []string{"-q", "-F", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"}, "-U", "-L", 16},
	layout.XFS:  {"mkfs.xfs", []string{"-q", "-f", "-K"}, "-m", "-L", 12},
	layout.Swap: {"mkswap", nil, "-U", "-L", 15},
}

// Format makes a file system.
func (m *Machine) Format(ctx context.Context, device string, f protocol.Filesystem) error {
	how, known := formats[f.Type]
	if !known {
		return fault.Errorf(fault.Invalid, "there is no program to make %s", f.Type)
	}
	arguments := slices.Clone(how.arguments)
	if id := f.UUID; id != "" {
		if f.Type == layout.XFS {
			id = "uuid=" + id
		}
		arguments = append(arguments, how.uuid, id)
	}
	if len(f.Label) <= how.longest {
		arguments = append(arguments, how.label, f.Label)
	}
	_, err := m.run(ctx, how.tool, append(arguments, device)...)
	return err
}

// ReadFilesystem asks blkid.
func (m *Machine) ReadFilesystem(ctx context.Context, device string) (protocol.Filesystem, error) {
	out, err := m.run(ctx, "blkid", "-p", "-o", "export", device)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 2 { // nothing was found
		return protocol.Filesystem{}, nil
	}
	said := pairs(out)
	return protocol.Filesystem{Type: said["TYPE"], UUID: said["UUID"]}, err
}

// pairs reads lines of NAME=VALUE.
func pairs(out []byte) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[name] = value
		}
	}
	return all
}

// ReadGroup asks LVM, which reads the physical volumes.
func (m *Machine) ReadGroup(ctx context.Context, label string) (protocol.VolumeGroup, error) {
	g := protocol.VolumeGroup{Label: label}
	var said struct {
		Report []struct {
			LV []struct {
				Name string `json:"lv_name"`
				Size string `json:"lv_size"`
			} `json:"lv"`
			PV []struct {
				Name  string `json:"pv_name"`
				Group string `json:"vg_name"`
			} `json:"pv"`
		} `json:"report"`
	}
	out, err := m.lvm(ctx, "lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", "lv_name,lv_size", label)
	if err != nil {
		return g, err
	}
	if err := json.Unmarshal(out, &said); err != nil || len(said.Report) != 1 {
		return g, fault.E(fault.Internal, "reading what lvs says", err)
	}
	for _, v := range said.Report[0].LV {
		size, err := strconv.ParseInt(v.Size, 10, 64)
		if err != nil {
			return g, fault.E(fault.Internal, "reading what lvs says", err)
		}
		g.Volumes = append(g.Volumes, protocol.Volume{Label: v.Name, Bytes: size})
	}
	if out, err = m.lvm(ctx, "pvs", "--reportformat", "json", "-o", "pv_name,vg_name"); err != nil {
		return g, err
	}
	if err := json.Unmarshal(out, &said); err != nil || len(said.Report) != 1 {
		return g, fault.E(fault.Internal, "reading what pvs says", err)
	}
	for _, v := range said.Report[0].PV {
		if v.Group == label {
			g.Partitions = append(g.Partitions, v.Name)
		}
	}
	return g, nil
}

// Release deactivates groups and stops arrays.
func (m *Machine) Release(ctx context.Context) error {
	var errs []error
	for _, g := range m.groups {
		_, err := m.lvm(ctx, "vgchange", "-a", "n", g)
		errs = append(errs, err)
	}
	for _, a := range m.arrays {
		_, err := m.run(ctx, "mdadm", "--stop", a)
		errs = append(errs, err)
	}
	m.groups, m.arrays = nil, nil
	return errors.Join(errs...)
}

// ReadMember reads a member's superblock.
func (m *Machine) ReadMember(ctx context.Context, device string) (agent.Member, error) {
	out, err := m.run(ctx, "mdadm", "--examine", "--export", device)
	if err != nil {
		return agent.Member{}, err
	}
	said := pairs(out)
	level, err := strconv.Atoi(strings.TrimPrefix(said["MD_LEVEL"], "raid"))
	devices, err2 := strconv.Atoi(said["MD_DEVICES"])
	if err := errors.Join(err, err2); err != nil || said["MD_UUID"] == "" {
		return agent.Member{}, fault.E(fault.Internal, fmt.Sprintf("reading what mdadm says of %s: %q", device, out), err)
	}
	return agent.Member{Array: said["MD_UUID"], Level: level, Devices: devices}, nil
}
