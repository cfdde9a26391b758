// Package disc makes the CD that boots the agent's ramdisk without DHCP and TFTP: an ISO 9660 image with kernel,
// initramfs and GRUB for BIOS and UEFI. It is made once for a ramdisk. What a node is told, the kernel's command line, has a place of
// fixed size in it, which is filled while the image is read: a thousand nodes need one file.
// The command that builds ramdisks and the API that serves media to BMCs use it.
package disc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// recipe changes when the same ramdisk would give another image.
const recipe = 2

// FileName is the image's name in the ramdisk's folder.
const FileName = "agent.iso"

// room is how long a command line can be. Linux takes 2047 characters on x86, and adds some itself.
const room = 1536

// CommandLine is the file in the image that has the command line alone. Simulated machines read it.
const CommandLine = "hagane.cmdline"

// place is where a command line stands in the image.
type place struct {
	At int64 `json:"at"`
}

// note is what an image says about itself.
type note struct {
	Recipe int     `json:"hagane"`
	Inputs string  `json:"inputs"` // fingerprint of kernel and initramfs
	Signed bool    `json:"signed"` // its boot loader for UEFI passes Secure Boot
	Places []place `json:"places"`
}

// build writes the image of a ramdisk to out.
func build(ctx context.Context, kernel, initramfs *os.File, inputs, work string, out io.Writer) error {
	bios, uefi, err := loaders(ctx, work)
	if err != nil {
		return err
	}
	blank := strings.Repeat(" ", room)
	script := before + blank + after
	img := image{label: "HAGANE_AGENT", bios: 2, uefi: 3, files: []file{
		{name: strings.ToUpper(CommandLine), size: int64(room + 1), data: strings.NewReader(blank + "\n")},
		{name: "GRUB.CFG", grub: true, size: int64(len(script)), data: strings.NewReader(script)},
		{name: "BIOS.IMG", size: int64(len(bios)), data: bytes.NewReader(bios)},
		{name: "EFI.IMG", size: int64(len(uefi)), data: bytes.NewReader(uefi)},
	}}
	for _, f := range []struct {
		name string
		*os.File
	}{{"KERNEL.IMG", kernel}, {"INITRD.IMG", initramfs}} {
		info, err := f.Stat()
		if err != nil {
			return fault.E(fault.Internal, "reading the ramdisk", err)
		}
		img.files = append(img.files, file{name: f.name, size: info.Size(), data: f})
	}
	at, _ := img.places()
	if err := tellPlace(bios, at[img.bios]); err != nil {
		return err
	}
	text, err := json.Marshal(note{Recipe: recipe, Inputs: inputs, Signed: signed(), Places: []place{{at[0] * sector}, {at[1]*sector + int64(len(before))}}})
	if err != nil {
		return fault.E(fault.Internal, "describing the CD", err)
	}
	img.note = string(text)
	return img.writeTo(out)
}

// Build makes the image of the kernel and the initramfs with these names in a folder, unless it is there already. An
// image appears in the folder as a whole.
func Build(ctx context.Context, dir, kernel, initramfs string) (err error) {
	k, r, err := openBoth(dir, kernel, initramfs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close(), r.Close()) }()
	inputs, err := fingerprint(k, r)
	if err != nil {
		return err
	}
	if have, err := readNote(filepath.Join(dir, FileName)); err == nil && have.Recipe == recipe && have.Inputs == inputs && have.Signed == signed() {
		return nil
	}
	work, err := os.MkdirTemp(dir, ".disc-")
	if err != nil {
		return fault.E(fault.Internal, "making a folder for the agent's CD (or make it with: hagane ramdisk build)", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // leftovers begin with a dot
	draft, err := os.Create(filepath.Join(work, FileName))
	if err != nil {
		return fault.E(fault.Internal, "making the agent's CD", err)
	}
	if err := errors.Join(build(ctx, k, r, inputs, work, draft), draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), filepath.Join(dir, FileName)); err != nil {
		return fault.E(fault.Internal, "publishing the agent's CD", err)
	}
	return nil
}

func openBoth(dir, kernel, initramfs string) (k, r *os.File, err error) {
	if k, err = os.Open(filepath.Join(dir, kernel)); err == nil {
		if r, err = os.Open(filepath.Join(dir, initramfs)); err != nil {
			_ = k.Close()
		}
	}
	if err != nil {
		return nil, nil, fault.E(fault.Unavailable, "there is no ramdisk in "+dir+": build one with 'hagane ramdisk build'", err)
	}
	return k, r, nil
}

// fingerprint hashes kernel and initramfs, and leaves both at their beginning.
func fingerprint(files ...*os.File) (string, error) {
	all := sha256.New()
	for _, f := range files {
		one := sha256.New()
		if _, err := io.Copy(one, f); err != nil {
			return "", fault.E(fault.Internal, "reading the ramdisk", err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return "", fault.E(fault.Internal, "reading the ramdisk", err)
		}
		all.Write(one.Sum(nil))
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// readNote reads what an image says about itself.
func readNote(path string) (note, error) {
	f, err := os.Open(path)
	if err != nil {
		return note{}, fault.E(fault.NotFound, "opening the agent's CD", err)
	}
	defer func() { _ = f.Close() }()
	return noteOf(f)
}

func noteOf(f io.ReaderAt) (n note, err error) {
	text := make([]byte, ownUseSize)
	if _, err = f.ReadAt(text, atVolume*sector+ownUseAt); err == nil {
		err = json.Unmarshal(bytes.TrimRight(text, "\x00"), &n)
	}
	if err != nil {
		return n, fault.E(fault.Internal, "the agent's CD is damaged", err)
	}
	return n, nil
}
