package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what version 2 of the signature asks for
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

// EC2Signature is a request to some service that was signed with an EC2 key pair (AWS signature version 2 or 4), taken
// apart. With Token, a string that was signed for S3, nothing else but the signature counts.
type EC2Signature struct {
	Access, Signature      string
	Host, Verb, Path, Body string // Body is the hash of the body
	Params, Headers        map[string]string
	Token                  []byte
}

// signatureAge is how far a signature's time may be from ours.
const signatureAge = 15 * time.Minute

const (
	v4Algorithm = "AWS4-HMAC-SHA256"
	v4Time      = "20060102T150405Z"
)

// bySignature finds the user and project of an EC2 credential by a signature that it made.
func (s *Service) bySignature(ctx context.Context, sig EC2Signature) (User, string, error) {
	c, err := s.Credential(ctx, ec2ID(sig.Access))
	if fault.Is(err, fault.NotFound) || (err == nil && c.Kind != kindEC2) {
		return User{}, "", errWho
	}
	if err != nil {
		return User{}, "", err
	}
	if !sig.fits(c.EC2().Secret, db.Now()) {
		return User{}, "", errWho
	}
	u, err := s.User(ctx, c.AccountID)
	if err != nil || !u.Enabled || !u.DomainEnabled {
		return u, "", errWho
	}
	return u, c.ProjectID, nil
}

// Signed returns whom a signature speaks for, without a token being issued.
func (s *Service) Signed(ctx context.Context, sig EC2Signature) (Caller, error) {
	u, project, err := s.bySignature(ctx, sig)
	if err != nil {
		return Caller{}, err
	}
	now := db.Now().UTC()
	return s.caller(ctx, Token{AccountID: u.ID, Target: project, Methods: []string{"ec2credential"}, IssuedAt: now, ExpiresAt: now.Add(TokenTime)})
}

// fits reports whether a secret made the signature, lately.
func (g EC2Signature) fits(key string, now time.Time) bool {
	switch {
	case len(g.Token) > 0:
		return g.fitsS3(key, now)
	case g.Params["SignatureVersion"] == "2":
		return g.fitsV2(key, now)
	}
	return g.fitsV4(key, now)
}

func recent(layout, value string, now time.Time) bool {
	t, err := time.Parse(layout, value)
	return err == nil && now.Sub(t).Abs() <= signatureAge
}

func mac(h func() hash.Hash, key []byte, parts ...string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(strings.Join(parts, "\n")))
	return m.Sum(nil)
}

// fitsV2 follows "Signature Version 2 Signing Process" of the AWS General Reference. The time is in a parameter that is signed.
func (g EC2Signature) fitsV2(key string, now time.Time) bool {
	var h func() hash.Hash
	switch g.Params["SignatureMethod"] {
	case "HmacSHA256":
		h = sha256.New
	case "HmacSHA1":
		h = sha1.New
	default:
		return false
	}
	stamp := strings.TrimSuffix(g.Params["Timestamp"], "Z")
	if !recent("2006-01-02T15:04:05", stamp, now) {
		return false
	}
	want := base64.StdEncoding.EncodeToString(mac(h, []byte(key), g.Verb, g.Host, g.Path, canonicalQuery(g.Params)))
	return secret.Same(want, g.Signature)
}

// canonicalQuery is a query with sorted names, escaped as AWS wants it: spaces are no plus.
func canonicalQuery(params map[string]string) string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(params)) {
		if k != "Signature" && k != "X-Amz-Signature" {
			pairs = append(pairs, escape(k)+"="+escape(params[k]))
		}
	}
	return strings.Join(pairs, "&")
}

func escape(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%7E", "~")
}

// fitsV4 follows "Signature Version 4 signing process" of the AWS General Reference. The scope is in the header
// Authorization or the parameter X-Amz-Credential.
func (g EC2Signature) fitsV4(key string, now time.Time) bool {
	headers := map[string]string{}
	for k, v := range g.Headers {
		headers[strings.ToLower(k)] = v
	}
	stamp, scope, signed := g.Params["X-Amz-Date"], g.Params["X-Amz-Credential"], g.Params["X-Amz-SignedHeaders"]
	if scope == "" {
		stamp = headers["x-amz-date"]
		for part := range strings.SplitSeq(strings.TrimPrefix(headers["authorization"], v4Algorithm+" "), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name {
			case "Credential":
				scope = value
			case "SignedHeaders":
				signed = value
			}
		}
	}
	scope, ok := strings.CutPrefix(scope, g.Access+"/")
	if !ok || !recent(v4Time, stamp, now) {
		return false
	}
	var lines strings.Builder
	for name := range strings.SplitSeq(signed, ";") {
		if v, ok := headers[name]; ok {
			lines.WriteString(name + ":" + strings.TrimSpace(v) + "\n")
		}
	}
	if lines.Len() == 0 {
		lines.WriteString("\n") // OpenStack's clients end the empty list with a line too
	}
	query := canonicalQuery(g.Params)
	if g.Verb == "POST" {
		query = ""
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{g.Verb, g.Path, query, lines.String(), signed, g.Body}, "\n")))
	return secret.Same(v4Signature(key, scope, v4Algorithm, stamp, scope, hex.EncodeToString(sum[:])), g.Signature)
}

// v4Signature signs lines with the key of a scope: DATE/REGION/SERVICE/aws4_request.
func v4Signature(key, scope string, lines ...string) string {
	k := []byte("AWS4" + key)
	for part := range strings.SplitSeq(scope, "/") {
		k = mac(sha256.New, k, part)
	}
	return hex.EncodeToString(mac(sha256.New, k, lines...))
}

// fitsS3 checks the signature of a string that was made for S3: a version 4 one for the service s3, or version 1, which is
// an SHA-1 over the string and tells its own time nowhere that we could trust, so that it is refused.
func (g EC2Signature) fitsS3(key string, now time.Time) bool {
	lines := strings.Split(string(g.Token), "\n")
	if len(lines) != 4 || lines[0] != v4Algorithm || !recent(v4Time, lines[1], now) {
		return false
	}
	scope := strings.Split(lines[2], "/")
	if len(scope) != 4 || scope[2] != "s3" {
		return false
	}
	return secret.Same(v4Signature(key, lines[2], lines...), g.Signature)
}
