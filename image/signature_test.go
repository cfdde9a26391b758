package image_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
)

// certify writes a certificate of a key into the operator's folder, valid until a time.
func certify(t *testing.T, folder, id string, key crypto.Signer, until time.Time) {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-48 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, id+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSignatures uploads signed data, and data whose signature is not right.
func TestSignatures(t *testing.T) {
	folder := t.TempDir()
	s := serviceOn(t, dbtest.SQLite(t), func(o *image.Options) { o.Certificates = folder })
	const ofRSA, ofCurve, old, other = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222", "33333333-3333-3333-3333-333333333333", "44444444-4444-4444-4444-444444444444"
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curveKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	certify(t, folder, ofRSA, rsaKey, soon)
	certify(t, folder, ofCurve, curveKey, soon)
	certify(t, folder, old, rsaKey, time.Now().Add(-time.Hour))
	certify(t, folder, other, otherKey, soon)

	sum := sha256.Sum256(sample())
	pss, err := rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) // the longest salt, as cursive has it
	if err != nil {
		t.Fatal(err)
	}
	long := sha512.Sum384(sample())
	asn1, err := ecdsa.SignASN1(rand.Reader, curveKey, long[:])
	if err != nil {
		t.Fatal(err)
	}
	props := func(sig []byte, method, keyType, id string) image.Properties {
		return image.Properties{"img_signature": base64.StdEncoding.EncodeToString(sig), "img_signature_hash_method": method,
			"img_signature_key_type": keyType, "img_signature_certificate_uuid": id}
	}
	upload := func(p image.Properties, data []byte) error {
		i := made(t, s, func(i *image.Image) { i.Properties = p })
		err := s.Upload(t.Context(), "p", i.ID, bytes.NewReader(data))
		want := image.Active
		if err != nil {
			want = image.Queued
		}
		if got, gone := s.Get(t.Context(), "p", i.ID); gone != nil || got.Status != want {
			t.Errorf("the image is %s (%v), not %s", got.Status, gone, want)
		}
		return err
	}
	good := props(pss, "SHA-256", "RSA-PSS", ofRSA)
	for what, p := range map[string]image.Properties{"RSA-PSS": good, "a curve": props(asn1, "SHA-384", "ECC_SECP384R1", ofCurve)} {
		if err := upload(p, sample()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, p := range map[string]image.Properties{
		"another hash":           props(pss, "SHA-512", "RSA-PSS", ofRSA),
		"an unknown hash":        props(pss, "MD5", "RSA-PSS", ofRSA),
		"another key":            props(pss, "SHA-256", "RSA-PSS", other),
		"a key of another kind":  props(pss, "SHA-256", "RSA-PSS", ofCurve),
		"a curve for RSA":        props(asn1, "SHA-384", "ECC_SECP384R1", ofRSA),
		"another curve":          props(asn1, "SHA-384", "ECC_SECP521R1", ofCurve),
		"DSA":                    props(pss, "SHA-256", "DSA", ofRSA),
		"no such certificate":    props(pss, "SHA-256", "RSA-PSS", "55555555-5555-5555-5555-555555555555"),
		"a path for certificate": props(pss, "SHA-256", "RSA-PSS", "../"+ofRSA),
		"an old certificate":     props(pss, "SHA-256", "RSA-PSS", old),
		"no base64":              {"img_signature": "%", "img_signature_hash_method": "SHA-256", "img_signature_key_type": "RSA-PSS", "img_signature_certificate_uuid": ofRSA},
		"half of it":             {"img_signature": good["img_signature"]},
	} {
		refused(t, what, upload(p, sample()), fault.Invalid)
	}
	refused(t, "other data", upload(good, append(sample(), 1)), fault.Invalid)

	i := made(t, s, func(i *image.Image) { i.Properties = maps.Clone(good) })
	if err := s.Upload(t.Context(), "p", i.ID, bytes.NewReader(sample())); err != nil {
		t.Fatal(err)
	}
	_, err = s.Update(t.Context(), "p", i.ID, func(i *image.Image) error { i.Properties["img_signature"] = "other"; return nil })
	refused(t, "another signature for data that are there", err, fault.Conflict)
}
