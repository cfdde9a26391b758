package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/demo"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab"
	"github.com/hagane-cloud/hagane/osimage"
	"github.com/hagane-cloud/hagane/ramdisk"
)

func demoCommand() *cobra.Command {
	o := demo.Options{Out: os.Stdout}
	var images string
	c := &cobra.Command{Use: "demo", Short: "show a tenant getting servers, from the bare machines to SSH and back", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Faults != "" && o.Vendors == "" {
				o.Vendors = hardRack
			}
			if o.Faults != "" && !cmd.Flags().Changed("nodes") {
				o.Nodes = strings.Count(o.Vendors, ",") + 1
			}
			if err := prepareDemo(&o, images); err != nil {
				return err
			}
			return demo.Run(cmd.Context(), o)
		}}
	f := c.Flags()
	f.StringVar(&o.Machine, "machine", lab.QEMU, "kind of machine: qemu or sim")
	f.StringVar(&o.OS, "os", "tiny", "operating system of qemu machines: tiny or debian")
	f.IntVar(&o.Nodes, "nodes", 2, "number of machines")
	f.IntVar(&o.Disks, "disks", 1, "disks of each machine; with 3 and more, those beside the image's become a RAID with LVM and file systems")
	f.Uint64Var(&o.Seed, "seed", 1, "of the lab")
	f.StringVar(&o.Data, "data", "", "data folder (default: a new temporary one)")
	f.StringVar(&o.Ramdisk, "ramdisk", ".cache/ramdisk-cloud", "folder of the agent's ramdisk")
	f.StringVar(&images, "images", ".cache", "folder in which image-tiny and image-debian lie")
	f.StringVar(&o.Faults, "faults", "", "script of what goes wrong with the BMCs, such as hard (hagane lab bmc list); 8 machines of many vendors unless told otherwise")
	f.StringVar(&o.Vendors, "vendors", "", "kinds of BMC (hagane lab bmc list)")
	f.BoolVar(&o.Keep, "keep", false, "leave the cloud running with its servers")
	return c
}

// hardRack is a rack of many vendors, for a demo with faults.
const hardRack = "hpe-ilo5,dell-idrac9,fujitsu-irmc-s6,supermicro-x13,lenovo-xcc,ami-megarac,ipmi,ribcl-ilo4"

// prepareDemo finds what the machines boot, and says how to make what is missing.
func prepareDemo(o *demo.Options, images string) (err error) {
	if o.Program, err = os.Executable(); err != nil {
		return err
	}
	if o.Data == "" {
		if o.Data, err = os.MkdirTemp("", "hagane-demo-"); err != nil {
			return err
		}
	} else if _, err := os.Stat(o.Data); err == nil {
		return fault.Errorf(fault.Conflict, "the data folder %s exists already; the demo needs a new one", o.Data)
	}
	if o.Machine == lab.Sim {
		o.OS, o.User, o.Ramdisk = "sim", "hagane", filepath.Join(o.Data, "boot")
		return nil
	}
	if _, err := ramdisk.Read(o.Ramdisk); err != nil {
		return fault.Wrap("build it with: hagane ramdisk build --kernel cloud --out "+o.Ramdisk, err)
	}
	dir := filepath.Join(images, "image-"+o.OS)
	m, err := osimage.Read(dir)
	if err != nil {
		return fault.Wrap("build it with: hagane image build "+o.OS, err)
	}
	o.Image, o.User = filepath.Join(dir, m.Raw), m.User
	return nil
}
