// Package secret seals what must not be read from the database by itself: BMC passwords, user data
// and administrators' passwords. The key is a file that is created for its owner alone on the first start.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// Box seals and opens values under one key.
type Box struct {
	aead cipher.AEAD
	key  []byte
}

const keyBytes = 32

// Open reads the key file at path, or creates it with a random key and mode 0600.
func Open(path string) (*Box, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if raw, err = create(path); errors.Is(err, os.ErrExist) {
			raw, err = os.ReadFile(path) // another process of the cloud was quicker
		}
		if err != nil {
			return nil, fault.E(fault.Internal, "creating the key file "+path, err)
		}
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the key file "+path, err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != keyBytes {
		return nil, fault.Errorf(fault.Invalid, "the key file %s does not hold %d bytes in hexadecimal; restore it from a backup", path, keyBytes)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Box{aead, key}, nil
}

// Derive makes a key of 32 bytes for a purpose: always the same, and of no use for finding out the box's own or another
// purpose's.
func (b *Box) Derive(purpose string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, b.key, nil, "hagane derived "+purpose, keyBytes)
	return key, fault.Wrap("deriving a key", err)
}

// create makes the key file whole or not at all: it is written under another name and linked to its
// own, which fails when there is one already.
func create(path string) ([]byte, error) {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails since Go 1.24
	raw := []byte(hex.EncodeToString(key) + "\n")
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	return raw, os.Link(f.Name(), path)
}

// Seal encrypts plain for the place that it is kept in; it opens only under the same place, so that
// a sealed value can not be moved to another record.
func (b *Box) Seal(place string, plain []byte) []byte {
	nonce := make([]byte, b.aead.NonceSize())
	_, _ = rand.Read(nonce)
	return b.aead.Seal(nonce, nonce, plain, []byte(place))
}

// Open decrypts what Seal made. An empty value opens as empty.
func (b *Box) Open(place string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	n := b.aead.NonceSize()
	if len(sealed) < n {
		return nil, fault.Errorf(fault.Internal, "the sealed value of %s is too short", place)
	}
	plain, err := b.aead.Open(nil, sealed[:n], sealed[n:], []byte(place))
	if err != nil {
		return nil, fault.E(fault.Internal, fmt.Sprintf("the key file does not open the sealed value of %s", place), err)
	}
	return plain, nil
}

// Token returns a random secret of 128 bits for single use or for sessions, as 32 hexadecimal digits.
func Token() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

// Hash returns the fingerprint under which a random token is kept. Tokens have enough entropy not to need a slow hash.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Same compares two secrets in constant time.
func Same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
