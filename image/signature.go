package image

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// The properties of a signed image, as OpenStack's clients and the library cursive have them.
const (
	propSignature   = "img_signature"                  // of the data, base64
	propHash        = "img_signature_hash_method"      // SHA-224 to SHA-512
	propKeyType     = "img_signature_key_type"         // RSA-PSS, or a curve
	propCertificate = "img_signature_certificate_uuid" // whose key it is
)

var signatureProperties = []string{propSignature, propHash, propKeyType, propCertificate}

var hashMethods = map[string]crypto.Hash{"SHA-224": crypto.SHA224, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512}

const rsaPSS = "RSA-PSS"

var curves = map[string]elliptic.Curve{"ECC_SECP384R1": elliptic.P384(), "ECC_SECP521R1": elliptic.P521()}

// mostCertificate bounds a certificate's file.
const mostCertificate = 64 << 10

// signature is what data are checked against while they come.
type signature struct {
	hash   hash.Hash
	verify func() error // once all data have gone through hash
}

// signature reads how an image is signed; nil when it is not. An image with some of the properties, or with a signature
// that could not be checked, is Invalid: nobody should take it for a verified one.
func (s *Service) signature(p Properties, now time.Time) (*signature, error) {
	if !slices.ContainsFunc(signatureProperties, func(name string) bool { _, ok := p[name]; return ok }) {
		return nil, nil
	}
	for _, name := range signatureProperties {
		if p[name] == "" {
			return nil, fault.Field(name, "%s is missing: a signed image has all of img_signature, img_signature_hash_method, img_signature_key_type and img_signature_certificate_uuid", name)
		}
	}
	sig, err := base64.StdEncoding.DecodeString(p[propSignature])
	if err != nil {
		return nil, fault.Field(propSignature, "img_signature must be base64")
	}
	method, ok := hashMethods[p[propHash]]
	if !ok {
		return nil, fault.Field(propHash, "%.40q is not possible; possible: SHA-224, SHA-256, SHA-384, SHA-512", p[propHash])
	}
	key, err := s.signer(p[propCertificate], now)
	if err != nil {
		return nil, err
	}
	h := method.New()
	check, err := checker(p[propKeyType], key, method)
	if err != nil {
		return nil, err
	}
	return &signature{h, func() error {
		if !check(h.Sum(nil), sig) {
			return fault.Field(propSignature, "the signature is not one of these data by the certificate %s: the data or the signature are not what was signed", p[propCertificate])
		}
		return nil
	}}, nil
}

// checker returns how signatures of a key type are checked with a key.
func checker(keyType string, key any, method crypto.Hash) (func(sum, sig []byte) bool, error) {
	if keyType == rsaPSS {
		pub, ok := key.(*rsa.PublicKey)
		if !ok {
			return nil, fault.Field(propKeyType, "the certificate's key is not RSA")
		}
		return func(sum, sig []byte) bool {
			return rsa.VerifyPSS(pub, method, sum, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil
		}, nil
	}
	curve, ok := curves[keyType]
	if !ok {
		return nil, fault.Field(propKeyType, "%.40q can not be verified here; possible: RSA-PSS, ECC_SECP384R1, ECC_SECP521R1", keyType)
	}
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok || pub.Curve != curve {
		return nil, fault.Field(propKeyType, "the certificate's key is not on the curve %s", keyType)
	}
	return func(sum, sig []byte) bool { return ecdsa.VerifyASN1(pub, sum, sig) }, nil
}

// signer returns the public key of a certificate that the operator has put into the folder of certificates.
func (s *Service) signer(id string, now time.Time) (any, error) {
	if !isID(id) { // it becomes a file's name
		return nil, fault.Field(propCertificate, "img_signature_certificate_uuid must be a UUID")
	}
	f, err := os.Open(filepath.Join(s.Certificates, id+".pem"))
	if err != nil {
		return nil, fault.Field(propCertificate, "there is no certificate %s to verify with; ask the operator to add it", id)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, mostCertificate))
	if err != nil {
		return nil, fault.E(fault.Internal, "reading a certificate", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fault.E(fault.Unavailable, "the certificate "+id+" is no PEM file; tell the operator", nil)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "the certificate "+id+" can not be read; tell the operator", err)
	}
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return nil, fault.Field(propCertificate, "the certificate %s is valid from %s to %s only", id, cert.NotBefore.UTC().Format(time.DateOnly), cert.NotAfter.UTC().Format(time.DateOnly))
	}
	return cert.PublicKey, nil
}
