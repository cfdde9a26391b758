package machine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSeedIsStableAndDistinct(t *testing.T) {
	a, b := Seed(1).MAC("n1/0"), Seed(1).MAC("n1/0")
	if a.String() != b.String() || a[0]&3 != 2 {
		t.Errorf("%s %s", a, b)
	}
	if Seed(1).MAC("n1/1").String() == a.String() || Seed(2).MAC("n1/0").String() == a.String() {
		t.Error("two NICs of one address")
	}
	if p := Seed(1).Password("x"); len(p) != 16 {
		t.Errorf("%q", p)
	}
	if u := Seed(1).UUID("x"); len(u) != 36 || u[14] != '4' {
		t.Errorf("%q", u)
	}
}

func TestBootOrder(t *testing.T) {
	once := Boot{Device: Network}
	if !slices.Equal(once.Order(), []Device{Network, Disk}) || once.Next().Device != None {
		t.Errorf("%v then %v", once.Order(), once.Next())
	}
	always := Boot{Device: Disk, Persistent: true, Mode: UEFI}
	if n := always.Next(); n.Device != Disk || !n.Persistent {
		t.Errorf("%v", n)
	}
}

func TestBlankFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, 5000), 0o600); err != nil { // zeros that are stored
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	b, err := BlankFile(t.Context(), path)
	if err != nil || !b.Blank || b.Bytes != 1<<30 || b.Allocated > 1<<20 {
		t.Errorf("%+v %v", b, err)
	}
	f, _ := os.OpenFile(path, os.O_RDWR, 0)
	defer f.Close()
	if _, err := f.WriteAt([]byte{7}, 1<<29+3); err != nil {
		t.Fatal(err)
	}
	if b, err = BlankFile(t.Context(), path); err != nil || b.Blank || b.FirstData != 1<<29+3 {
		t.Errorf("%+v %v", b, err)
	}
}
