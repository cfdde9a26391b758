package image

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/fault"
)

// Bounds, as Glance has them by default. MaxWords bounds tags, properties and members of an image, each.
const (
	MaxText  = 255
	MaxWords = 128
	maxValue = 64 << 10 // of a property, bytes
	maxWhole = 1<<31 - 1
)

// Visibilities are all visibilities.
var Visibilities = []string{Community, Public, Private, Shared}

// DiskFormats are the formats of data that are kept. Disks of servers are written from raw and qcow2, media of servers
// are iso; the others are only kept and given back.
var DiskFormats = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "ploop", "iso"}

// ContainerFormats are what data may be wrapped in; only bare ones can be deployed.
var ContainerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}

// reserved begins the names of properties that only the cloud writes.
const reserved = "os_glance"

// check reports what is wrong with a record.
func check(i *Image) error {
	switch {
	case !isText(i.Name, MaxText):
		return fault.Field("name", "must have at most %d characters", MaxText)
	case i.DiskFormat != "" && !slices.Contains(DiskFormats, i.DiskFormat):
		return fault.Field("disk_format", "Invalid value '%.40s' for disk_format; possible: %s", i.DiskFormat, strings.Join(DiskFormats, ", "))
	case i.ContainerFormat != "" && !slices.Contains(ContainerFormats, i.ContainerFormat):
		return fault.Field("container_format", "Invalid value '%.40s' for container_format; possible: %s", i.ContainerFormat, strings.Join(ContainerFormats, ", "))
	case !slices.Contains(Visibilities, i.Visibility):
		return fault.Field("visibility", "must be private, shared, community or public")
	case i.Owner == "" || !isText(i.Owner, MaxText):
		return fault.Field("owner", "must be a project's id")
	case i.MinDisk < 0 || i.MinDisk > maxWhole:
		return fault.Field("min_disk", "must be 0 to %d GB", maxWhole)
	case i.MinRAM < 0 || i.MinRAM > maxWhole:
		return fault.Field("min_ram", "must be 0 to %d MB", maxWhole)
	case len(i.Tags) > MaxWords:
		return fault.E(fault.TooLarge, "an image has at most 128 tags", nil)
	case len(i.Properties) > MaxWords:
		return fault.E(fault.TooLarge, "an image has at most 128 properties", nil)
	}
	for _, t := range i.Tags {
		if t == "" || t == "," || !isText(t, MaxText) { // a lone comma would look like what stands between two tags
			return fault.Field("tags", "a tag must have 1 to %d characters, and not be a comma", MaxText)
		}
	}
	i.Tags = unique(i.Tags)
	for name, value := range i.Properties {
		if name == "" || !isText(name, MaxText) {
			return fault.Errorf(fault.Invalid, "the name of a property must have 1 to %d characters", MaxText)
		}
		if !isText(value, maxValue) {
			return fault.Field(name, "must have at most %d characters", maxValue)
		}
	}
	return nil
}

// unique drops what is there twice.
func unique(tags Tags) Tags {
	out := Tags{}
	for _, t := range tags {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// isText reports whether a text can be kept in both databases, and is not longer than most characters.
func isText(s string, most int) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0) && utf8.RuneCountInString(s) <= most
}

func isID(id string) bool {
	const length = 36 // the package takes further forms
	_, err := uuid.Parse(id)
	return err == nil && len(id) == length
}

// changed checks a change of a record that project ("" is an operator) wants.
func changed(project string, was, now *Image) error {
	switch {
	case project != "" && now.Owner != was.Owner:
		return fault.Errorf(fault.Denied, "only an operator may give an image to another project")
	case project != "" && now.Visibility == Public && was.Visibility != Public:
		return fault.Errorf(fault.Denied, "only an operator may make an image public")
	case was.Status != Queued && now.ContainerFormat != was.ContainerFormat:
		return fault.Errorf(fault.Denied, "Attribute container_format can be only replaced for a queued image.")
	case was.Status != Queued && now.DiskFormat != was.DiskFormat:
		return fault.Errorf(fault.Denied, "Attribute disk_format can be only replaced for a queued image.")
	}
	for _, props := range []Properties{was.Properties, now.Properties} {
		for name := range props {
			a, hadIt := was.Properties[name]
			b, hasIt := now.Properties[name]
			if a == b && hadIt == hasIt {
				continue
			}
			if strings.HasPrefix(name, reserved) {
				return fault.Errorf(fault.Denied, "Attribute '%s' is reserved.", name)
			}
			if was.Status != Queued && slices.Contains(signatureProperties, name) {
				return fault.Errorf(fault.Conflict, "%s is about the data that the image has: make a new image to sign it otherwise", name)
			}
		}
	}
	return nil
}
