package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent/configdrive"
	"github.com/hagane-cloud/hagane/agent/module"
	"github.com/hagane-cloud/hagane/osimage/instance"
)

// driveWithin is how long the config drive is looked for: slow controllers take their time.
const driveWithin = 15 * time.Second

// userDataFile is where tests and people find the user data.
const userDataFile = "/run/hagane/user-data"

// serve is the worker: it sets the system up and serves until the machine ends.
func serve() error {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	group, ctx := errgroup.WithContext(context.Background())
	if loader, err := module.Open(log); err != nil {
		log.Warn("no kernel modules", "error", err)
	} else {
		loader.LoadForDevices()
		for _, name := range []string{"button", "evdev", "sd_mod"} {
			if err := loader.Load(name); err != nil {
				log.Warn("loading a driver", "error", err)
			}
		}
	}
	group.Go(func() error { return watchButtons(ctx, log) })
	drive, where, err := findDrive(ctx)
	if err != nil {
		log.Warn("no config drive: nobody can log in", "error", err)
	}
	self, err := instance.Parse(drive)
	if err != nil {
		log.Error("the config drive can not be understood", "error", err)
	}
	if self.Hostname == "" {
		self.Hostname = "tiny"
	}
	if err := unix.Sethostname([]byte(self.Hostname)); err != nil {
		log.Warn("setting the host name", "error", err)
	}
	if err := keep(self, drive); err != nil {
		log.Warn("keeping the config drive's files", "error", err)
	}
	if err := network(ctx, group, self, log); err != nil {
		log.Error("setting up the network", "error", err)
	}
	listening := make(chan struct{})
	group.Go(func() error { return serveSSH(ctx, self.Keys, listening, log) })
	<-listening
	fmt.Printf("hagane tiny ready: host %s, config drive %s, %d keys\n", self.Hostname, where, len(self.Keys))
	if bytes.HasPrefix(self.UserData, []byte("#!")) {
		group.Go(func() error { runUserData(ctx, log); return nil })
	}
	return group.Wait()
}

// findDrive looks for the config drive on all disks until it is there.
func findDrive(ctx context.Context) (configdrive.Drive, string, error) {
	deadline := time.Now().Add(driveWithin)
	for {
		names, err := filepath.Glob("/sys/block/*")
		if err != nil {
			return nil, "none", err
		}
		for _, name := range names {
			if drive, err := driveOn(ctx, name); err == nil {
				return drive, "on " + filepath.Base(name), nil
			}
		}
		if time.Now().After(deadline) {
			return nil, "none", fs.ErrNotExist
		}
		select {
		case <-ctx.Done():
			return nil, "none", ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func driveOn(ctx context.Context, sys string) (configdrive.Drive, error) {
	f, err := os.Open(filepath.Join("/dev", filepath.Base(sys)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return nil, errors.Join(err, fs.ErrNotExist)
	}
	sector, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKSSZGET)
	if err != nil {
		return nil, err
	}
	return configdrive.Find(ctx, f, size, sector)
}

// keep writes the user data, and all files of the drive, where people can look at them.
func keep(self instance.Instance, drive configdrive.Drive) error {
	if err := os.MkdirAll(filepath.Dir(userDataFile), 0o755); err != nil {
		return err
	}
	if self.UserData != nil {
		if err := os.WriteFile(userDataFile, self.UserData, 0o700); err != nil {
			return err
		}
	}
	for p, content := range drive {
		file := filepath.Join("/run/hagane/config-2", p)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func runUserData(ctx context.Context, log *slog.Logger) {
	command := exec.CommandContext(ctx, userDataFile)
	command.Dir = "/root"
	out, err := command.CombinedOutput()
	if err := os.WriteFile("/run/hagane/user-data.log", out, 0o600); err != nil {
		log.Warn("keeping the user data's output", "error", err)
	}
	fmt.Printf("hagane tiny: the user data ended (%v): %s\n", err, strings.TrimSpace(string(out)))
}
