package host

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// playing returns a machine whose tools are scripts that note how they were called.
func playing(t *testing.T, scripts map[string]string) (m *Machine, calls func() string) {
	t.Helper()
	dir := t.TempDir()
	noted := filepath.Join(dir, "calls")
	for name, script := range scripts {
		text := "#!/bin/sh\necho " + name + " \"$@\" >> " + noted + "\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &Machine{log: slog.New(slog.DiscardHandler), tools: dir, dev: "/dev"}, func() string {
		b, err := os.ReadFile(noted)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestFormat(t *testing.T) {
	m, calls := playing(t, map[string]string{"mkfs.ext4": "", "mkfs.xfs": "", "mkswap": "echo 'no room' >&2; exit 1"})
	for _, f := range []protocol.Filesystem{{Label: "data", Type: "ext4", UUID: "U1"}, {Label: "a-label-that-is-long", Type: "xfs", UUID: "U2"}, {Label: "x", Type: "xfs"}} {
		if err := m.Format(t.Context(), "/dev/vdb1", f); err != nil {
			t.Error(err)
		}
	}
	want := `mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -U U1 -L data /dev/vdb1
mkfs.xfs -q -f -K -m uuid=U2 /dev/vdb1
mkfs.xfs -q -f -K -L x /dev/vdb1
`
	if got := calls(); got != want {
		t.Errorf("called\n%swant\n%s", got, want)
	}
	if err := m.Format(t.Context(), "/dev/vdb1", protocol.Filesystem{Type: "swap"}); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a tool that fails: %v", err)
	}
	if err := m.Format(t.Context(), "/dev/vdb1", protocol.Filesystem{Type: "zfs"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown kind: %v", err)
	}
}

// TestReadBack reads what the tools say, in the words of mdadm 4.2, LVM 2.03.16 and util-linux 2.38.
func TestReadBack(t *testing.T) {
	m, _ := playing(t, map[string]string{
		"mdadm": `printf 'MD_LEVEL=raid5\nMD_DEVICES=3\nMD_NAME=array0\nMD_UUID=1:2:3:4\n'`,
		"blkid": `[ "$4" = /dev/none ] && exit 2; printf 'DEVNAME=/dev/vdb1\nUUID=U1\nTYPE=ext4\nUSAGE=filesystem\n'`,
		"lvm": `case $1 in
lvs) echo '{"report": [{"lv": [{"lv_name":"var", "lv_size":"1073741824"}]}]}';;
pvs) echo '{"report": [{"pv": [{"pv_name":"/dev/vdb1", "vg_name":"vg"}, {"pv_name":"/dev/vdc1", "vg_name":"other"}]}]}';;
esac`,
	})
	member, err := m.ReadMember(t.Context(), "/dev/vdb1")
	if err != nil || member.Level != 5 || member.Devices != 3 || member.Array != "1:2:3:4" {
		t.Errorf("the member is %+v, %v", member, err)
	}
	f, err := m.ReadFilesystem(t.Context(), "/dev/vdb1")
	if err != nil || f.Type != "ext4" || f.UUID != "U1" {
		t.Errorf("the file system is %+v, %v", f, err)
	}
	if f, err := m.ReadFilesystem(t.Context(), "/dev/none"); err != nil || f.Type != "" {
		t.Errorf("where there is none: %+v, %v", f, err)
	}
	g, err := m.ReadGroup(t.Context(), "vg")
	if err != nil || len(g.Volumes) != 1 || g.Volumes[0].Bytes != 1<<30 || len(g.Partitions) != 1 || g.Partitions[0] != "/dev/vdb1" {
		t.Errorf("the group is %+v, %v", g, err)
	}
}

func TestReadBackNonsense(t *testing.T) {
	m, _ := playing(t, map[string]string{"mdadm": "echo MD_LEVEL=linear", "lvm": "echo '{}'", "blkid": "exit 4"})
	if _, err := m.ReadMember(t.Context(), "/dev/vdb1"); err == nil {
		t.Error("a member of nothing was taken for one")
	}
	if _, err := m.ReadGroup(t.Context(), "vg"); err == nil {
		t.Error("a group without a report was taken for one")
	}
	if _, err := m.ReadFilesystem(t.Context(), "/dev/vdb1"); err == nil {
		t.Error("a tool's failure was taken for a device without a file system")
	}
	bare := &Machine{log: slog.New(slog.DiscardHandler), tools: t.TempDir(), dev: "/dev"}
	if _, err := bare.ReadFilesystem(t.Context(), "/dev/vdb1"); err == nil || !strings.Contains(err.Error(), "build it anew") {
		t.Errorf("a ramdisk without the tool: %v", err)
	}
}
