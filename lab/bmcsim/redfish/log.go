package redfish

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// logs returns the log services of the owner that the path names.
func (c *call) logs() (owner string, names []string) {
	if len(c.path) > len("Systems/") && c.path[:len("Systems/")] == "Systems/" {
		return c.system(), c.kind.Tree.SystemLogs
	}
	return c.manager(), c.kind.Tree.ManagerLogs
}

func (c *call) logList() document {
	owner, names := c.logs()
	if names == nil {
		return nil
	}
	var paths []string
	for _, n := range names {
		paths = append(paths, owner+"/LogServices/"+n)
	}
	paths = append(paths, c.kind.Tree.Dead...)
	return c.members("LogService", paths...)
}

func (c *call) hasLog() bool {
	_, names := c.logs()
	return slices.Contains(names, c.args[0])
}

func (c *call) logService() document {
	if !c.hasLog() {
		return nil
	}
	d := c.resource("LogService.v1_1_3.LogService", c.args[0])
	kind := "Event"
	if c.args[0] == "SEL" || c.args[0] == "Sel" || c.args[0] == "SystemEventLog" {
		kind = "SEL"
	}
	d["LogEntryType"], d["ServiceEnabled"], d["Status"], d["Entries"] = kind, true, fine(), link(c.path+"/Entries")
	d["DateTime"], d["OverWritePolicy"] = stamp(time.Now()), "WrapsWhenFull"
	d["Actions"] = document{"#LogService.ClearLog": document{"target": root + "/" + c.path + "/Actions/LogService.ClearLog"}}
	return d
}

// messages are what logs say, in turns.
var messages = []struct{ severity, text string }{
	{"OK", "The system was powered on by the management controller."},
	{"Warning", "The temperature of the inlet is above its upper threshold."},
	{"OK", "The temperature of the inlet is within its range again."},
	{"Critical", "The power input of supply 2 is lost."},
	{"OK", "The power input of supply 2 is restored."},
}

// entryCount is how much a log holds; a life-cycle log holds more than a page.
func (c *call) entryCount() int {
	switch {
	case c.fault.LoseEvents || c.state.cleared[c.logKey()]:
		return 0
	case c.args[0] == "Lclog":
		return 77
	}
	return len(messages)
}

func (c *call) logKey() string {
	owner, _ := c.logs()
	return owner + " " + c.args[0]
}

func (c *call) entries() document {
	if !c.hasLog() {
		return nil
	}
	d := c.members("LogEntry")
	links := []any{}
	for i := range c.entryCount() {
		links = append(links, c.entryDocument(c.path, i+1))
	}
	d["Members"], d["Members@odata.count"] = links, len(links)
	return d
}

func (c *call) entryDocument(list string, n int) document {
	m := messages[(n-1)%len(messages)]
	at := *c
	at.path = fmt.Sprintf("%s/%d", list, n)
	d := at.resource("LogEntry.v1_8_0.LogEntry", "Log Entry "+strconv.Itoa(n))
	d["EntryType"], d["Severity"], d["Message"], d["MessageId"] = "Event", m.severity, m.text, "Lab.1.0.Event"+strconv.Itoa(n%5)
	d["Created"] = stamp(time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute))
	return at.shape(d)
}

func (c *call) entry() document {
	n, err := strconv.Atoi(c.args[1])
	if err != nil || !c.hasLog() || n < 1 || n > c.entryCount() {
		return nil
	}
	return c.entryDocument(c.path[:len(c.path)-len(c.args[1])-1], n)
}

func (c *call) clearLog() {
	if !c.hasLog() {
		c.missing()
		return
	}
	if c.state.cleared == nil {
		c.state.cleared = map[string]bool{}
	}
	c.state.cleared[c.logKey()] = true
	c.done(0)
}
