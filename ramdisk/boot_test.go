package ramdisk_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/ramdisk"
	"github.com/hagane-cloud/hagane/ramdisk/ramdisktest"
)

// TestBoot boots the ramdisk directly and has the agent claim its run, inspect the machine, erase its
// disk and restart. 8 to 20 seconds each under emulation.
func TestBoot(t *testing.T) {
	for _, c := range []struct {
		name   string
		flavor ramdisk.Flavor
		nvme   bool
		method string
	}{
		{"cloud kernel, virtio", ramdisk.Cloud, false, "discard"},
		{"cloud kernel, NVMe", ramdisk.Cloud, true, "nvme-format"},
		{"generic kernel, virtio", ramdisk.Generic, false, "discard"},
	} {
		t.Run(c.name, func(t *testing.T) { boot(t, c.flavor, c.nvme, c.method) })
	}
}

func boot(t *testing.T, flavor ramdisk.Flavor, nvme bool, method string) {
	dir, manifest := ramdisktest.Ramdisk(t, flavor)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	scratch, err := os.MkdirTemp("", "hagane-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(scratch) })
	disk := filepath.Join(scratch, "disk")
	if err := os.WriteFile(disk, []byte("a previous tenant's secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	const size = 5 << 30
	if err := os.Truncate(disk, size); err != nil {
		t.Fatal(err)
	}
	cloud := ramdisktest.NewCloud(t, nil,
		&protocol.Order{ID: "inspect", Inspect: &protocol.Inspect{ListenSeconds: 1}},
		&protocol.Order{ID: "erase", Erase: &protocol.Erase{}},
		&protocol.Order{ID: "end", Shutdown: &protocol.Shutdown{Reboot: true}},
	)
	began := time.Now()
	m := ramdisktest.Start(t, ramdisktest.Options{
		Disk: disk, NVMe: nvme, Kernel: filepath.Join(dir, manifest.Vmlinuz), Initramfs: filepath.Join(dir, manifest.Initramfs),
		Line: fmt.Sprintf("console=ttyS0,115200 hagane.api=http://10.0.2.2:%d/agent/v1 hagane.claim=S BOOTIF=01-52-54-00-00-00-01", cloud.Port),
	})
	cloud.Wait(ctx, m)
	m.WaitEnd(ctx)
	for _, id := range []string{"claim", "inspect", "erase", "end"} {
		end, at := cloud.End(id)
		t.Logf("%s after %.1f s", id, at.Sub(began).Seconds())
		if end.Error != "" {
			t.Errorf("%s: %s", id, end.Error)
		}
	}
	claim := cloud.Claim()
	inventory := claim.Inventory
	if inventory.Serial != "SN-42" || inventory.Product != "Anvil" || inventory.MemoryBytes != 1<<30 || inventory.CPU.Threads != 2 ||
		inventory.BootMode != "bios" || inventory.Architecture != "x86_64" || inventory.UUID != "11111111-2222-3333-4444-555555555555" {
		t.Errorf("inventory %+v", inventory)
	}
	if len(inventory.Disks) != 1 || inventory.Disks[0].Serial != "DISK-1" || inventory.Disks[0].Bytes != size {
		t.Errorf("disks %+v", inventory.Disks)
	}
	if len(claim.MACs) != 1 || claim.MACs[0] != "52:54:00:00:00:01" || !inventory.NICs[0].Link || inventory.NICs[0].Driver != "virtio_net" {
		t.Errorf("NICs %+v", inventory.NICs)
	}
	end, _ := cloud.End("erase")
	if erased := end.Result.Erased; len(erased) != 1 || !erased[0].Verified || erased[0].Method != method {
		t.Errorf("erased %+v", erased)
	}
	t.Logf("%+v", end.Result.Erased)
	blank(t, disk)
}

// blank fails unless a file holds zeros only, and only little of it takes space.
func blank(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 1<<20)
	if _, err := f.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	for i, b := range head {
		if b != 0 {
			t.Fatalf("byte %d of the disk is %d after the erase", i, b)
		}
	}
}
