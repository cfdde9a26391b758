package record

import (
	"encoding/base64"
	"html"
	"regexp"
	"strings"
)

const hidden = "(hidden)"

// hiding removes secrets: those that it was told, and whatever stands where secrets stand.
type hiding struct{ secrets []string }

// places are where secrets stand in the protocols' bodies: JSON properties, XML attributes and elements.
var places = []*regexp.Regexp{
	regexp.MustCompile(`(?i)("(?:old|new|current)?(?:password|passwd|token|secret|privatekey|authenticationkey|encryptionkey|setpassword|oldpassword|newpassword|kgkey)"\s*:\s*)"(?:[^"\\]|\\.)*"`),
	regexp.MustCompile(`(?i)(\bPASSWORD(?:\s+VALUE)?\s*=\s*)(?:"[^"]*"|'[^']*')`),
	regexp.MustCompile(`(?i)(<(?:[a-z0-9]+:)?(?:password|passwd)[^>/]*>)[^<]*`),
}

// headers are the header fields that carry secrets.
var headers = map[string]bool{"authorization": true, "x-auth-token": true, "cookie": true, "set-cookie": true}

func (h *hiding) add(secret string) {
	const shortest = 3 // shorter ones would blank out half of every document
	if len(secret) < shortest {
		return
	}
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), html.EscapeString(secret)} {
		h.secrets = append(h.secrets, form)
	}
}

func (h *hiding) text(s string) string {
	if s == "" {
		return s
	}
	for _, secret := range h.secrets {
		s = strings.ReplaceAll(s, secret, hidden)
	}
	for i, place := range places {
		value := `${1}"` + hidden + `"`
		if i == len(places)-1 {
			value = `${1}` + hidden
		}
		s = place.ReplaceAllString(s, value)
	}
	return s
}

func (h *hiding) exchange(e *Exchange) {
	e.Path, e.Request, e.Response, e.Error = h.text(e.Path), h.text(e.Request), h.text(e.Response), h.text(e.Error)
	for _, fields := range []map[string]string{e.Asked, e.Answered} {
		for name, value := range fields {
			if headers[strings.ToLower(name)] {
				fields[name] = hidden
			} else {
				fields[name] = h.text(value)
			}
		}
	}
}
