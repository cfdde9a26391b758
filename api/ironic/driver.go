package ironic

import (
	"net/http"
	"slices"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
)

// offered are the implementations of an interface that nodes with a driver may show.
func offered(name, part string) []string {
	if name == "fake-hardware" {
		if part == "network" || part == "storage" {
			return []string{"noop"}
		}
		return []string{"fake"}
	}
	return map[string][]string{"boot": {bootByNetwork, bootByMedia}, "deploy": {"direct"}, "inspect": {"agent"}, "network": {"hagane"}, "storage": {"noop"},
		"bios": {name, "no-bios"}, "firmware": {name, "no-firmware"}, "console": {name, "no-console"}, "raid": {"no-raid"}, "rescue": {"agent"}, "vendor": {"no-vendor"},
		"management": {name}, "power": {name}}[part]
}

func driverDoc(r *api.Request, name string, hosts []string) api.Object {
	d := api.Object{"name": name, "hosts": hosts, "type": "dynamic", "links": self(r, "drivers", name),
		"properties": []api.Object{{"rel": "self", "href": api.BaseURL(r.Request) + Prefix + "/v1/drivers/" + name + "/properties"}}}
	for _, part := range interfaces {
		all := offered(name, part)
		d["enabled_"+part+"_interfaces"], d["default_"+part+"_interface"] = all, all[0]
	}
	return d
}

// hosts are the conductors that are alive.
func (i *ironic) hosts(r *api.Request) ([]string, error) {
	all, err := i.Conductors(r.Context())
	out := []string{}
	for _, c := range all {
		if c.Alive {
			out = append(out, c.Name())
		}
	}
	return out, err
}

func (i *ironic) drivers(w http.ResponseWriter, r *api.Request) error {
	hosts, err := i.hosts(r)
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, d := range driverNames {
		docs = append(docs, driverDoc(r, d.theirs, hosts))
	}
	return api.JSON(w, http.StatusOK, api.Object{"drivers": docs})
}

// named refuses paths with a driver that there is not.
func named(r *api.Request) (string, error) {
	name := r.PathValue("name")
	if !slices.Contains(theirNames(), name) {
		return name, fault.Errorf(fault.NotFound, "no driver %q", name)
	}
	return name, nil
}

func (i *ironic) driver(w http.ResponseWriter, r *api.Request) error {
	name, err := named(r)
	if err != nil {
		return err
	}
	hosts, err := i.hosts(r)
	if err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, driverDoc(r, name, hosts))
}

// driverProperties describes what driver_info may hold.
func (i *ironic) driverProperties(w http.ResponseWriter, r *api.Request) error {
	name, err := named(r)
	if err != nil {
		return err
	}
	prefix, out := ours(name), api.Object{}
	if prefix != "fake" {
		out = api.Object{prefix + "_address": "where the BMC is: a URL, or for ipmi a host. Required.", prefix + "_username": "the BMC's user. Required.",
			prefix + "_password": "the user's password. Required. It is never shown.", prefix + "_port": "the BMC's port, where it is not in the address.",
			prefix + "_verify_ca": "true, false, or a certificate in PEM.", prefix + "_system_id": "the path of the ComputerSystem, where a BMC has several.",
			prefix + "_old_tls": "true allows TLS 1.0, which old BMCs speak alone."}
	}
	return api.JSON(w, http.StatusOK, out)
}

// raidProperties describes a logical disk of target_raid_config.
func (i *ironic) raidProperties(w http.ResponseWriter, r *api.Request) error {
	if _, err := named(r); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{"size_gb": "size in GiB, or MAX for all that there is", "raid_level": "0, 1, 2, 5, 6, 1+0, 5+0, 6+0 or JBOD",
		"is_root_volume": "whether the system goes there", "controller": "software, or the controller's name", "physical_disks": "hints or names of disks"})
}

// driverMethods lists none: what drivers can do beyond Ironic's API has a place of its own in the operator's API.
func (i *ironic) driverMethods(w http.ResponseWriter, r *api.Request) error {
	if _, err := named(r); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{})
}

func (i *ironic) noDriverMethod(_ http.ResponseWriter, r *api.Request) error {
	name, err := named(r)
	if err != nil {
		return err
	}
	return noMethod(name, r)
}

func noMethod(of string, r *api.Request) error {
	return fault.Errorf(fault.Invalid, "%s has no vendor method %q", of, r.URL.Query().Get("method"))
}

func (i *ironic) nodeMethods(w http.ResponseWriter, r *api.Request) error {
	if _, err := i.get(r); err != nil {
		return err
	}
	return api.JSON(w, http.StatusOK, api.Object{})
}

func (i *ironic) noNodeMethod(_ http.ResponseWriter, r *api.Request) error {
	n, err := i.get(r)
	if err != nil {
		return err
	}
	return noMethod("the node "+string(n.ID), r)
}

func conductorDoc(r *api.Request, c node.Conductor) api.Object {
	return api.Object{"hostname": c.Name(), "conductor_group": c.Group, "alive": c.Alive, "created_at": api.Time(c.StartedAt), "updated_at": api.Time(c.SeenAt()),
		"links": self(r, "conductors", c.Name()), "drivers": theirNames()}
}

func (i *ironic) conductors(w http.ResponseWriter, r *api.Request) error {
	all, err := i.Conductors(r.Context())
	if err != nil {
		return err
	}
	docs := []api.Object{}
	for _, c := range all {
		docs = append(docs, conductorDoc(r, c))
	}
	return api.JSON(w, http.StatusOK, api.Object{"conductors": docs})
}

func (i *ironic) conductor(w http.ResponseWriter, r *api.Request) error {
	all, err := i.Conductors(r.Context())
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Name() == r.PathValue("host") {
			return api.JSON(w, http.StatusOK, conductorDoc(r, c))
		}
	}
	return fault.Errorf(fault.NotFound, "no conductor %q", r.PathValue("host"))
}
