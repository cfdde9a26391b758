package main

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	eventBytes = 24  // struct input_event on 64-bit machines: time, type, code, value
	keyEvent   = 1   // EV_KEY
	keyPower   = 116 // KEY_POWER
)

// watchButtons waits for the power button, which is what a BMC's soft power off presses, and powers off.
func watchButtons(ctx context.Context, log *slog.Logger) error {
	// The button's driver may take a moment to make its device.
	var devices []string
	for deadline := time.Now().Add(5 * time.Second); len(devices) == 0 && time.Now().Before(deadline); {
		found, err := filepath.Glob("/dev/input/event*")
		if err != nil {
			return err
		}
		devices = found
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, device := range devices {
		f, err := os.Open(device)
		if err != nil {
			log.Warn("opening a button", "device", device, "error", err)
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = f.Close() })
		group.Go(func() error {
			defer stop()
			watch(f, log)
			return nil
		})
	}
	return group.Wait()
}

func watch(f io.Reader, log *slog.Logger) {
	event := make([]byte, eventBytes)
	for {
		if _, err := io.ReadFull(f, event); err != nil {
			return // the device is gone
		}
		kind, code := binary.LittleEndian.Uint16(event[16:]), binary.LittleEndian.Uint16(event[18:])
		if kind == keyEvent && code == keyPower && binary.LittleEndian.Uint32(event[20:]) == 1 {
			log.Info("the power button was pressed, powering off")
			end(unix.LINUX_REBOOT_CMD_POWER_OFF)
		}
	}
}
