package ramdisk_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/ramdisk"
	"github.com/hagane-cloud/hagane/ramdisk/ramdisktest"
)

// TestRescue boots the ramdisk, has it become the rescue system, and mends a file system of the disk by SSH on the network
// that the machine was moved to: a second NIC's, while the first one stays on the cloud's, whose DHCP is not to be heard.
func TestRescue(t *testing.T) {
	dir, manifest := ramdisktest.Ramdisk(t, ramdisk.Cloud)
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		t.Skip("needs mke2fs (package e2fsprogs)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	content, disk := t.TempDir(), filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(filepath.Join(content, "hello"), []byte("the tenant's own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(ctx, mke2fs, "-q", "-t", "ext4", "-d", content, disk, "64M").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before := digest(t, disk)
	hash, err := bcrypt.GenerateFromPassword([]byte("open sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cloud := ramdisktest.NewCloud(t, nil, &protocol.Order{ID: "rescue", Rescue: &protocol.Rescue{PasswordHash: string(hash)}})
	port := freePort(t)
	began := time.Now()
	m := ramdisktest.Start(t, ramdisktest.Options{
		Disk: disk, Kernel: filepath.Join(dir, manifest.Vmlinuz), Initramfs: filepath.Join(dir, manifest.Initramfs),
		Line: fmt.Sprintf("console=ttyS0,115200 hagane.api=http://10.0.2.2:%d/agent/v1 hagane.claim=S hagane.mac=52:54:00:00:00:01", cloud.Port),
		Extra: []string{"-netdev", fmt.Sprintf("user,id=tenant,net=10.0.3.0/24,hostfwd=tcp:127.0.0.1:%d-:22", port),
			"-device", "virtio-net-pci,netdev=tenant,mac=52:54:00:00:00:02,romfile="},
	})
	cloud.Wait(ctx, m)
	end, _ := cloud.End("rescue")
	if end.Error != "" || end.Result.Rescued == nil {
		t.Fatalf("%+v", end)
	}
	login := &ssh.ClientConfig{User: protocol.RescueUser, Auth: []ssh.AuthMethod{ssh.Password("open sesame")}, Timeout: 10 * time.Second,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := ssh.FingerprintSHA256(key); got != end.Result.Rescued.HostKey {
				return fmt.Errorf("the host key is %s, not %s", got, end.Result.Rescued.HostKey)
			}
			return nil
		}}
	var client *ssh.Client
	for client == nil {
		if client, err = ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), login); err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
		if client == nil {
			<-time.After(200 * time.Millisecond)
		}
	}
	defer func() { _ = client.Close() }()
	t.Logf("entered after %.1f s", time.Since(began).Seconds())
	if digest(t, disk) != before {
		t.Error("the disk was touched before anybody had logged in")
	}
	wrong := *login
	wrong.User = "root"
	if _, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &wrong); err == nil {
		t.Error("root was let in")
	}
	if got := command(t, client, "ip -4 -o addr | grep -v ' lo '", false); !strings.Contains(got, "10.0.3.") || strings.Contains(got, "10.0.2.") {
		t.Errorf("addresses: %s", got)
	}
	if got := command(t, client, "mkdir /mnt && mount -t ext4 /dev/vda /mnt && cat /mnt/hello && umount /mnt", false); got != "the tenant's own\n" {
		t.Errorf("the file on the disk: %q", got)
	}
	if got := command(t, client, "tty", true); !strings.HasPrefix(got, "/dev/pts/") {
		t.Errorf("the terminal: %q", got)
	}
}

// command runs one by SSH.
func command(t *testing.T, client *ssh.Client, line string, terminal bool) string {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }() // it has ended
	if terminal {
		if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
			t.Fatal(err)
		}
	}
	var complaints bytes.Buffer
	session.Stderr = &complaints
	out, err := session.Output(line)
	if err != nil {
		t.Errorf("%s: %v: %s", line, err, complaints.String())
	}
	return string(out)
}

func digest(t *testing.T, file string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // QEMU takes it
	return l.Addr().(*net.TCPAddr).Port
}
