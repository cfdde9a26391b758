package redfish

import (
	"net/http"
	"strings"
)

// living are the resources that are not shown as captured but as they are: what follows from use.
var living = []string{"SessionService/Sessions*", "Sessions*", "TaskService/Tasks*", "TaskService/TaskMonitors*", "Managers/*/Jobs*", "Managers/*/Oem/Dell/Jobs*", "AccountService/Accounts*"}

// serveCaptured answers from the capture, with what changed since laid over it; false leaves the answer to the simulated
// resource.
func (b *BMC) serveCaptured(c *call, found route, known bool) bool {
	if c.r.Method != http.MethodGet && !known {
		return false
	}
	for _, pattern := range living {
		if like(pattern, c.path) && known {
			return false
		}
	}
	key := strings.ToLower(c.path)
	if q := c.r.URL.RawQuery; q != "" && b.capture.docs[key+"?"+strings.ToLower(q)] != nil {
		key += "?" + strings.ToLower(q)
	}
	text, there := b.capture.docs[key]
	if found.get != nil || !known {
		found.get = nil
		if there {
			found.get = func(c *call) document { return c.overlay() }
		}
	}
	c.get = found.get
	if c.r.Method != http.MethodGet {
		c.dispatch(found)
		return true
	}
	switch {
	case !there:
		c.missing()
	case c.lives():
		c.show(c.overlay())
	default:
		c.write(http.StatusOK, text)
	}
	return true
}

// lives reports whether a captured resource shows something that changes.
func (c *call) lives() bool {
	p := strings.ToLower(c.path)
	return c.capture.document(c.path) != nil && (p == strings.ToLower(c.system()) || p == strings.ToLower(c.chassis()) || p == strings.ToLower(c.biosPath()) ||
		p == c.pendingPath() || p == strings.ToLower(c.system()+"/"+c.kind.Boot.At) || strings.HasPrefix(p, strings.ToLower(c.mediaOwner()+"/VirtualMedia/")))
}

func (b *BMC) pendingPath() string {
	return strings.ToLower(b.biosPath() + "/" + strings.Trim(b.kind.Settings.Pending, "/"))
}

// overlay is a captured document with what changed laid over it.
func (c *call) overlay() document {
	d := c.capture.document(c.path)
	if d == nil {
		return nil
	}
	_, tagged := d["@odata.etag"]
	switch p := strings.ToLower(c.path); {
	case p == strings.ToLower(c.system()), p == strings.ToLower(c.system()+"/"+c.kind.Boot.At):
		if _, there := d["PowerState"]; there {
			d["PowerState"] = c.power()
		}
		boot := d.inner("Boot")
		for name, value := range c.bootDocument(false) {
			if _, there := boot[name]; there && !strings.Contains(name, "@") {
				boot[name] = value
			}
		}
		if c.state.order != nil {
			boot["BootOrder"] = c.state.order
		}
		c.relight(d)
	case p == strings.ToLower(c.chassis()):
		d["PowerState"] = c.power()
		c.relight(d)
	case p == c.pendingPath():
		d["Attributes"] = document{}
		if c.kind.Settings.FullCopy {
			d["Attributes"] = c.values(true)
		} else if len(c.state.pending) > 0 {
			d["Attributes"] = copied(c.state.pending)
		}
	case p == strings.ToLower(c.biosPath()):
		d["Attributes"] = c.values(c.kind.Settings.Jobs)
	case strings.HasPrefix(p, strings.ToLower(c.mediaOwner()+"/VirtualMedia/")):
		if len(c.args) == 0 {
			break
		}
		if live := c.slot(); live != nil {
			for _, name := range []string{"Inserted", "Image", "ImageName", "ConnectedVia"} {
				d[name] = live[name]
			}
		}
	}
	if tagged {
		d["@odata.etag"] = `"` + core(d) + `"`
		if c.kind.Tags.Form == Number {
			d["@odata.etag"] = number(d)
		}
	}
	return d
}

// relight shows the identify LED where the document has one.
func (c *call) relight(d document) {
	if c.state.light == "" {
		return
	}
	live := document{}
	c.lights(live)
	for name, value := range live {
		if _, there := d[name]; there {
			d[name] = value
		}
	}
}
