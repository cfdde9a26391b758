package qemu

import (
	"context"
	"fmt"

	"github.com/hagane-cloud/hagane/lab/machine"
)

// medium is what is in the CD drive.
type medium struct {
	url, file string // both "" when the drive is empty
}

const cdrom = "cd0" // the drive's id

// drive returns the arguments of the CD drive, which is there with or without a medium. A boot index of 0 keeps the
// firmware from booting it. The lock is held.
func (m *Machine) drive(index int) []string {
	// File locks are off: an image that is replaced while a machine reads it belongs to nobody else.
	drive := "if=none,media=cdrom,readonly=on,id=" + cdrom
	if m.medium.file != "" {
		drive += ",format=raw,file.locking=off,file=" + escape(m.medium.file)
	}
	device := "ide-cd,bus=ide.0,drive=" + cdrom + ",id=" + cdrom + "dev"
	if index > 0 {
		device += fmt.Sprintf(",bootindex=%d", index)
	}
	return []string{"-drive", drive, "-device", device}
}

// SetMedium fetches the image and changes what is in the drive, also while the machine runs.
func (m *Machine) SetMedium(ctx context.Context, url string) error {
	next := medium{url: url}
	if url != "" {
		image, err := machine.OpenMedium(ctx, url)
		if err != nil {
			return err
		}
		next.file, err = image.Save(m.dir)
		_ = image.Close()
		if err != nil {
			return err
		}
	}
	m.mu.Lock()
	m.medium = next
	p := m.proc
	m.mu.Unlock()
	if p == nil {
		return nil
	}
	if next.file == "" {
		return p.monitor.do(ctx, "eject", map[string]any{"id": cdrom + "dev", "force": true})
	}
	return p.monitor.do(ctx, "blockdev-change-medium", map[string]any{"id": cdrom + "dev", "filename": next.file, "format": "raw", "force": true})
}
