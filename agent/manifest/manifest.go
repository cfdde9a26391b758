// Package manifest says what the chunks of an image are: their size, and the SHA-256 of each. By it an agent can take
// chunks from anybody in any order and know each to be right before it is written. The image registry makes manifests
// and agents read them.
package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	// Least and Most bound the bytes of a chunk. An agent has a few whole ones in memory at a time.
	Least, Most = 16 << 10, 16 << 20
	// MaxChunks bounds how many an image has, and by that a manifest: to 2 MiB.
	MaxChunks = 1 << 16
	// MaxBytes is the largest encoded manifest.
	MaxBytes = headBytes + MaxChunks*sha256.Size

	usual     = 4 << 20 // what larger images are cut into, as long as MaxChunks suffices
	wanted    = 512     // chunks that a smaller image is cut into, so that many machines have something to give each other
	headBytes = 20
)

var magic = [8]byte{'h', 'g', 'c', 'h', 'u', 'n', 'k', '1'}

// Manifest describes the chunks of an image. All but the last have ChunkBytes.
type Manifest struct {
	Size       int64 // of the image, bytes
	ChunkBytes int64
	sums       []byte // SHA-256 of each; zeros stand for a hole: a chunk of nothing but zeros
}

// ChunkBytes returns into what chunks an image of size bytes is cut; 0 when it is too large to be.
func ChunkBytes(size int64) int64 {
	n := int64(Least)
	for n < usual && size > n*wanted || n < Most && size > n*MaxChunks {
		n *= 2
	}
	if size <= 0 || size > n*MaxChunks {
		return 0
	}
	return n
}

// Make reads an image of size bytes and describes it.
func Make(image io.Reader, size int64) (*Manifest, error) {
	m := &Manifest{Size: size, ChunkBytes: ChunkBytes(size)}
	if m.ChunkBytes == 0 {
		return nil, fault.Errorf(fault.TooLarge, "an image of %d bytes has no chunks", size)
	}
	buffer := make([]byte, m.ChunkBytes)
	m.sums = make([]byte, 0, m.Len()*sha256.Size)
	for i := range m.Len() {
		_, n := m.Span(i)
		if _, err := io.ReadFull(image, buffer[:n]); err != nil {
			return nil, fault.E(fault.Unavailable, "reading the image", err)
		}
		var sum [sha256.Size]byte
		if !zeros(buffer[:n]) {
			sum = sha256.Sum256(buffer[:n])
		}
		m.sums = append(m.sums, sum[:]...)
	}
	return m, nil
}

// Len returns how many chunks there are.
func (m *Manifest) Len() int { return int((m.Size + m.ChunkBytes - 1) / m.ChunkBytes) }

// Span returns where chunk i lies in the image, and its length.
func (m *Manifest) Span(i int) (offset, length int64) {
	offset = int64(i) * m.ChunkBytes
	return offset, min(m.ChunkBytes, m.Size-offset)
}

// Hole reports whether chunk i holds nothing but zeros: nobody needs to send it.
func (m *Manifest) Hole(i int) bool { return zeros(m.sum(i)) }

// Holds reports whether b is chunk i.
func (m *Manifest) Holds(i int, b []byte) bool {
	if _, n := m.Span(i); int64(len(b)) != n {
		return false
	}
	if m.Hole(i) {
		return zeros(b)
	}
	sum := sha256.Sum256(b)
	return bytes.Equal(sum[:], m.sum(i))
}

func (m *Manifest) sum(i int) []byte { return m.sums[i*sha256.Size : (i+1)*sha256.Size] }

// Encode returns the manifest as it is kept and sent: big-endian, the size of a chunk, of the image, then the sums.
func (m *Manifest) Encode() []byte {
	b := append(make([]byte, 0, headBytes+len(m.sums)), magic[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(m.ChunkBytes))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Size))
	return append(b, m.sums...)
}

// Decode reads what Encode wrote. Anything else is Invalid.
func Decode(b []byte) (*Manifest, error) {
	if len(b) < headBytes || !bytes.Equal(b[:8], magic[:]) {
		return nil, fault.Errorf(fault.Invalid, "this is no manifest of an image")
	}
	m := &Manifest{ChunkBytes: int64(binary.BigEndian.Uint32(b[8:])), Size: int64(binary.BigEndian.Uint64(b[12:])), sums: b[headBytes:]}
	if m.Size <= 0 || m.ChunkBytes < Least || m.ChunkBytes > Most || m.Size > m.ChunkBytes*MaxChunks || len(m.sums) != m.Len()*sha256.Size {
		return nil, fault.Errorf(fault.Invalid, "the manifest of an image does not fit together")
	}
	return m, nil
}

// Digest is what an encoded manifest is known by: its SHA-256, in hexadecimal.
func Digest(encoded []byte) string {
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}

// zeros reports whether b holds nothing else. A slice that equals itself moved by one holds one value throughout.
func zeros(b []byte) bool { return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1]) }
