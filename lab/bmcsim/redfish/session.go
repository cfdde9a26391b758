package redfish

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"sort"
	"strconv"
	"sync"
	"time"
)

const sessionLife = 30 * time.Minute // without a request

// session is a login.
type session struct {
	id    string
	token string
	used  time.Time
}

// sessions keeps logins. BMCs have room for few: a client that forgets to log out locks others out.
type sessions struct {
	limit int
	now   func() time.Time

	mu   sync.Mutex
	next int
	open []*session
}

// login opens a session; ok is false when there is no room.
func (s *sessions) login() (opened session, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if len(s.open) >= s.limit {
		return session{}, false
	}
	s.next++
	fresh := &session{id: strconv.Itoa(s.next), token: rand.Text(), used: s.now()}
	s.open = append(s.open, fresh)
	return *fresh, true
}

// use reports whether a token belongs to an open session, and keeps that session open.
func (s *sessions) use(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, one := range s.open {
		if same(one.token, token) {
			one.used = s.now()
			return true
		}
	}
	return false
}

// logout closes a session; ok is false when there is none of that id.
func (s *sessions) logout(id string) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, one := range s.open {
		if one.id == id {
			s.open = append(s.open[:i], s.open[i+1:]...)
			return true
		}
	}
	return false
}

func (s *sessions) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	var ids []string
	for _, one := range s.open {
		ids = append(ids, one.id)
	}
	sort.Strings(ids)
	return ids
}

func (s *sessions) expire() {
	var left []*session
	for _, one := range s.open {
		if s.now().Sub(one.used) < sessionLife {
			left = append(left, one)
		}
	}
	s.open = left
}

// allowed reports whether a request carries a valid token or password.
func (b *BMC) allowed(r *http.Request) bool {
	if token := r.Header.Get("X-Auth-Token"); token != "" {
		return b.sessions.use(token)
	}
	user, password, ok := r.BasicAuth()
	return ok && b.knows(user, password)
}

func (b *BMC) knows(user, password string) bool {
	return same(user, b.config.Username) && same(password, b.config.Password)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
