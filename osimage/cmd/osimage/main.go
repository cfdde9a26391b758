// Command osimage builds a test operating system from the command line, for people who work on them;
// the product's own command is 'hagane image build'.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/hagane-cloud/hagane/osimage"
)

func main() {
	out := flag.String("out", ".cache", "folder of the results; each system has its own in it")
	flag.Parse()
	builders := map[string]func(context.Context, osimage.Options) (osimage.Manifest, error){
		"tiny": osimage.BuildTiny, "debian": osimage.BuildDebian,
	}
	build := builders[flag.Arg(0)]
	if flag.NArg() != 1 || build == nil {
		fmt.Fprintln(os.Stderr, "usage: osimage [-out FOLDER] tiny|debian")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	_, err := build(ctx, osimage.Options{Out: filepath.Join(*out, "image-"+flag.Arg(0)), Cache: filepath.Join(*out, "packages"), Log: log})
	stop()
	if err != nil {
		log.Error("building the image", "error", err)
		os.Exit(1)
	}
}
