package ironic

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// heartbeatSeconds is the time in which Ironic's agent is to be heard again.
const heartbeatSeconds = 300

// lookup tells Ironic's own agent which node it runs on. Nobody has to log in for it, so that it tells no more than what an
// agent needs, and of nodes whose run may wait for one only.
func (i *ironic) lookup(w http.ResponseWriter, r *api.Request) error {
	q := r.URL.Query()
	id := q.Get("node_uuid")
	if _, err := uuid.Parse(id); id != "" && err != nil {
		return fault.Field("node_uuid", "must be a UUID")
	}
	macs := strings.FieldsFunc(q.Get("addresses"), func(c rune) bool { return c == ',' })
	if id == "" && len(macs) == 0 {
		return fault.Errorf(fault.Invalid, "name the node by addresses, those of its NICs with commas between them, or by node_uuid")
	}
	n, token, err := i.Lookup(r.Context(), id, macs)
	if err != nil {
		return err
	}
	if token == "" {
		token = "******" // it was told before
	}
	props := n.Properties
	if props == nil {
		props = map[string]string{}
	}
	return api.JSON(w, http.StatusOK, api.Object{
		"node": api.Object{"uuid": n.ID, "properties": props, "instance_info": api.Object{}, "driver_internal_info": api.Object{}},
		"config": api.Object{"heartbeat_timeout": heartbeatSeconds, "agent_token": token, "agent_token_required": true,
			"metrics": api.Object{"backend": "noop"}, "metrics_statsd": api.Object{}, "agent_md5_checksum_enable": false, "disable_deep_image_inspection": false,
			"permitted_image_formats": []string{"raw", "qcow2"}},
	})
}

// heartbeat hears Ironic's own agent. What it tells is kept; it is given no work.
func (i *ironic) heartbeat(w http.ResponseWriter, r *api.Request) error {
	var b struct {
		URL     string `json:"callback_url"`
		Version string `json:"agent_version"`
		Token   string `json:"agent_token"`
		CA      string `json:"agent_verify_ca"`
		Status  string `json:"agent_status"`
		Message string `json:"agent_status_message"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	switch {
	case b.URL == "":
		return fault.Field("callback_url", "is missing")
	case b.Token == "":
		return fault.Field("agent_token", "is missing: it is told at the first lookup")
	case b.Status != "" && !slices.Contains([]string{"start", "end", "error"}, b.Status):
		return fault.Field("agent_status", "must be start, end or error")
	}
	return accepted(w, i.Heartbeat(r.Context(), r.PathValue("node"), b.Token, node.Ramdisk{URL: b.URL, Version: b.Version, Status: b.Status, Message: b.Message}))
}

// eventsSince is the microversion that came with events.
const eventsSince = 54

// portEvents are the events that the network service tells of.
var portEvents = []string{"network.bind_port", "network.unbind_port", "network.delete_port"}

func (i *ironic) events(w http.ResponseWriter, r *api.Request) error {
	if microOf(r) < eventsSince {
		return fault.Errorf(fault.NotFound, "events came with the microversion 1.%d", eventsSince)
	}
	var b struct {
		Events []struct {
			Event  string  `json:"event"`
			Port   string  `json:"port_id"`
			MAC    string  `json:"mac_address"`
			Status string  `json:"status"`
			Device *string `json:"device_id"`
			Host   *string `json:"binding:host_id"`
			VNIC   *string `json:"binding:vnic_type"`
		} `json:"events"`
	}
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	if len(b.Events) == 0 {
		return fault.Field("events", "there are none")
	}
	for _, e := range b.Events {
		_, badPort := uuid.Parse(e.Port)
		_, badMAC := net.ParseMAC(e.MAC)
		switch {
		case !slices.Contains(portEvents, e.Event):
			return fault.Field("event", "%q is none of %s", e.Event, strings.Join(portEvents, ", "))
		case badPort != nil:
			return fault.Field("port_id", "must be a UUID")
		case badMAC != nil:
			return fault.Field("mac_address", "must be a MAC address")
		case e.Status == "":
			return fault.Field("status", "is missing")
		}
	}
	for _, e := range b.Events {
		if err := i.PortEvent(r.Context(), e.MAC, e.Event+" of the port "+e.Port+": "+e.Status); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
