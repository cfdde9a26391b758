package manifest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
)

// picture is an image of which each second chunk is a hole.
func picture(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	for at := 0; at < size; at += 2 * Least {
		_, _ = r.Read(b[at:min(at+Least, size)])
	}
	return b
}

func TestChunkBytes(t *testing.T) {
	for size, want := range map[int64]int64{
		0: 0, -1: 0, 1: Least, 512 * Least: Least, 512*Least + 1: 2 * Least, 1_000_000_000: 2 << 20, 100 << 30: 4 << 20,
		256<<30 + 1: 8 << 20, 1 << 40: 16 << 20, 1<<40 + 1: 0,
	} {
		if got := ChunkBytes(size); got != want {
			t.Errorf("%d bytes: chunks of %d, want %d", size, got, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	raw := picture(5*Least + 777)
	m, err := Make(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(m.Encode())
	if err != nil || got.Len() != 6 || Digest(got.Encode()) != Digest(m.Encode()) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range got.Len() {
		at, n := got.Span(i)
		chunk := bytes.Clone(raw[at : at+n])
		if !got.Holds(i, chunk) || got.Hole(i) != (i%2 == 1) {
			t.Errorf("chunk %d: hole %v", i, got.Hole(i))
		}
		chunk[n-1]++
		if got.Holds(i, chunk) || got.Holds(i, chunk[:n-1]) {
			t.Errorf("chunk %d is taken for what it is not", i)
		}
	}
}

func TestMakeOfTooLittle(t *testing.T) {
	if _, err := Make(bytes.NewReader(make([]byte, 10)), 11); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

// FuzzDecode reads what may be a manifest: it is refused, or the same bytes say the same thing.
func FuzzDecode(f *testing.F) {
	raw := picture(3*Least + 1)
	m, err := Make(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Encode())
	f.Add(m.Encode()[:30])
	f.Add(bytes.Replace(m.Encode(), []byte{0, 0, 0x40, 0}, []byte{0, 0, 0, 1}, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(m.Encode(), b) || m.Len() > MaxChunks {
			t.Fatalf("%d chunks", m.Len())
		}
		at, n := m.Span(m.Len() - 1)
		if at+n != m.Size || n <= 0 {
			t.Fatalf("the last chunk ends at %d of %d", at+n, m.Size)
		}
	})
}
