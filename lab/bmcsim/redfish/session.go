package redfish

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const sessionLife = 30 * time.Minute // without a request

// session is a login.
type session struct {
	id    string
	token string
	user  string
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
func (s *sessions) login(user string) (opened session, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if len(s.open) >= s.limit {
		return session{}, false
	}
	s.next++
	fresh := &session{id: strconv.Itoa(s.next), token: rand.Text(), user: user, used: s.now()}
	s.open = append(s.open, fresh)
	return *fresh, true
}

// use returns whose open session a token belongs to, and keeps that session open.
func (s *sessions) use(token string) (user string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, one := range s.open {
		if same(one.token, token) {
			one.used = s.now()
			return one.user, true
		}
	}
	return "", false
}

// logout closes a session; ok is false when there is none of that id.
func (s *sessions) logout(id string) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, one := range s.open {
		if one.id == id {
			s.open = slices.Delete(s.open, i, i+1)
			return true
		}
	}
	return false
}

// forget closes all sessions, as a restart does.
func (s *sessions) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = nil
}

// of returns whose session an id is; ok is false when there is none.
func (s *sessions) of(id string) (user string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, one := range s.open {
		if one.id == id {
			return one.user, true
		}
	}
	return "", false
}

func (s *sessions) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	var ids []string
	for _, one := range s.open {
		ids = append(ids, one.id)
	}
	slices.Sort(ids)
	return ids
}

func (s *sessions) expire() {
	s.open = slices.DeleteFunc(s.open, func(one *session) bool { return s.now().Sub(one.used) >= sessionLife })
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// admitted checks token or password, and answers when neither is good.
func (c *call) admitted() bool {
	var user string
	var ok bool
	if token := c.r.Header.Get("X-Auth-Token"); token != "" {
		user, ok = c.sessions.use(token)
	} else {
		var password string
		if user, password, ok = c.r.BasicAuth(); ok {
			ok = c.knows(user, password)
		}
	}
	if !ok {
		c.w.Header().Set("WWW-Authenticate", `Basic realm="Redfish"`)
		c.refuse(http.StatusUnauthorized, "NoValidSession", "There is no valid session established with the implementation.")
		return false
	}
	account := c.accountOf(user)
	if c.config.NewPassword && !c.passwordChanged() && c.path != account && c.path != "SessionService/Sessions" {
		c.refuse(http.StatusForbidden, "PasswordChangeRequired", "The password provided for this account must be changed before access is granted.", root+"/"+account)
		return false
	}
	return true
}

func (c *call) passwordChanged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.password
}

func (b *BMC) sessionPath() string {
	if b.kind.Logins.Old {
		return "Sessions"
	}
	return "SessionService/Sessions"
}

func (c *call) login() {
	user, password := c.body.text("UserName"), c.body.text("Password")
	if _, wrong := c.body["UserName"].(string); !wrong {
		c.refuse(http.StatusBadRequest, "PropertyMissing", "The property UserName is needed.", "UserName")
		return
	}
	if !c.knowsLocked(user, password) {
		c.refuse(http.StatusUnauthorized, "ResourceAtUriUnauthorized", "The credentials are not valid.")
		return
	}
	var s session
	ok := false
	if !c.fault.Sessions {
		s, ok = c.sessions.login(user)
	}
	if !ok {
		c.refuse(http.StatusServiceUnavailable, cmp.Or(c.kind.Logins.FullID, "SessionLimitExceeded"), "The number of simultaneous sessions exceeds the limit of the implementation.")
		return
	}
	c.path = c.sessionPath() + "/" + s.id
	c.args = []string{s.id}
	doc := c.session()
	if c.kind.Logins.NoID {
		delete(doc, "@odata.id")
	}
	where := root + "/" + c.path
	if c.kind.Logins.Absolut {
		where = "https://" + c.r.Host + where + "/"
	}
	c.w.Header().Set("X-Auth-Token", s.token)
	c.w.Header().Set("Location", where)
	c.send(http.StatusCreated, doc)
}

func (c *call) session() document {
	user, ok := c.sessions.of(c.args[0])
	if !ok {
		return nil
	}
	d := c.resource("Session.v1_3_0.Session", "User Session")
	d["UserName"] = user
	return d
}

func (c *call) logout() {
	if !c.sessions.logout(c.args[0]) {
		c.missing()
		return
	}
	c.done(0)
}

func (c *call) sessionService() document {
	d := c.resource("SessionService.v1_1_6.SessionService", "Session Service")
	d["ServiceEnabled"], d["SessionTimeout"], d["Sessions"] = true, int(sessionLife.Seconds()), link(c.sessionPath())
	return d
}

func (c *call) sessionList() document {
	var paths []string
	for _, id := range c.sessions.ids() {
		paths = append(paths, c.sessionPath()+"/"+id)
	}
	return c.members("Session", paths...)
}
