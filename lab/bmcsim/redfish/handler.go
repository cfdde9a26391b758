package redfish

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// document is a Redfish resource: a JSON object that belongs to the standard, not to us.
type document map[string]any

const root = "/redfish/v1"

// handler answers HTTP. Everything but the root asks for a login.
func (b *BMC) handler() http.Handler {
	open := http.NewServeMux()
	open.HandleFunc("GET /redfish", func(w http.ResponseWriter, _ *http.Request) { b.answer(w, document{"v1": root + "/"}) })
	open.HandleFunc("GET "+root, func(w http.ResponseWriter, _ *http.Request) { b.answer(w, b.serviceRoot()) })
	open.HandleFunc("GET "+root+"/{$}", func(w http.ResponseWriter, _ *http.Request) { b.answer(w, b.serviceRoot()) })
	open.HandleFunc("POST "+root+"/SessionService/Sessions", b.login)

	closed := http.NewServeMux()
	closed.HandleFunc("GET "+root+"/{path...}", b.show)
	closed.HandleFunc("DELETE "+root+"/SessionService/Sessions/{id}", b.logout)
	closed.HandleFunc("PATCH "+b.SystemPath(), b.patchSystem)
	closed.HandleFunc("POST "+b.SystemPath()+"/Actions/ComputerSystem.Reset", b.resetSystem)
	closed.HandleFunc("POST "+root+"/Managers/"+b.kind.ManagerID+"/Actions/Manager.Reset", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent) // the simulated BMC is back at once
	})
	open.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if !b.allowed(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Redfish"`)
			refuse(w, http.StatusUnauthorized, "NoValidSession", "There is no valid session established with the implementation.")
			return
		}
		if _, pattern := closed.Handler(r); pattern == "" {
			b.unknown(w, r)
			return
		}
		closed.ServeHTTP(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("OData-Version", "4.0")
		w.Header().Set("Cache-Control", "no-store")
		if len(r.URL.Path) > len(root)+1 {
			r.URL.Path = strings.TrimSuffix(r.URL.Path, "/") // both forms name the same resource
		}
		open.ServeHTTP(w, r)
	})
}

func (b *BMC) show(w http.ResponseWriter, r *http.Request) {
	doc, ok := b.resource(strings.TrimPrefix(r.URL.Path, root+"/"))
	if !ok {
		b.unknown(w, r)
		return
	}
	b.answer(w, doc)
}

func (b *BMC) unknown(w http.ResponseWriter, r *http.Request) {
	if _, ok := b.resource(strings.TrimPrefix(r.URL.Path, root+"/")); ok {
		refuse(w, http.StatusMethodNotAllowed, "OperationNotAllowed", "The resource does not support the method.")
		return
	}
	refuse(w, http.StatusNotFound, "ResourceMissingAtURI", "The resource at the URI "+r.URL.Path+" was not found.")
}

func (b *BMC) login(w http.ResponseWriter, r *http.Request) {
	var who struct{ UserName, Password string }
	if err := read(w, r, &who); err != nil {
		refuseFault(w, err)
		return
	}
	if !b.knows(who.UserName, who.Password) {
		refuse(w, http.StatusUnauthorized, "ResourceAtUriUnauthorized", "The credentials are not valid.")
		return
	}
	s, ok := b.sessions.login()
	if !ok {
		refuse(w, http.StatusServiceUnavailable, "SessionLimitExceeded", "The number of simultaneous sessions exceeds the limit of the implementation.")
		return
	}
	doc, _ := b.resource("SessionService/Sessions/" + s.id)
	w.Header().Set("X-Auth-Token", s.token)
	w.Header().Set("Location", root+"/SessionService/Sessions/"+s.id)
	send(w, http.StatusCreated, doc)
}

func (b *BMC) logout(w http.ResponseWriter, r *http.Request) {
	if !b.sessions.logout(r.PathValue("id")) {
		b.unknown(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// answer sends a resource with its ETag.
func (b *BMC) answer(w http.ResponseWriter, doc document) {
	w.Header().Set("ETag", etag(doc))
	send(w, http.StatusOK, doc)
}

func etag(doc document) string {
	text, err := json.Marshal(doc)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("\"%x\"", sha256.Sum256(text))[:18] + "\""
}

func send(w http.ResponseWriter, status int, doc document) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc)
}

// read reads a JSON body; it returns Invalid faults.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(into); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return fault.Field(kind.Field, "The value of the property %s is of another type than the schema says.", kind.Field)
		}
		return fault.E(fault.Invalid, "The request body is not valid JSON.", err)
	}
	return nil
}

// refuse sends an error as DSP0266 describes it, with a message of the base registry.
func refuse(w http.ResponseWriter, status int, id, message string) {
	send(w, status, document{"error": document{
		"code": "Base.1.8." + id, "message": message,
		"@Message.ExtendedInfo": []document{{
			"@odata.type": "#Message.v1_1_1.Message", "MessageId": "Base.1.8." + id, "Message": message,
			"MessageArgs": []string{}, "Severity": "Critical", "Resolution": "None.",
		}},
	}})
}

func refuseFault(w http.ResponseWriter, err error) {
	var f *fault.Error
	errors.As(err, &f)
	if f != nil && f.Field != "" {
		refuse(w, http.StatusBadRequest, "PropertyValueTypeError", f.Doing)
		return
	}
	refuse(w, http.StatusBadRequest, "MalformedJSON", fault.Message(err))
}
