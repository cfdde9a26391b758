package ecl

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server"
)

type createBody struct {
	Server struct {
		Name     string `json:"name"`
		Networks []struct {
			UUID    string `json:"uuid"`
			Port    string `json:"port"`
			FixedIP string `json:"fixed_ip"`
			Plane   string `json:"plane"`
		} `json:"networks"`
		AdminPass   string            `json:"adminPass"`
		ImageRef    string            `json:"imageRef"`
		FlavorRef   string            `json:"flavorRef"`
		ChassisID   string            `json:"chassis_id"`
		Zone        string            `json:"availability_zone"`
		KeyName     string            `json:"key_name"`
		UserData    string            `json:"user_data"`
		Metadata    map[string]string `json:"metadata"`
		Personality []struct {
			Path     string `json:"path"`
			Contents string `json:"contents"`
		} `json:"personality"`
		RAIDArrays  []raidArray   `json:"raid_arrays"`
		LVM         []volumeGroup `json:"lvm_volume_groups"`
		Filesystems []filesystem  `json:"filesystems"`
	} `json:"server"`
}

// wanted translates a request.
func (b createBody) wanted(r *api.Request) (server.Wanted, error) {
	s := b.Server
	w := server.Wanted{ProjectID: r.Caller.ProjectID(), UserID: r.Caller.User.ID, Name: s.Name, FlavorID: last(s.FlavorRef), ImageID: last(s.ImageRef),
		ChassisID: s.ChassisID, Zone: s.Zone, KeyName: s.KeyName, Metadata: s.Metadata, AdminPass: s.AdminPass}
	if s.FlavorRef == "" && s.ChassisID == "" {
		return w, fault.Field("flavorRef", "flavorRef is missing, and chassis_id as well")
	}
	if s.ImageRef == "" {
		return w, fault.Field("imageRef", "imageRef is missing")
	}
	var err error
	if w.Layout, err = layoutOf(s.RAIDArrays, s.LVM, s.Filesystems); err != nil {
		return w, err
	}
	if w.UserData, err = base64.StdEncoding.DecodeString(s.UserData); err != nil {
		return w, fault.Field("user_data", "user_data must be in base64")
	}
	for _, n := range s.Networks {
		w.Networks = append(w.Networks, server.WantedNIC{NetworkID: n.UUID, PortID: n.Port, FixedIP: n.FixedIP, Plane: n.Plane})
	}
	for _, p := range s.Personality {
		contents, err := base64.StdEncoding.DecodeString(p.Contents)
		if err != nil {
			return w, fault.Field("personality", "the contents of %q must be in base64", p.Path)
		}
		w.Personality = append(w.Personality, server.File{Path: p.Path, Contents: contents})
	}
	return w, nil
}

// last returns the id at the end of a reference, which may be a whole URL.
func last(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }

func (e *ecl) createServer(w http.ResponseWriter, r *api.Request) error {
	var b createBody
	if err := api.Decode(w, r, &b); err != nil {
		return err
	}
	wanted, err := b.wanted(r)
	if err != nil {
		return err
	}
	s, pass, err := e.servers.Create(r.Context(), wanted)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"server": api.Object{"id": s.ID, "links": links(r, "servers", string(s.ID)), "adminPass": pass}})
}
