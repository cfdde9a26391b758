package osimage_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/ramdisk/ramdisktest"
)

// TestDebianCycle does with Debian what TestTinyCycle does with the tiny system, and waits for
// cloud-init. 3 to 5 minutes each under emulation, so it runs only where it is asked for.
func TestDebianCycle(t *testing.T) {
	if os.Getenv("HAGANE_TEST_DEBIAN") == "" {
		t.Skip("takes many minutes: set HAGANE_TEST_DEBIAN=1")
	}
	for name, c := range map[string]struct{ uefi, nvme bool }{"BIOS": {false, false}, "UEFI": {true, true}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
			defer cancel()
			image, manifest := built(t, "debian")
			key, signer := newKey(t)
			disk := install(ctx, t, image, manifest, c.nvme, drive(key))
			port := freePort(t)
			began := time.Now()
			m := ramdisktest.Start(t, ramdisktest.Options{UEFI: c.uefi, Disk: disk, NVMe: c.nvme, Forward: port})
			client := login(ctx, t, port, manifest.User, signer)
			t.Logf("logged in after %.1f s", time.Since(began).Seconds())
			for _, c := range []struct{ command, want string }{
				{"hostname", "kaji"},
				{"cloud-init status --wait", "status: done"},
				{"cat /run/forged", "forged"},
				{"sudo cloud-init query subplatform", "config-disk"},
				{"df --output=size -BM / | tail -1", "M"},
				{"systemctl is-system-running --wait; systemctl --failed --plain --no-legend", "running"},
				{"systemd-analyze", "Startup finished"},
			} {
				got := run(t, client, c.command)
				if !strings.Contains(got, c.want) {
					t.Errorf("%s: %q, want %q", c.command, got, c.want)
				}
				t.Logf("%s: %s (%.1f s)", c.command, got, time.Since(began).Seconds())
			}
			_ = client.Close() // nothing is pending
			m.PressPower()
			m.WaitEnd(ctx)
		})
	}
}
