package scci

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// users is how many the configuration space has.
const users = 16

func (b *BMC) password(name string) (string, bool) {
	for i := range users {
		if n := b.space[at("1451", i)]; n != "" && n == name && b.space[at("1457", i)] == "1" {
			return b.space[at("1452", i)], true
		}
	}
	return "", false
}

// enter checks who asks, and answers 401 to strangers.
func (b *BMC) enter(w http.ResponseWriter, r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if user, given, ok := r.BasicAuth(); ok && !b.kind.Digest {
		if p, known := b.password(user); known && p == given {
			return true
		}
	}
	if b.kind.Digest && b.digest(r) {
		return true
	}
	challenge := `Basic realm="iRMC"`
	if b.kind.Digest {
		nonce := rand.Text()
		b.nonces[nonce] = true
		challenge = `Digest realm="iRMC", nonce="` + nonce + `", qop="auth", algorithm=MD5`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

var directive = regexp.MustCompile(`(\w+)=(?:"([^"]*)"|([^,\s]+))`)

// digest checks an answer to a challenge (RFC 2617).
func (b *BMC) digest(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Digest ")
	if !ok {
		return false
	}
	v := map[string]string{}
	for _, m := range directive.FindAllStringSubmatch(rest, -1) {
		v[m[1]] = m[2] + m[3]
	}
	p, known := b.password(v["username"])
	if !known || !b.nonces[v["nonce"]] || v["uri"] != r.URL.RequestURI() {
		return false
	}
	hash := func(parts ...string) string {
		sum := md5.Sum([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(sum[:])
	}
	return v["response"] == hash(hash(v["username"], v["realm"], p), v["nonce"], v["nc"], v["cnonce"], v["qop"], hash(r.Method, v["uri"]))
}

// number reads the hex index of a command.
func number(s string) int {
	n, err := strconv.ParseInt(s, 16, 32)
	if err != nil {
		return -1
	}
	return int(n)
}
