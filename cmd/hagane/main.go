// Command hagane is a bare-metal cloud: serve runs it, lab gives it a virtual rack, demo shows it at
// work, and ramdisk and image build what servers boot.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set at build time.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "hagane:", err)
		stop()
		os.Exit(1)
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "hagane", Short: "a bare-metal cloud", Version: version,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(serveCommand(), labCommand(), demoCommand(), bmcCommand(), nodeCommand(), whyCommand(), runCommand(), limitCommand(), conductorCommand(), backupCommand(), restoreCommand(), moveCommand(), ramdiskCommand(), imageCommand())
	return root
}
