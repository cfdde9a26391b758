package main

import (
	"errors"
	"os"
	"path/filepath"
)

// standIn is what simulated machines fetch in place of a ramdisk: they run the agent's code themselves.
const standIn = "Simulated machines fetch this file and run the agent in-process. For real ones: hagane ramdisk build\n"

// standInRamdisk puts stand-ins where a cloud's ramdisk belongs, unless there is one.
func standInRamdisk(data string) error {
	dir := filepath.Join(data, "boot")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"vmlinuz", "initramfs"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(standIn)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// standsIn reports whether a cloud's data folder has a stand-in where its ramdisk belongs: real machines can not boot it.
func standsIn(data string) bool {
	raw, err := os.ReadFile(filepath.Join(data, "boot", "vmlinuz"))
	return err == nil && string(raw) == standIn
}
