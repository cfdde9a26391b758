package osimage_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/osimage"
	"github.com/hagane-cloud/hagane/ramdisk"
	"github.com/hagane-cloud/hagane/ramdisk/ramdisktest"
)

// TestTinyCycle has the agent erase a disk, write the tiny system and a config drive to it and
// restart, and then boots the disk and logs in: by BIOS with a virtio disk and by UEFI with an NVMe
// one. 40 seconds each under emulation.
func TestTinyCycle(t *testing.T) {
	for name, c := range map[string]struct{ uefi, nvme bool }{"BIOS": {false, false}, "UEFI": {true, true}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			image, manifest := built(t, "tiny")
			key, signer := newKey(t)
			disk := install(ctx, t, image, manifest, c.nvme, drive(key))
			port := freePort(t)
			began := time.Now()
			m := ramdisktest.Start(t, ramdisktest.Options{UEFI: c.uefi, Disk: disk, NVMe: c.nvme, Forward: port})
			m.WaitFor(ctx, "hagane tiny ready")
			t.Logf("ready after %.1f s", time.Since(began).Seconds())
			client := login(ctx, t, port, "hagane", signer)
			t.Logf("logged in after %.1f s", time.Since(began).Seconds())
			for command, want := range map[string]string{
				"hostname":                      "kaji",
				"cat /run/hagane/user-data":     "#!/bin/sh\necho forged > /run/forged",
				"busybox wc -c /bin/busybox":    "/bin/busybox",
				"ip -4 addr show dev eth0":      "10.0.2.15/24",
				"cat /proc/cmdline":             "console=ttyS0",
				"exit 3; echo it went on":       "",
				"echo words | cat; id -un 0<&-": "words",
			} {
				if got := run(t, client, command); !strings.Contains(got, want) || want == "" && got != "" {
					t.Errorf("%s: %q, want %q", command, got, want)
				}
			}
			onTerminal(t, client)
			m.WaitFor(ctx, "the user data ended (<nil>)")
			if got := run(t, client, "cat /run/forged"); got != "forged" {
				t.Errorf("the user data left %q", got)
			}
			refused(t, port)
			_ = client.Close() // nothing is pending
			m.PressPower()
			m.WaitEnd(ctx)
			if !strings.Contains(m.Console(), "the power button was pressed") {
				t.Error("the system did not end by itself")
			}
		})
	}
}

// built returns a system in the build cache, or skips the test.
func built(t *testing.T, name string) (dir string, m osimage.Manifest) {
	t.Helper()
	ramdisktest.QEMU(t)
	dir = filepath.Join(ramdisktest.Cache(t), "image-"+name)
	m, err := osimage.Read(dir)
	if err != nil {
		t.Skip(err)
	}
	return dir, m
}

// drive is a config drive for QEMU's user network.
func drive(key string) map[string][]byte {
	return map[string][]byte{
		"openstack/latest/meta_data.json": fmt.Appendf(nil,
			`{"uuid":"6e0f0f4b-7d3a-4f0c-9a5c-000000000001","hostname":"kaji","name":"kaji","public_keys":{"mine":%q}}`, key),
		"openstack/latest/network_data.json": []byte(`{
			"links":[{"id":"l0","type":"phy","ethernet_mac_address":"52:54:00:00:00:01","mtu":1500}],
			"networks":[{"id":"n0","link":"l0","type":"ipv4","ip_address":"10.0.2.15","netmask":"255.255.255.0",
				"routes":[{"network":"0.0.0.0","netmask":"0.0.0.0","gateway":"10.0.2.2"}]}],
			"services":[{"type":"dns","address":"10.0.2.3"}]}`),
		"openstack/latest/user_data": []byte("#!/bin/sh\necho forged > /run/forged\n"),
	}
}

// install has the agent put an image and a config drive onto a fresh disk and returns the disk.
func install(ctx context.Context, t *testing.T, dir string, image osimage.Manifest, nvme bool, files map[string][]byte) string {
	t.Helper()
	ram, manifest := ramdisktest.Ramdisk(t, ramdisk.Cloud)
	scratch, err := os.MkdirTemp("", "hagane-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(scratch) })
	disk := filepath.Join(scratch, "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, max(5<<30, image.Bytes+1<<30)); err != nil {
		t.Fatal(err)
	}
	cloud := ramdisktest.NewCloud(t, map[string]string{"x": filepath.Join(dir, image.Zstd)},
		&protocol.Order{ID: "erase", Erase: &protocol.Erase{}},
		&protocol.Order{ID: "write", Write: &protocol.Write{URL: "/image/x", Encoding: "zstd", SHA512: image.RawSHA512, Size: image.Bytes}},
		&protocol.Order{ID: "drive", ConfigDrive: &protocol.ConfigDrive{Files: files}},
		&protocol.Order{ID: "end", Shutdown: &protocol.Shutdown{Reboot: true}},
	)
	began := time.Now()
	m := ramdisktest.Start(t, ramdisktest.Options{
		Disk: disk, NVMe: nvme, Kernel: filepath.Join(ram, manifest.Vmlinuz), Initramfs: filepath.Join(ram, manifest.Initramfs),
		Line: fmt.Sprintf("console=ttyS0,115200 hagane.api=http://10.0.2.2:%d/agent/v1 hagane.claim=S", cloud.Port),
	})
	cloud.Wait(ctx, m)
	m.WaitEnd(ctx)
	for _, id := range []string{"claim", "erase", "write", "drive", "end"} {
		end, at := cloud.End(id)
		t.Logf("%s after %.1f s", id, at.Sub(began).Seconds())
		if end.Error != "" {
			t.Fatalf("%s: %s", id, end.Error)
		}
		if w := end.Result.Written; w != nil {
			t.Logf("%+v", *w)
		}
	}
	return disk
}

func newKey(t *testing.T) (authorized string, signer ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err = ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), signer
}

// freePort returns a port on loopback that is free now; QEMU can not be handed an open one.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func config(user string, signer ssh.Signer) *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: 10 * time.Second,
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the guest's key is new, and the way to it never leaves this machine
	}
}

// login tries until it succeeds: QEMU accepts connections before the guest listens.
func login(ctx context.Context, t *testing.T, port int, user string, signer ssh.Signer) *ssh.Client {
	t.Helper()
	for {
		client, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), config(user, signer))
		if err == nil {
			t.Cleanup(func() { _ = client.Close() })
			return client
		}
		select {
		case <-ctx.Done():
			t.Fatalf("could not log in: %v", err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// refused fails when a stranger's key opens the door.
func refused(t *testing.T, port int) {
	t.Helper()
	_, stranger := newKey(t)
	client, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), config("root", stranger))
	if err == nil {
		_ = client.Close()
		t.Error("a stranger logged in")
	}
}

func run(t *testing.T, client *ssh.Client, command string) string {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	out, _ := session.Output(command) // some of the commands are to fail
	return strings.TrimSpace(string(out))
}

// onTerminal runs an interactive shell.
func onTerminal(t *testing.T, client *ssh.Client) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	if err := session.RequestPty("xterm", 25, 81, nil); err != nil {
		t.Fatal(err)
	}
	session.Stdin = strings.NewReader("tty; stty size; exit 7\n")
	var out strings.Builder
	session.Stdout = &out
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		t.Errorf("the shell ended with %v", err)
	}
	if got := out.String(); !strings.Contains(got, "/dev/pts/0") || !strings.Contains(got, "25 81") {
		t.Errorf("the shell said %q", got)
	}
}
