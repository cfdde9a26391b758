package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent/module"
)

// mounts are the file systems that everything else needs.
var mounts = []struct {
	kind, target string
	flags        uintptr
}{
	{"proc", "/proc", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV},
	{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV},
	{"devtmpfs", "/dev", unix.MS_NOSUID},
	{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV},
	{"tmpfs", "/tmp", unix.MS_NOSUID | unix.MS_NODEV},
}

// mount mounts them. What can not be mounted is reported and the rest tried: a machine that still
// reaches the cloud can say what is wrong with it.
func mount(out io.Writer) {
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			fmt.Fprintln(out, "hagane-agent: making", m.target, err)
		}
		if err := unix.Mount(m.kind, m.target, m.kind, m.flags, ""); err != nil && err != unix.EBUSY {
			fmt.Fprintln(out, "hagane-agent: mounting", m.target, err)
		}
	}
}

// consoles opens all consoles that the kernel writes to: /dev/console is only the last of them, and
// people may be looking at another.
func consoles() io.Writer {
	names := strings.Fields(read("/sys/class/tty/console/active"))
	var all each
	for _, name := range names {
		if f, err := os.OpenFile(filepath.Join("/dev", name), os.O_WRONLY|unix.O_NOCTTY, 0); err == nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return os.Stdout
	}
	return all
}

// each writes to every writer and minds no errors: a console that is gone shall not stop the agent.
type each []io.Writer

func (e each) Write(b []byte) (int, error) {
	for _, w := range e {
		_, _ = w.Write(b) // there is no place left to report it
	}
	return len(b), nil
}

// kernelLog is /dev/kmsg, below the level that the console shows, so that the kernel's log has the
// agent's lines in their place and the console does not show them twice.
type kernelLog struct{ to *os.File }

func (k kernelLog) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if k.to != nil {
			_, _ = k.to.WriteString("<7>hagane: " + line) // a full log is no reason to stop
		}
	}
	return len(b), nil
}

func read(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// always are modules that no device asks for by itself.
var always = []string{"sd_mod", "af_packet"}

// loadDrivers loads the drivers of all devices that are there now.
func loadDrivers(log *slog.Logger) {
	loader, err := module.Open(log)
	if err != nil {
		log.Warn("no kernel modules: only built-in drivers", "error", err)
		return
	}
	for _, name := range always {
		if err := loader.Load(name); err != nil {
			log.Warn("a driver could not be loaded", "error", err)
		}
	}
	log.Info("loaded drivers", "modules", loader.LoadForDevices())
}

// settle waits until disks and NICs have stopped appearing: until nothing new came for a second once
// there is at least one of each, and half a minute when there is not (a machine without disks can
// still be inspected).
func settle(ctx context.Context, log *slog.Logger) error {
	const step = 100 * time.Millisecond
	loader, err := module.Open(slog.New(slog.DiscardHandler))
	if err != nil {
		loader = nil // loadDrivers has said so
	}
	began, changed := time.Now(), time.Now()
	disks, nics := -1, -1
	for {
		d, n := count("/sys/block/*/device"), count("/sys/class/net/*/device")
		if d != disks || n != nics {
			disks, nics, changed = d, n, time.Now()
			if loader != nil {
				loader.LoadForDevices() // disks behind a controller that was slow
			}
		}
		quiet, waited := time.Since(changed), time.Since(began)
		if d > 0 && n > 0 && quiet > time.Second || quiet > 5*time.Second && waited > 30*time.Second {
			log.Info("devices have settled", "disks", d, "nics", n, "seconds", waited.Seconds())
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(step):
		}
	}
}

func count(pattern string) int {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return 0
	}
	return len(found)
}
