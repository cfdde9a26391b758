// Package netboottest gives tests what package netboot asks of the rest of the cloud while images are deployed: a registry
// with an image, and the nodes of a wave. The tests of netboot and of the lab use it.
package netboottest

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/swarm"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/image"
)

// Shelf is an image registry with one image.
type Shelf struct {
	DB     *db.DB
	Images *image.Service
	ID     string // of the image
	Raw    []byte // its data

	write protocol.Write
	swarm protocol.Swarm
}

// NewShelf takes in an image of so many random bytes, which neither have holes nor can be packed.
func NewShelf(t testing.TB, size int) *Shelf {
	t.Helper()
	s := &Shelf{DB: dbtest.SQLite(t), Raw: make([]byte, size)}
	_, _ = rand.NewChaCha8([32]byte{7}).Read(s.Raw) // which never fails
	var err error
	if s.Images, err = image.NewService(image.Options{DB: s.DB, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	i, err := s.Images.Create(t.Context(), "", image.Image{Name: "wave", Owner: "00000000000000000000000000000001", DiskFormat: "raw", ContainerFormat: "bare", Visibility: image.Private})
	if err == nil {
		err = s.Images.Upload(t.Context(), "", i.ID, bytes.NewReader(s.Raw))
	}
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(s.Raw)
	s.ID = i.ID
	s.write = protocol.Write{URL: "/agent/v1/images/" + i.ID, SHA512: hex.EncodeToString(sum[:]), Size: int64(size)}
	encoded, err := s.Images.Manifest(s.write.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	s.swarm = protocol.Swarm{Manifest: manifest.Digest(encoded), Key: bytes.Repeat([]byte{1}, swarm.KeyBytes)}
	return s
}

// Order is to write the image; with peers, to take it from other agents as well.
func (s *Shelf) Order(peers bool) *protocol.Order {
	write := s.write
	if peers {
		write.Swarm = &s.swarm
	}
	return &protocol.Order{ID: "write", Write: &write}
}
