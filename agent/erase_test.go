package agent

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
)

// erase runs one erase order over disks and returns the report.
func erase(t *testing.T, o protocol.Erase, disks ...Disk) protocol.Beat {
	t.Helper()
	s := newStage(t, &protocol.Order{ID: "1", Erase: &o}, shutdown())
	if err := s.run(newMachine(disks...)); err != nil {
		t.Fatal(err)
	}
	return s.end("1")
}

func TestEraseChoosesAndFallsBack(t *testing.T) {
	fail := func(context.Context) error { return errors.New("frozen") }
	nothing := func(context.Context) error { return nil }
	for name, c := range map[string]struct {
		disk   Disk
		method string
		tried  []string
	}{
		"plain":  {newDisk("/dev/sda", 40<<20).dirty(), "overwrite", nil},
		"thin":   {thin{disk: newDisk("/dev/sda", 40<<20).dirty()}, "discard", nil},
		"lying":  {thin{newDisk("/dev/sda", 40<<20).dirty(), true}, "overwrite", []string{"discard: the disk does not read as zeros"}},
		"frozen": {clever{thin{disk: newDisk("/dev/sda", 40<<20).dirty()}, []EraseMethod{{"ata-secure-erase", fail}}}, "discard", []string{"ata-secure-erase: frozen"}},
		"idle": {
			clever{thin{newDisk("/dev/sda", 300<<20), true}, []EraseMethod{{"nvme-sanitize", nothing}}}, "overwrite",
			[]string{"nvme-sanitize: the disk does not read as zeros", "discard: the disk does not read as zeros"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			end := erase(t, protocol.Erase{}, c.disk)
			if end.Error != "" || len(end.Result.Erased) != 1 {
				t.Fatalf("%+v", end)
			}
			got := end.Result.Erased[0]
			if got.Method != c.method || !got.Verified || len(got.Tried) != len(c.tried) {
				t.Fatalf("%+v", got)
			}
			for i, want := range c.tried {
				if !strings.HasPrefix(got.Tried[i], want) {
					t.Errorf("tried %q, want %q…", got.Tried[i], want)
				}
			}
			if end.Progress.Bytes != end.Progress.Total || end.Progress.Total == 0 {
				t.Errorf("progress %+v", end.Progress)
			}
			b := make([]byte, c.disk.Info().Bytes)
			if _, err := c.disk.ReadAt(b, 0); err != nil || !zeros(b) {
				t.Error("the disk is not blank")
			}
		})
	}
}

// stuck is a disk that takes writes and keeps none.
type stuck struct{ *disk }

func (d stuck) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }

func TestEraseReportsEachDisk(t *testing.T) {
	good, bad := newDisk("/dev/sda", 8<<20).dirty(), stuck{newDisk("/dev/sdb", 8<<20).dirty()}
	end := erase(t, protocol.Erase{}, good, bad)
	if !strings.Contains(end.Error, "/dev/sdb") || strings.Contains(end.Error, "/dev/sda") {
		t.Errorf("error %q", end.Error)
	}
	if len(end.Result.Erased) != 1 || end.Result.Erased[0].Disk != "/dev/sda" || !good.blank() {
		t.Errorf("%+v", end.Result.Erased)
	}
}

func TestEraseWithoutDisks(t *testing.T) {
	if end := erase(t, protocol.Erase{}); !strings.Contains(end.Error, "found no disk") {
		t.Errorf("error %q", end.Error)
	}
}

func TestEraseMetadata(t *testing.T) {
	d := newDisk("/dev/sda", 64<<20)
	d.dirty()
	end := erase(t, protocol.Erase{MetadataOnly: true}, d)
	if end.Error != "" || end.Result.Erased[0].Method != "metadata" {
		t.Fatalf("%+v", end)
	}
	if !zeros(d.data[:endBytes]) || !zeros(d.data[63<<20:]) || zeros(d.data[2<<20:3<<20]) {
		t.Error("wiped something else than both ends")
	}
}

func TestZeros(t *testing.T) {
	b := make([]byte, 1000)
	if !zeros(b) || !zeros(nil) {
		t.Error("zeros not seen")
	}
	for _, i := range []int{0, 1, 500, 999} {
		b[i] = 1
		if zeros(b) {
			t.Errorf("byte %d overlooked", i)
		}
		b[i] = 0
	}
	for i := range b {
		b[i] = 9
	}
	if zeros(b) {
		t.Error("nines taken for zeros")
	}
}
