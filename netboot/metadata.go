package netboot

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/fault"
)

// Versions of the two formats; all show the same.
var (
	openstackVersions = []string{"2012-08-10", "2015-10-15", "2018-08-27", "latest"}
	ec2Versions       = []string{"2009-04-04", "latest"}
)

// serveMetadata answers a server's questions about itself: which server asks is told by its address on the network.
func (t *Tenant) serveMetadata(w http.ResponseWriter, r *http.Request) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header.Get("X-Forwarded-For") != "" {
		http.Error(w, "only what a server itself asks for with GET is answered", http.StatusForbidden)
		return
	}
	files, err := t.Metadata(r.Context(), t.Network, from.Addr().Unmap())
	if err != nil {
		if !fault.Is(err, fault.NotFound) {
			t.Log.Warn("metadata could not be read", "network", t.Network, "from", from, "error", err)
		}
		http.Error(w, fault.Message(err), fault.Status(err))
		return
	}
	body, found := document(files, from.Addr().Unmap(), strings.Trim(r.URL.Path, "/"))
	if !found {
		http.Error(w, "there is nothing here", http.StatusNotFound)
		return
	}
	kind := "text/plain; charset=utf-8"
	if strings.HasSuffix(r.URL.Path, ".json") {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) // the server hung up, if anything
}

// document is what lies at a path: OpenStack's files, or EC2's tree of single values. A folder lists what is in it.
func document(files map[string][]byte, from netip.Addr, path string) ([]byte, bool) {
	tree := map[string][]byte{}
	for name, raw := range files {
		if rest, ok := strings.CutPrefix(name, "openstack/latest/"); ok {
			for _, v := range openstackVersions {
				tree["openstack/"+v+"/"+rest] = raw
			}
			continue
		}
		tree[name] = raw
	}
	for name, value := range ec2(files, from) {
		for _, v := range ec2Versions {
			tree[v+"/"+name] = value
		}
	}
	if raw, ok := tree[path]; ok {
		return raw, true
	}
	inside := map[string]bool{}
	for name := range tree {
		rest, ok := strings.CutPrefix(name, path+"/")
		if path == "" {
			rest, ok = name, !strings.HasPrefix(name, "openstack/") // EC2's versions are what lies at the root
		}
		if ok {
			first, _, folder := strings.Cut(rest, "/")
			if folder && path != "" && !strings.HasSuffix(path, "openstack") {
				first += "/"
			}
			inside[first] = true
		}
	}
	if len(inside) > 0 && strings.HasSuffix(path, "/public-keys") {
		inside = map[string]bool{"0=" + keyName(files): true}
	}
	return []byte(strings.Join(slices.Sorted(maps.Keys(inside)), "\n")), len(inside) > 0
}

// metaData is what EC2's tree needs of meta_data.json.
type metaData struct {
	UUID     string            `json:"uuid"`
	Hostname string            `json:"hostname"`
	Zone     string            `json:"availability_zone"`
	Keys     map[string]string `json:"public_keys"`
}

func readMeta(files map[string][]byte) metaData {
	var m metaData
	_ = json.Unmarshal(files["openstack/latest/meta_data.json"], &m) // we made it
	return m
}

func keyName(files map[string][]byte) string {
	for name := range readMeta(files).Keys {
		return name
	}
	return ""
}

// ec2 is EC2's tree below a version. Source: Amazon EC2 User Guide, "Instance metadata categories".
func ec2(files map[string][]byte, from netip.Addr) map[string][]byte {
	m := readMeta(files)
	out := map[string][]byte{}
	for name, value := range map[string]string{"instance-id": m.UUID, "hostname": m.Hostname, "local-hostname": m.Hostname, "local-ipv4": from.String(),
		"placement/availability-zone": m.Zone} {
		out["meta-data/"+name] = []byte(value)
	}
	for _, key := range m.Keys { // there is one at most
		out["meta-data/public-keys/0/openssh-key"] = []byte(key)
	}
	if raw, ok := files["openstack/latest/user_data"]; ok {
		out["user-data"] = raw
	}
	return out
}
