package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"
)

// The signatures below are the examples of the AWS General Reference, "Signature Version 2 signing process" and "Signature Version 4 signing process".
func TestSignatures(t *testing.T) {
	v2 := EC2Signature{
		Access: "AKIAIOSFODNN7EXAMPLE", Verb: "GET", Host: "elasticmapreduce.amazonaws.com", Path: "/", Signature: "i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf/Mj6vPxyYIs=",
		Params: map[string]string{"AWSAccessKeyId": "AKIAIOSFODNN7EXAMPLE", "Action": "DescribeJobFlows", "SignatureMethod": "HmacSHA256", "SignatureVersion": "2",
			"Timestamp": "2011-10-03T15:19:30", "Version": "2009-03-31"},
	}
	empty := sha256.Sum256(nil)
	v4 := EC2Signature{
		Access: "AKIDEXAMPLE", Verb: "GET", Path: "/", Body: hex.EncodeToString(empty[:]), Signature: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
		Params: map[string]string{"Action": "ListUsers", "Version": "2010-05-08"},
		Headers: map[string]string{"Host": "iam.amazonaws.com", "X-Amz-Date": "20150830T123600Z", "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
			"Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d67"},
	}
	for _, tt := range []struct {
		name string
		sig  EC2Signature
		key  string
		at   time.Time
	}{
		{"version 2", v2, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", time.Date(2011, 10, 3, 15, 20, 0, 0, time.UTC)},
		{"version 4", v4, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", time.Date(2015, 8, 30, 12, 40, 0, 0, time.UTC)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.sig.fits(tt.key, tt.at) {
				t.Error("the example's signature does not fit")
			}
			if tt.sig.fits(tt.key, tt.at.Add(time.Hour)) {
				t.Error("an old signature fits")
			}
			if tt.sig.fits("another key", tt.at) {
				t.Error("another key's signature fits")
			}
			tt.sig.Path = "/elsewhere"
			if tt.sig.fits(tt.key, tt.at) {
				t.Error("the signature fits another request")
			}
		})
	}
}

// TestPasscode is the example of RFC 6238, appendix B, with six digits instead of eight.
func TestPasscode(t *testing.T) {
	if got := Passcode("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", time.Unix(59, 0)); got != "287082" {
		t.Errorf("the passcode is %s", got)
	}
}

// FuzzSignature presents whatever as a request that was signed with an EC2 key pair.
func FuzzSignature(f *testing.F) {
	f.Add("a", "s", "AWS4-HMAC-SHA256 Credential=a/20300131/r/s/aws4_request, SignedHeaders=host;x-amz-date, Signature=x", "20300131T000000Z", []byte("AWS4\n\n\n"))
	f.Add("a", "s", "Credential=", "2", []byte(nil))
	f.Add("", "", "AWS4-HMAC-SHA256 SignedHeaders=;;", "", []byte("\n\n\n\n\n"))
	f.Fuzz(func(t *testing.T, access, signature, header, at string, token []byte) {
		for _, params := range []map[string]string{{"SignatureVersion": "2", "Timestamp": at, "SignatureMethod": header}, {"X-Amz-Date": at, "X-Amz-Credential": header, "X-Amz-SignedHeaders": header}, nil} {
			g := EC2Signature{Access: access, Signature: signature, Host: header, Verb: at, Path: access, Params: params, Headers: map[string]string{"Authorization": header, "X-Amz-Date": at}, Token: token}
			if g.fits("a secret", time.Now()) {
				t.Errorf("%+v fits", g)
			}
		}
	})
}
