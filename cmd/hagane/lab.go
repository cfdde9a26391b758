package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/lab"
)

func labCommand() *cobra.Command {
	var o lab.Options
	c := &cobra.Command{Use: "lab", Short: "run a virtual rack and enrol its machines into the cloud of the data folder", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out, o.Log = os.Stdout, slog.New(slog.NewTextHandler(os.Stderr, nil))
			if o.Machine == lab.Sim {
				if err := standInRamdisk(o.DataDir); err != nil {
					return err
				}
			}
			if o.Machine == lab.QEMU && standsIn(o.DataDir) {
				o.Log.Warn("the data folder holds a stand-in for the ramdisk, which emulated machines can not boot; replace it with: hagane ramdisk build --kernel cloud --out " + filepath.Join(o.DataDir, "boot"))
			}
			return lab.Run(cmd.Context(), o)
		}}
	f := c.Flags()
	f.StringVar(&o.DataDir, "data", "data", "the cloud's data folder")
	f.IntVar(&o.Nodes, "nodes", 8, "number of machines")
	f.StringVar(&o.Machine, "machine", lab.Sim, "kind of machine: sim or qemu")
	f.Uint64Var(&o.Seed, "seed", 1, "of names, addresses, passwords and serial numbers")
	f.IntVar(&o.MemoryMB, "memory", 0, "MB of memory of each machine (default: 1024 for qemu, 4096 for sim)")
	f.IntVar(&o.NICs, "nics", 1, "network interfaces of each machine, 1 to 4: the second half is of the storage plane")
	f.IntVar(&o.DiskGB, "disk", 0, "GB of each disk (default: 10 for qemu, 100 for sim)")
	f.IntVar(&o.Disks, "disks", 1, "disks of each machine, 1 to 16")
	f.IntVar(&o.CPUs, "cpus", 1, "processors of each machine")
	f.IntVar(&o.PortMbps, "port-mbps", 0, "Mbit/s of each port of the switch, each way (default: as fast as can be)")
	f.StringVar(&o.Mix, "mix", "", "uefi or bios for all machines (default: alternating, UEFI with Redfish and BIOS with IPMI)")
	f.StringVar(&o.ResourceClass, "resource-class", "baremetal", "of the enrolled nodes")
	f.BoolVar(&o.FirmwarePXE, "firmware-pxe", false, "boot UEFI machines with the firmware's own PXE client")
	f.StringVar(&o.Vendors, "vendors", "", "kinds of BMC in turn: mixed, or names with commas (hagane lab bmc list); default: those that keep to the standard")
	f.StringVar(&o.Faults, "faults", "", "script of what goes wrong at the BMCs: name or file, several with commas (hagane lab bmc list)")
	f.BoolVar(&o.NoEnrol, "no-enrol", false, "do not enrol the machines")
	c.AddCommand(labBMCCommand())
	return c
}
