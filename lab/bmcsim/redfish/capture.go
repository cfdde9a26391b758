package redfish

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"

	"github.com/hagane-cloud/hagane/fault"
)

// Capture is a tree of documents that was read off a real BMC: a folder redfish/v1 in which each resource is a folder with
// a file index.json. Documents are kept as they are, invalid ones too. Many BMCs can share one.
type Capture struct {
	docs map[string][]byte // by path below the root, in lower case
	kind Personality
}

const (
	maxDocument = 16 << 20
	indexFile   = "/index.json"
)

// OpenCapture reads a capture from a folder, or from an archive (.tar, .tar.xz, .tar.gz).
func OpenCapture(name string) (*Capture, error) {
	c := &Capture{docs: map[string][]byte{}}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fault.E(fault.NotFound, "open a captured tree", err)
	}
	if info.IsDir() {
		err = c.readFolder(name)
	} else {
		err = c.readArchive(name)
	}
	if err != nil {
		return nil, err
	}
	if c.docs[""] == nil {
		return nil, fault.Errorf(fault.Invalid, "%s holds no redfish/v1/index.json", name)
	}
	return c, c.recognise()
}

func (c *Capture) readFolder(name string) error {
	err := filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, indexFile) {
			return err
		}
		text, err := os.ReadFile(file)
		c.keep(filepath.ToSlash(file), text)
		return err
	})
	if err != nil {
		return fault.E(fault.Unavailable, "read a captured tree", err)
	}
	return nil
}

func (c *Capture) readArchive(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fault.E(fault.NotFound, "open a captured tree", err)
	}
	defer func() { _ = f.Close() }()
	var plain io.Reader = f
	switch filepath.Ext(name) {
	case ".xz":
		plain, err = xz.NewReader(f)
	case ".gz", ".tgz":
		plain, err = gzip.NewReader(f)
	}
	if err != nil {
		return fault.E(fault.Invalid, "read the archive of a captured tree", err)
	}
	files := tar.NewReader(plain)
	for {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.E(fault.Invalid, "read the archive of a captured tree", err)
		}
		if head.Typeflag != tar.TypeReg || !strings.HasSuffix(head.Name, indexFile) {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(files, maxDocument))
		if err != nil {
			return fault.E(fault.Invalid, "read the archive of a captured tree", err)
		}
		c.keep(head.Name, text)
	}
}

// keep notes a document under the path that its file has.
func (c *Capture) keep(file string, text []byte) {
	_, below, ok := strings.Cut(strings.TrimSuffix(file, indexFile), "redfish/v1")
	if plain, err := url.PathUnescape(below); err == nil {
		below = plain
	}
	if ok {
		c.docs[strings.ToLower(strings.Trim(below, "/"))] = text
	}
}

// Paths lists the paths of all documents, below /redfish/v1.
func (c *Capture) Paths() []string {
	paths := make([]string, 0, len(c.docs))
	for p := range c.docs {
		paths = append(paths, p)
	}
	return paths
}

// Kind says which personality the capture's BMC has.
func (c *Capture) Kind() Personality { return c.kind }

// document returns a document that can be read; nil otherwise.
func (c *Capture) document(below string) document {
	var d document
	if json.Unmarshal(c.docs[strings.ToLower(strings.Trim(below, "/"))], &d) != nil {
		return nil
	}
	return d
}

// below returns the path below the root of a link.
func below(link any) string {
	var d document
	switch v := link.(type) {
	case map[string]any:
		d = v
	case string:
		return strings.Trim(strings.TrimPrefix(path.Clean(v), root), "/")
	}
	return strings.Trim(strings.TrimPrefix(path.Clean(d.text("@odata.id")), root), "/")
}

// members returns the paths that a collection links to.
func (c *Capture) members(collection string) []string {
	list, _ := c.document(collection)["Members"].([]any)
	var paths []string
	for _, m := range list {
		paths = append(paths, below(m))
	}
	return paths
}

// first returns what the first link of a list leads to; "" when there is none.
func first(list any) string {
	if links, _ := list.([]any); len(links) > 0 {
		return below(links[0])
	}
	return ""
}

// recognise finds out whose BMC it was, and where its system, manager and chassis are.
func (c *Capture) recognise() error {
	base := c.vendor()
	kind, err := PersonalityNamed(base)
	if err != nil {
		return err
	}
	var system document
	for _, p := range c.members("Systems") {
		d := c.document(p)
		if d.inner("Actions").inner("#ComputerSystem.Reset") != nil && d["Bios"] != nil {
			system, kind.SystemID = d, path.Base(p)
		}
	}
	if system == nil {
		return fault.Errorf(fault.Invalid, "the captured tree has no system that can be reset and has a BIOS")
	}
	if m := first(system.inner("Links")["ManagedBy"]); m != "" {
		kind.ManagerID = path.Base(m)
	}
	if ch := first(system.inner("Links")["Chassis"]); ch != "" {
		kind.ChassisID = path.Base(ch)
	}
	kind.Name, kind.About = "captured", "documents as captured from a BMC like "+base
	kind.Changes, kind.Tree, kind.Wire.GzipOnly = nil, Tree{}, false
	c.adopt(&kind, system)
	c.kind = kind
	return nil
}

func (c *Capture) vendor() string {
	service := c.document("")
	words := strings.ToLower(service.text("Vendor") + " " + service.text("Product"))
	for key := range service.inner("Oem") {
		words += " " + strings.ToLower(key)
	}
	for _, m := range c.members("Managers") {
		d := c.document(m)
		words += " " + strings.ToLower(d.text("Manufacturer")+" "+d.text("Model"))
	}
	for _, known := range [][2]string{
		{"dell", "dell-idrac9"}, {"hpe", "hpe-ilo5"}, {"lenovo", "lenovo-xcc"}, {"supermicro", "supermicro-x13"}, {"fujitsu", "fujitsu-irmc-s6"},
		{"fsas", "fujitsu-irmc-s6"}, {"cisco", "cisco-cimc"}, {"ami", "ami-megarac"}, {"openbmc", "openbmc"}, {"nvidia", "openbmc"}, {"smc", "supermicro-x13"},
	} {
		if strings.Contains(words, known[0]) {
			return known[1]
		}
	}
	return "generic"
}

// adopt takes over what the documents say that the BMC can do.
func (c *Capture) adopt(kind *Personality, system document) {
	types := func(action document) []string {
		list, _ := action["ResetType@Redfish.AllowableValues"].([]any)
		if info := action.text("@Redfish.ActionInfo"); list == nil && info != "" {
			parameters, _ := c.document(below(info))["Parameters"].([]any)
			for _, p := range parameters {
				if p, _ := p.(map[string]any); p["Name"] == "ResetType" {
					list, _ = p["AllowableValues"].([]any)
				}
			}
		}
		return texts(list)
	}
	if t := types(system.inner("Actions").inner("#ComputerSystem.Reset")); t != nil {
		kind.Power.Types = t
	}
	kind.Power.BMCTypes = types(c.document("Managers/" + kind.ManagerID).inner("Actions").inner("#Manager.Reset"))
	boot := system.inner("Boot")
	_, kind.Boot.Order = boot["BootOrder"]
	kind.Media.Slots = nil
	for _, owner := range []string{"Managers/" + kind.ManagerID, "Systems/" + kind.SystemID} {
		for _, p := range c.members(owner + "/VirtualMedia") {
			if kind.Media.Slots == nil {
				kind.Media.Under, _, _ = strings.Cut(owner, "/")
			}
			list, _ := c.document(p)["MediaTypes"].([]any)
			if owner == "Systems/"+kind.SystemID && kind.Media.Under == "Managers" {
				continue // the same slots again
			}
			kind.Media.Slots = append(kind.Media.Slots, Slot{ID: path.Base(p), Types: texts(list), Unable: unable(*kind, path.Base(p))})
		}
	}
	if kind.Media.Under == "Managers" {
		kind.Media.Under = ""
	}
	bios := c.document(below(system["Bios"]))
	kind.Settings.Path = below(system["Bios"])
	if at := below(bios.inner("@Redfish.Settings")["SettingsObject"]); at != "" {
		kind.Settings.Pending = path.Base(at)
	}
}

// unable returns the status of inserting a medium into one of the slots that Lenovo lists for other uses.
func unable(kind Personality, id string) int {
	if kind.Media.Style == "patch" && !strings.HasPrefix(id, "EXT") {
		return 400
	}
	return 0
}

func texts(list []any) []string {
	var all []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}
