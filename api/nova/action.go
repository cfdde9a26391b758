package nova

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/server"
)

// act is an action on a server; a document that it returns is the answer's body.
type act func(n *nova, r *api.Request, body json.RawMessage) (api.Object, error)

// actions are the verbs that a bare-metal server knows.
var actions = map[string]act{
	"os-start": func(n *nova, r *api.Request, _ json.RawMessage) (api.Object, error) {
		return nil, n.press(r, "start", bmc.PowerOn, bmc.On)
	},
	"os-stop": func(n *nova, r *api.Request, _ json.RawMessage) (api.Object, error) {
		return nil, n.press(r, "stop", bmc.PowerOff, bmc.Off)
	},
	"reboot":              reboot,
	"rebuild":             rebuild,
	"rescue":              rescue,
	"os-getConsoleOutput": consoleOutput,
	"unrescue": func(n *nova, r *api.Request, _ json.RawMessage) (api.Object, error) {
		return nil, n.servers.Unrescue(r.Context(), scope(r), serverID(r))
	},
	"lock": func(n *nova, r *api.Request, body json.RawMessage) (api.Object, error) {
		var b struct {
			Reason string `json:"locked_reason"`
		}
		if err := optional(body, &b); err != nil {
			return nil, err
		}
		return nil, n.servers.Lock(r.Context(), scope(r), serverID(r), locker(r), b.Reason)
	},
	"unlock": func(n *nova, r *api.Request, _ json.RawMessage) (api.Object, error) {
		return nil, n.servers.Unlock(r.Context(), scope(r), serverID(r), locker(r))
	},
	"addSecurityGroup": func(n *nova, r *api.Request, body json.RawMessage) (api.Object, error) {
		return nil, n.guard(r, body, true)
	},
	"removeSecurityGroup": func(n *nova, r *api.Request, body json.RawMessage) (api.Object, error) {
		return nil, n.guard(r, body, false)
	},
	"forceDelete": func(n *nova, r *api.Request, _ json.RawMessage) (api.Object, error) {
		return nil, n.servers.Delete(r.Context(), scope(r), serverID(r))
	},
}

// lacking says of actions of Nova why a bare-metal server has not got them.
var lacking = map[string]string{
	"os-getVNCConsole":        noConsole,
	"os-getSPICEConsole":      noConsole,
	"os-getSerialConsole":     noConsole,
	"os-getRDPConsole":        noConsole,
	"os-getMKSConsole":        noConsole,
	"resize":                  "a server is a physical node, which has one size",
	"confirmResize":           "a server is a physical node, which has one size",
	"revertResize":            "a server is a physical node, which has one size",
	"migrate":                 "a server is a physical node, and does not move to another",
	"os-migrateLive":          "a server is a physical node, and does not move to another",
	"evacuate":                "a server is a physical node, and does not move to another",
	"pause":                   "a physical server can not be paused; stop it",
	"unpause":                 "a physical server can not be paused",
	"suspend":                 "a physical server can not be suspended; stop it",
	"resume":                  "a physical server can not be suspended",
	"shelve":                  "the disk of a physical server is not kept elsewhere",
	"shelveOffload":           "the disk of a physical server is not kept elsewhere",
	"unshelve":                "the disk of a physical server is not kept elsewhere",
	"createImage":             "no images are made of a physical server's disk",
	"createBackup":            "no images are made of a physical server's disk",
	"changePassword":          "nothing in the system that runs on the server takes a new password; rebuild gives one",
	"restore":                 "what was deleted is erased",
	"os-resetState":           "a state is what was seen, and is not set by hand",
	"injectNetworkInfo":       "the network's description is written with the image",
	"resetNetwork":            "the network's description is written with the image",
	"addFixedIp":              "change the addresses of the server's port in the network service",
	"removeFixedIp":           "change the addresses of the server's port in the network service",
	"addFloatingIp":           "there are no floating addresses",
	"removeFloatingIp":        "there are no floating addresses",
	"trigger_crash_dump":      "an NMI can not be sent by this API; operators use the bare metal service (inject nmi)",
	"os-getManagementConsole": "that is an action of the service baremetal-server",
}

const noConsole = "a physical server has the console of its BMC, which wants a user and a password: ask the service baremetal-server (os-getManagementConsole)"

// action carries out the one verb that the body names.
func (n *nova) action(w http.ResponseWriter, r *api.Request) error {
	var body map[string]json.RawMessage
	if err := api.Decode(w, r, &body); err != nil {
		return err
	}
	if len(body) != 1 {
		return fault.Errorf(fault.Invalid, "the body must name one action, such as {\"os-start\": null}")
	}
	if _, err := n.find(r); err != nil {
		return err
	}
	for verb, raw := range body {
		do := actions[verb]
		if do == nil {
			return refused(verb)
		}
		doc, err := do(n, r, raw)
		if err != nil {
			return err
		}
		if doc != nil {
			status := http.StatusAccepted
			if verb == "rescue" || verb == "os-getConsoleOutput" {
				status = http.StatusOK // as Nova has it
			}
			return api.JSON(w, status, doc)
		}
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func refused(verb string) error {
	if why := lacking[verb]; why != "" {
		return fault.Errorf(fault.Conflict, "%s is not possible: %s", verb, why)
	}
	names := []string{}
	for name := range actions {
		names = append(names, name)
	}
	slices.Sort(names)
	return fault.Errorf(fault.Invalid, "There is no such action: %s. There are %s", verb, strings.Join(names, ", "))
}

// optional reads an action's body, which may be null.
func optional(raw json.RawMessage, into any) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return api.Redecode(raw, into)
}

func locker(r *api.Request) server.Locker {
	if r.Caller.Operator() {
		return server.ByOperator
	}
	return server.ByOwner
}

func (n *nova) guard(r *api.Request, body json.RawMessage, in bool) error {
	var b named
	if err := optional(body, &b); err != nil {
		return err
	}
	if b.Name == "" {
		return fault.Field("name", "must name a security group")
	}
	return n.servers.Guard(r.Context(), scope(r), serverID(r), b.Name, in)
}

// press starts or stops a server. One that is known to be so already is refused, as Nova does.
func (n *nova) press(r *api.Request, verb string, a bmc.Action, already bmc.Power) error {
	s, err := n.find(r)
	if err != nil {
		return err
	}
	at, err := n.nodes.ByID(r.Context(), []node.ID{s.NodeID})
	if err != nil {
		return err
	}
	if now := at[s.NodeID]; now != nil && now.Power == already && now.PowerTarget == "" {
		return fault.Errorf(fault.Conflict, "Cannot '%s' instance %s while it is in vm_state %s", verb, s.ID, conditionOf(s, now).vm)
	}
	return n.servers.SetPower(r.Context(), scope(r), serverID(r), a)
}

func reboot(n *nova, r *api.Request, body json.RawMessage) (api.Object, error) {
	var b struct {
		Type string `json:"type"`
	}
	if err := optional(body, &b); err != nil {
		return nil, err
	}
	switch strings.ToUpper(b.Type) {
	case "SOFT":
		return nil, n.servers.Restart(r.Context(), scope(r), serverID(r), node.Restart{Soft: true})
	case "HARD":
		return nil, n.servers.SetPower(r.Context(), scope(r), serverID(r), bmc.Reset)
	}
	return nil, fault.Field("type", "must be SOFT or HARD")
}

func rescue(n *nova, r *api.Request, body json.RawMessage) (api.Object, error) {
	var b struct {
		AdminPass string `json:"adminPass"`
		Image     string `json:"rescue_image_ref"`
	}
	if err := optional(body, &b); err != nil {
		return nil, err
	}
	if b.Image != "" {
		return nil, fault.Field("rescue_image_ref", "the rescue system is the cloud's own; leave the image out, or attach one with the service baremetal-server (media-attach) and boot it (boot_mode)")
	}
	pass, err := n.servers.Rescue(r.Context(), scope(r), serverID(r), b.AdminPass)
	return api.Object{"adminPass": pass}, err
}

// consoleOutput shows the last lines of what the server's console showed.
func consoleOutput(n *nova, r *api.Request, body json.RawMessage) (api.Object, error) {
	var b struct {
		Length json.RawMessage `json:"length"`
	}
	if err := optional(body, &b); err != nil {
		return nil, err
	}
	lines := -1
	if text := strings.Trim(string(b.Length), `"`); text != "" && text != "null" {
		var err error
		if lines, err = strconv.Atoi(text); err != nil || lines < -1 {
			return nil, fault.Field("length", "must be a number of lines, or -1 for all that are kept")
		}
	}
	out, err := n.servers.ConsoleOutput(r.Context(), scope(r), serverID(r), lines)
	return api.Object{"output": out}, err
}

type rebuildBody struct {
	ImageRef    string            `json:"imageRef"`
	Name        *string           `json:"name"`
	AdminPass   string            `json:"adminPass"`
	Metadata    map[string]string `json:"metadata"`
	Personality []file            `json:"personality"`
	Description *string           `json:"description"`
	Hostname    *string           `json:"hostname"`
	KeyName     json.RawMessage   `json:"key_name"`  // null takes the key away
	UserData    json.RawMessage   `json:"user_data"` // null takes them away
	DiskConfig  string            `json:"OS-DCF:diskConfig"`
	AccessIPv4  string            `json:"accessIPv4"`
	AccessIPv6  string            `json:"accessIPv6"`
	Preserve    bool              `json:"preserve_ephemeral"`
	Certs       []string          `json:"trusted_image_certificates"`
}

func rebuild(n *nova, r *api.Request, body json.RawMessage) (api.Object, error) {
	var b rebuildBody
	if err := optional(body, &b); err != nil {
		return nil, err
	}
	a, err := b.anew()
	if err != nil {
		return nil, err
	}
	s, pass, err := n.servers.Rebuild(r.Context(), scope(r), r.Caller.User.ID, serverID(r), a)
	if err != nil {
		return nil, err
	}
	d, err := n.shown(r, s)
	if err != nil {
		return nil, err
	}
	d["adminPass"] = pass
	return api.Object{"server": d}, nil
}

func (b rebuildBody) anew() (server.Anew, error) {
	a := server.Anew{ImageID: last(b.ImageRef), Name: b.Name, AdminPass: b.AdminPass, Metadata: b.Metadata, Description: b.Description, Hostname: b.Hostname}
	if err := only(map[string]string{"OS-DCF:diskConfig": b.DiskConfig, "accessIPv4": b.AccessIPv4, "accessIPv6": b.AccessIPv6}); err != nil {
		return a, err
	}
	switch {
	case b.ImageRef == "":
		return a, fault.Field("imageRef", "Missing imageRef attribute")
	case b.Preserve:
		return a, fault.Field("preserve_ephemeral", "nothing on the disk is kept by a rebuild; leave preserve_ephemeral out")
	case len(b.Certs) > 0:
		return a, fault.Field("trusted_image_certificates", "signatures of images are not checked here; leave trusted_image_certificates out")
	}
	var err error
	if a.Personality, err = files(b.Personality); err != nil {
		return a, err
	}
	if len(b.KeyName) > 0 {
		a.KeyName = new(string)
		if err := json.Unmarshal(b.KeyName, a.KeyName); err != nil {
			return a, fault.Field("key_name", "must be a name or null")
		}
	}
	if len(b.UserData) > 0 {
		var text string
		if err := json.Unmarshal(b.UserData, &text); err != nil {
			return a, fault.Field("user_data", "must be a text or null")
		}
		raw, err := decoded("user_data", text)
		if err != nil {
			return a, err
		}
		a.UserData = &raw
	}
	return a, nil
}

func (n *nova) remoteConsole(_ http.ResponseWriter, r *api.Request) error {
	if _, err := n.find(r); err != nil {
		return err
	}
	return fault.Errorf(fault.Conflict, "a remote console is not possible: %s", noConsole)
}
