package redfish

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/lab/bmcsim/inject"
)

// document is a Redfish resource: a JSON object that belongs to the standard, not to us.
type document map[string]any

const root = "/redfish/v1"

// call is one request that is being answered.
type call struct {
	*BMC
	w     http.ResponseWriter
	r     *http.Request
	path  string               // below the root, tidy
	args  []string             // what the wildcards of the route stand for
	body  document             // of a PATCH or POST
	get   func(*call) document // of the resource
	fault inject.Decision

	status   int  // of the answer to a GET; 0 is 200
	answered bool // by the resource itself
}

// link is a reference to a path below the root.
func link(path string) document { return document{"@odata.id": root + "/" + path} }

func (b *BMC) system() string  { return "Systems/" + b.kind.SystemID }
func (b *BMC) manager() string { return "Managers/" + b.kind.ManagerID }
func (b *BMC) chassis() string { return "Chassis/" + b.kind.ChassisID }

// resource begins a document.
func (c *call) resource(kind, name string) document {
	id := c.path[strings.LastIndexByte(c.path, '/')+1:]
	return document{"@odata.type": "#" + kind, "@odata.id": root + "/" + c.path, "Id": id, "Name": name}
}

// members makes a collection of the paths below the root.
func (c *call) members(kind string, paths ...string) document {
	links := []any{}
	for _, p := range paths {
		links = append(links, link(p))
	}
	return document{
		"@odata.type": "#" + kind + "Collection." + kind + "Collection", "@odata.id": root + "/" + c.path, "Name": kind + " Collection",
		"Members": links, "Members@odata.count": len(links),
	}
}

func fine() document { return document{"Health": "OK", "State": "Enabled"} }

// health is what is told of a part.
func (c *call) health() document {
	s := fine()
	s["HealthRollup"] = "OK"
	if h := c.fault.Health; h != "" {
		s["Health"], s["HealthRollup"] = h, h
	}
	return s
}

// power is the power state that is told.
func (c *call) power() string {
	switch on := c.machine.Status().On; {
	case c.fault.Power == "on", c.fault.Power == "" && on:
		return "On"
	}
	return "Off"
}

// undo makes a change undo itself where a fault says so.
func (c *call) undo(f func()) {
	if d := c.fault.Revert; d > 0 {
		c.faults.After(d, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			f()
		})
	}
}

// done answers a POST that needs no body.
func (c *call) done(status int) {
	if status == 0 {
		status = http.StatusNoContent
	}
	if status == http.StatusNoContent {
		c.w.WriteHeader(status)
		return
	}
	c.send(status, errorDocument("Success", "The request completed successfully.", "OK", nil))
}

// changed answers a PATCH with what the resource is now.
func (c *call) changed() {
	if c.get == nil {
		c.done(0)
		return
	}
	c.show(c.get(c))
}

// refuse answers with an error. An id without a registry is of the base registry.
func (c *call) refuse(status int, id, message string, args ...string) {
	c.send(status, errorDocument(id, message, "Critical", args))
}

// errorDocument is an error as DSP0266 describes it.
func errorDocument(id, message, severity string, args []string) document {
	if !strings.Contains(id, ".") {
		id = "Base.1.8." + id
	}
	if args == nil {
		args = []string{}
	}
	return document{"error": document{
		"code": id, "message": message,
		"@Message.ExtendedInfo": []document{{
			"@odata.type": "#Message.v1_1_1.Message", "MessageId": id, "Message": message, "MessageArgs": args, "Severity": severity, "Resolution": "None.",
		}},
	}}
}

func (c *call) send(status int, doc document) {
	text, err := json.Marshal(doc)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte("{}")
	}
	c.write(status, append(text, '\n'))
}

func (c *call) unknownValue(property string) {
	c.refuse(http.StatusBadRequest, "PropertyValueNotInList", "The value of the property "+property+" is not in the list of acceptable values.", property)
}

func (c *call) unknownProperty(property string) {
	c.refuse(http.StatusBadRequest, "PropertyUnknown", "The property "+property+" is not in the list of valid properties for the resource.", property)
}

// text returns a property as a string; "" when it is none.
func (d document) text(name string) string {
	s, _ := d[name].(string)
	return s
}

// inner returns a property that is an object; nil when it is none.
func (d document) inner(name string) document {
	switch v := d[name].(type) {
	case map[string]any:
		return v
	case document:
		return v
	}
	return nil
}

// stamp writes a time as BMCs do.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
