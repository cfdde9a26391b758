package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/osimage"
	"github.com/hagane-cloud/hagane/ramdisk"
	"github.com/hagane-cloud/hagane/ramdisk/disc"
)

func ramdiskCommand() *cobra.Command {
	var o ramdisk.Options
	build := &cobra.Command{Use: "build", Short: "build the agent's kernel and initramfs from distribution packages, and the CD that boots them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
			m, err := ramdisk.Build(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Printf("ramdisk with Linux %s in %s\n", m.KernelVersion, o.Out)
			return disc.Build(cmd.Context(), o.Out, m.Vmlinuz, m.Initramfs)
		}}
	f := build.Flags()
	f.StringVar(&o.Out, "out", "data/boot", "folder of the results")
	f.StringVar(&o.Cache, "cache", "", "folder of downloaded packages (default: packages, beside the results)")
	f.StringVar((*string)(&o.Kernel), "kernel", string(ramdisk.Generic), "generic (real servers) or cloud (virtual machines, quick)")
	f.StringVar(&o.Agent, "agent", "", "static hagane-agent binary (default: built from the sources)")
	c := &cobra.Command{Use: "ramdisk", Short: "build what servers boot over the network or from a virtual CD"}
	c.AddCommand(build)
	return c
}

func imageCommand() *cobra.Command {
	var o osimage.Options
	kinds := map[string]func(context.Context, osimage.Options) (osimage.Manifest, error){"tiny": osimage.BuildTiny, "debian": osimage.BuildDebian}
	build := &cobra.Command{Use: "build tiny|debian", Short: "build an operating system image to deploy", Args: cobra.ExactArgs(1), ValidArgs: []string{"tiny", "debian"},
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, ok := kinds[args[0]]
			if !ok {
				return fault.Errorf(fault.Invalid, "there is no image %q to build; there are tiny and debian", args[0])
			}
			if o.Out == "" {
				o.Out = ".cache/image-" + args[0]
			}
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
			m, err := kind(cmd.Context(), o)
			if err == nil {
				fmt.Printf("image %s in %s\n", m.Name, o.Out)
			}
			return err
		}}
	f := build.Flags()
	f.StringVar(&o.Out, "out", "", "folder of the results (default: .cache/image-NAME)")
	f.StringVar(&o.Cache, "cache", "", "folder of downloaded packages")
	c := &cobra.Command{Use: "image", Short: "build operating system images for tests"}
	c.AddCommand(build)
	return c
}
