package scci

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/wire"
)

// challenge is what an iRMC asks for with digest authentication (RFC 2617, which is what its age knows).
type challenge struct {
	realm, nonce, opaque string
	qop                  bool
	count                int
}

var directive = regexp.MustCompile(`(\w+)=(?:"([^"]*)"|([^,\s]+))`)

func readChallenge(header string) (challenge, bool) {
	rest, ok := strings.CutPrefix(header, "Digest ")
	if !ok {
		return challenge{}, false
	}
	var c challenge
	for _, m := range directive.FindAllStringSubmatch(rest, -1) {
		v := m[2] + m[3]
		switch strings.ToLower(m[1]) {
		case "realm":
			c.realm = v
		case "nonce":
			c.nonce = v
		case "opaque":
			c.opaque = v
		case "qop":
			c.qop = strings.Contains(v, "auth")
		}
	}
	return c, c.nonce != ""
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// header answers a challenge for one request.
func (c *challenge) header(user, password, method, uri string) string {
	ha1, ha2 := md5Hex(user+":"+c.realm+":"+password), md5Hex(method+":"+uri)
	out := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s"`, user, c.realm, c.nonce, uri)
	if c.qop {
		c.count++
		client, count := rand.Text(), fmt.Sprintf("%08x", c.count)
		out += fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s", response="%s"`, count, client, md5Hex(strings.Join([]string{ha1, c.nonce, count, client, "auth", ha2}, ":")))
	} else {
		out += fmt.Sprintf(`, response="%s"`, md5Hex(ha1+":"+c.nonce+":"+ha2))
	}
	if c.opaque != "" {
		out += fmt.Sprintf(`, opaque="%s"`, c.opaque)
	}
	return out
}

// do sends a request, authenticated as the iRMC wants it. A request that was refused for want of authentication was
// not begun, so that it may be sent again.
func (d *driver) do(ctx context.Context, r wire.Request) (wire.Answer, error) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	for fresh := false; ; fresh = true {
		basic := base64.StdEncoding.EncodeToString([]byte(d.access.Username + ":" + d.access.Password))
		r.Header.Set("Authorization", "Basic "+basic)
		if d.memory.Get(authFact) == "digest" && d.nonce.nonce != "" {
			r.Header.Set("Authorization", d.nonce.header(d.access.Username, d.access.Password, method, r.Path))
		}
		a, err := d.client.Do(ctx, r)
		if err != nil || a.Status != http.StatusUnauthorized {
			return a, err
		}
		c, digest := readChallenge(a.Header.Get("Www-Authenticate"))
		if fresh || !digest {
			return a, bmc.Fail(bmc.Failure{Class: bmc.Credentials, Code: "HTTP 401"}, "the iRMC refuses the user name or password")
		}
		d.nonce = c
		d.memory.Set(authFact, "digest")
	}
}
