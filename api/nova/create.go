package nova

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

// file is a file that is to be on a server.
type file struct {
	Path     string `json:"path"`
	Contents string `json:"contents"` // base64
}

// named is something that is given by its name.
type named struct {
	Name string `json:"name"`
}

// nic is an interface that is asked for.
type nic struct {
	UUID    string `json:"uuid"`
	Port    string `json:"port"`
	FixedIP string `json:"fixed_ip"`
	Tag     string `json:"tag"`
}

// disk is an entry of block_device_mapping_v2.
type disk struct {
	UUID        string `json:"uuid"`
	SourceType  string `json:"source_type"`
	Destination string `json:"destination_type"`
	BootIndex   any    `json:"boot_index"`
	VolumeSize  any    `json:"volume_size"`
	Delete      any    `json:"delete_on_termination"`
	DeviceName  any    `json:"device_name"`
	DeviceType  any    `json:"device_type"`
	DiskBus     any    `json:"disk_bus"`
	GuestFormat any    `json:"guest_format"`
	Tag         any    `json:"tag"`
	VolumeType  any    `json:"volume_type"`
	NoDevice    any    `json:"no_device"`
}

type serverBody struct {
	Name           string            `json:"name"`
	ImageRef       string            `json:"imageRef"`
	FlavorRef      string            `json:"flavorRef"`
	Networks       json.RawMessage   `json:"networks"`
	AdminPass      string            `json:"adminPass"`
	KeyName        string            `json:"key_name"`
	UserData       string            `json:"user_data"`
	Metadata       map[string]string `json:"metadata"`
	Personality    []file            `json:"personality"`
	Zone           string            `json:"availability_zone"`
	SecurityGroups []named           `json:"security_groups"`
	ConfigDrive    any               `json:"config_drive"` // there always is one
	MinCount       number            `json:"min_count"`
	MaxCount       number            `json:"max_count"`
	Disks          []disk            `json:"block_device_mapping_v2"`
	OldDisks       []any             `json:"block_device_mapping"`
	Description    *string           `json:"description"`
	Hostname       string            `json:"hostname"`
	Tags           []string          `json:"tags"`
	ByReservation  any               `json:"return_reservation_id"`
	DiskConfig     string            `json:"OS-DCF:diskConfig"`
	AccessIPv4     string            `json:"accessIPv4"`
	AccessIPv6     string            `json:"accessIPv6"`
	Host           string            `json:"host"`
	Hypervisor     string            `json:"hypervisor_hostname"`
	Certificates   []string          `json:"trusted_image_certificates"`
}

type createBody struct {
	Server serverBody     `json:"server"`
	Hints  map[string]any `json:"os:scheduler_hints"`
	Hints2 map[string]any `json:"OS-SCH-HNT:scheduler_hints"`
}

// only refuses what a server here can not have.
func only(fields map[string]string) error {
	for name, v := range fields {
		if v == "" || name == "OS-DCF:diskConfig" && (v == "MANUAL" || v == "AUTO") {
			continue
		}
		return fault.Field(name, "%s can not be kept to for a bare-metal server; leave it out", name)
	}
	return nil
}

// wanted translates a request.
func (b createBody) wanted(r *api.Request) (server.Wanted, error) {
	s := b.Server
	w := server.Wanted{ProjectID: r.Caller.ProjectID(), UserID: r.Caller.User.ID, Name: s.Name, FlavorID: last(s.FlavorRef), ImageID: last(s.ImageRef), Zone: s.Zone,
		KeyName: s.KeyName, Metadata: s.Metadata, AdminPass: s.AdminPass, Hostname: s.Hostname, Labels: s.Tags, Operator: r.Caller.Operator()}
	api.Set(&w.Description, s.Description)
	err := only(map[string]string{"OS-DCF:diskConfig": s.DiskConfig, "accessIPv4": s.AccessIPv4, "accessIPv6": s.AccessIPv6, "host": s.Host, "hypervisor_hostname": s.Hypervisor})
	switch {
	case err != nil:
		return w, err
	case len(s.Certificates) > 0:
		return w, fault.Field("trusted_image_certificates", "signatures of images are not checked here; leave trusted_image_certificates out")
	case len(s.OldDisks) > 0:
		return w, noVolumes("block_device_mapping")
	case len(s.Personality) > 0 && microOf(r) >= 57:
		return w, fault.Field("personality", "personality went away with 2.57; use user_data")
	case s.FlavorRef == "":
		return w, fault.Field("flavorRef", "Missing flavorRef attribute")
	}
	if err := disks(s.Disks, &w); err != nil {
		return w, err
	}
	if w.ImageID == "" {
		return w, fault.Field("imageRef", "Missing imageRef attribute")
	}
	if w.UserData, err = decoded("user_data", s.UserData); err != nil {
		return w, err
	}
	if w.Personality, err = files(s.Personality); err != nil {
		return w, err
	}
	for _, g := range s.SecurityGroups {
		w.SecurityGroups = append(w.SecurityGroups, g.Name)
	}
	if w.GroupID, err = hints(b.Hints, b.Hints2); err != nil {
		return w, err
	}
	return w, nics(s.Networks, &w)
}

func decoded(field, text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fault.Field(field, "%s must be in base64", field)
	}
	return raw, nil
}

func files(given []file) ([]server.File, error) {
	var out []server.File
	for _, f := range given {
		contents, err := decoded("personality", f.Contents)
		if err != nil {
			return nil, err
		}
		out = append(out, server.File{Path: f.Path, Contents: contents})
	}
	return out, nil
}

// nics reads the networks: a list, or one of two words.
func nics(raw json.RawMessage, w *server.Wanted) error {
	var list []nic
	var word string
	switch {
	case len(raw) == 0 || string(raw) == "null":
	case json.Unmarshal(raw, &word) == nil:
		ways := map[string]server.Networking{"auto": server.OneMustExist, "none": server.NoNetwork}
		way, ok := ways[word]
		if !ok {
			return fault.Field("networks", `must be "auto", "none" or a list`)
		}
		w.Networking = way
		return nil
	default:
		if err := api.Redecode(raw, &list); err != nil {
			return fault.Field("networks", "must be a list of objects with uuid, port, fixed_ip or tag: %s", fault.Message(err))
		}
	}
	w.Networking = server.TheOnlyOne
	for _, n := range list {
		if n.Port != "" {
			n.UUID = "" // a port is on its network
		}
		w.Networks = append(w.Networks, server.WantedNIC{NetworkID: n.UUID, PortID: n.Port, FixedIP: n.FixedIP, Tag: n.Tag})
	}
	return nil
}

func noVolumes(field string) error {
	return fault.Field(field, "a bare-metal server boots from its own disk, with the image on it: %s may name one image with the destination local, no volumes and no further disks", field)
}

// disks reads block_device_mapping_v2, which can only say in other words that the image goes to the server's own disk.
func disks(all []disk, w *server.Wanted) error {
	if len(all) == 0 {
		return nil
	}
	d := all[0]
	if len(all) > 1 || d.SourceType != "image" || d.Destination == "volume" || d.UUID == "" || (w.ImageID != "" && w.ImageID != d.UUID) {
		return noVolumes("block_device_mapping_v2")
	}
	w.ImageID = d.UUID
	return nil
}

// holding are hints that hold by themselves, as every server is a node of its own.
var holding = []string{"different_host", "different_cell"}

// hints reads the scheduler's hints: a server group, and what holds by itself. Others can not be kept to.
func hints(all ...map[string]any) (group string, err error) {
	for _, some := range all {
		for name, v := range some {
			switch text, isText := v.(string); {
			case name == "group" && isText:
				group = text
			case slices.Contains(holding, name):
			default:
				return "", fault.Field("os:scheduler_hints", "os:scheduler_hints: the hint %s can not be kept to; there are group and %v", name, holding)
			}
		}
	}
	return group, nil
}

func (n *nova) createServer(w http.ResponseWriter, r *api.Request) error {
	var b createBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	wanted, err := b.wanted(r)
	if err != nil {
		return err
	}
	least, most := max(int(b.Server.MinCount), 1), int(b.Server.MaxCount)
	if most == 0 {
		most = least
	}
	if least > most {
		return fault.Field("min_count", "min_count must be <= max_count")
	}
	made, pass, err := n.servers.CreateSeveral(r.Context(), wanted, most)
	if err != nil {
		return err
	}
	if yes, _ := b.Server.ByReservation.(bool); yes {
		return api.JSON(w, http.StatusAccepted, api.Object{"reservation_id": made[0].Reservation})
	}
	groups := []api.Object{}
	for _, g := range wanted.SecurityGroups {
		groups = append(groups, api.Object{"name": g})
	}
	if len(groups) == 0 {
		groups = append(groups, api.Object{"name": "default"})
	}
	at := links(r, "servers", string(made[0].ID))
	w.Header().Set("Location", at[0]["href"].(string))
	return api.JSON(w, http.StatusAccepted, api.Object{"server": api.Object{"id": made[0].ID, "links": at, "OS-DCF:diskConfig": "MANUAL", "security_groups": groups, "adminPass": pass}})
}
