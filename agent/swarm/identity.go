package swarm

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// KeyBytes is the length of a wave's key.
const KeyBytes = 32

// identity makes what both sides of a connection show and ask for. From the wave's key everybody who holds it makes the
// same Ed25519 key, and TLS 1.3 has each side prove that it has it: so who was not ordered to write the image neither
// gets a chunk nor can offer one, and nobody else on the network reads any. Who proves it is one of the wave, not a
// certain machine: what it sends is judged by the manifest.
func identity(key []byte) (*tls.Config, error) {
	if len(key) != KeyBytes {
		return nil, fault.Errorf(fault.Invalid, "the key of a wave has %d bytes and not %d", KeyBytes, len(key))
	}
	seed, err := hkdf.Key(sha256.New, key, nil, "hagane swarm", ed25519.SeedSize)
	if err != nil {
		return nil, fault.E(fault.Internal, "deriving the wave's identity", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	public, ok := private.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fault.Errorf(fault.Internal, "the wave's identity is no Ed25519 key")
	}
	// Nothing in the certificate counts but its key; there may be no right clock on either side.
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, form, form, public, private)
	if err != nil {
		return nil, fault.E(fault.Internal, "making the wave's certificate", err)
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: private}},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // no authority is asked: the key itself is compared below
		SessionTicketsDisabled: true, // each connection proves it anew
		VerifyConnection: func(c tls.ConnectionState) error {
			if len(c.PeerCertificates) == 1 {
				if shown, ok := c.PeerCertificates[0].PublicKey.(ed25519.PublicKey); ok && shown.Equal(public) {
					return nil
				}
			}
			return fault.Errorf(fault.Unauthentic, "the other side is not of this wave")
		},
	}, nil
}
