package image

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// FuzzQcow2 reads what may be a qcow2: it is refused or read to its end, in bounded time, and never as more than it says.
func FuzzQcow2(f *testing.F) {
	const cluster = 512
	good := make([]byte, 8*cluster)
	copy(good, qcow2Magic)
	binary.BigEndian.PutUint32(good[offsetVersion:], 3)
	binary.BigEndian.PutUint32(good[offsetClusterBits:], leastClusterBits)
	binary.BigEndian.PutUint64(good[offsetSize:], 4*cluster)
	binary.BigEndian.PutUint32(good[offsetL1Size:], 1)
	binary.BigEndian.PutUint64(good[offsetL1Table:], cluster)
	binary.BigEndian.PutUint32(good[100:], headerLength)
	binary.BigEndian.PutUint64(good[cluster:], 2*cluster)
	binary.BigEndian.PutUint64(good[2*cluster:], 3*cluster)
	copy(good[3*cluster:], "data")
	f.Add(good)
	f.Add(good[:200])
	old := bytes.Clone(good)
	binary.BigEndian.PutUint32(old[offsetVersion:], 2)
	f.Add(old)
	compressed := bytes.Clone(good)
	binary.BigEndian.PutUint64(compressed[2*cluster:], 1<<62|3*cluster)
	f.Add(compressed)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := disk(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		n, _ := io.Copy(io.Discard, io.LimitReader(r, 1<<20))
		if size := binary.BigEndian.Uint64(data[offsetSize:]); uint64(n) > size {
			t.Fatalf("a disk of %d bytes has %d", size, n)
		}
	})
}

// FuzzSignature reads how an image may be signed: no certificate outside the folder is looked for, and what can not be
// verified is refused.
func FuzzSignature(f *testing.F) {
	f.Add("c2ln", "SHA-256", "RSA-PSS", "11111111-1111-1111-1111-111111111111")
	f.Add("", "SHA-512", "ECC_SECP384R1", "../../secret")
	f.Add("%%%", "MD5", "DSA", "urn:uuid:11111111-1111-1111-1111-111111111111")
	s := &Service{Options: Options{Certificates: f.TempDir()}}
	f.Fuzz(func(t *testing.T, sig, method, keyType, id string) {
		p := Properties{propSignature: sig, propHash: method, propKeyType: keyType, propCertificate: id}
		if _, err := s.signature(p, time.Now()); !fault.Is(err, fault.Invalid) {
			t.Fatalf("a signature that can not be verified: %v", err)
		}
	})
}
