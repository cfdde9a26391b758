// Command ramdisk builds a ramdisk from the command line, for people who work on it; the product's
// own command is 'hagane ramdisk build'.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/hagane-cloud/hagane/ramdisk"
)

func main() {
	out := flag.String("out", ".cache/ramdisk-cloud", "folder of the results")
	cache := flag.String("cache", "", "folder of downloaded packages (default: packages, beside the results)")
	kernel := flag.String("kernel", "cloud", "cloud (virtual machines, quick) or generic (real servers)")
	agent := flag.String("agent", "", "static hagane-agent binary (default: built from the sources)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	_, err := ramdisk.Build(ctx, ramdisk.Options{Out: *out, Cache: *cache, Kernel: ramdisk.Flavor(*kernel), Agent: *agent, Log: log})
	stop()
	if err != nil {
		log.Error("building the ramdisk", "error", err)
		os.Exit(1)
	}
}
