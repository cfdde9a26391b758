package glance

import (
	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/image"
)

// store is the name of the one place where data are kept.
const store = "default"

// doc is an image's document: its own attributes, and its properties beside them.
func doc(i image.Image) api.Object {
	d := api.Object{}
	for k, v := range i.Properties {
		d[k] = v
	}
	var size, virtual, checksum, algo, sum any
	if i.HasData() {
		size, checksum, algo, sum = i.Size, i.Checksum, "sha512", i.SHA512
		d["stores"] = store
		if i.RawSize > 0 {
			virtual = i.RawSize
		}
	}
	if i.Failed {
		d["os_glance_failed_import"] = store
	}
	if i.Status == image.Importing {
		d["os_glance_importing_to_stores"] = store
	}
	tags := i.Tags
	if tags == nil {
		tags = image.Tags{}
	}
	fixed := api.Object{"id": i.ID, "name": i.Name, "owner": i.Owner, "status": i.Status, "visibility": i.Visibility, "protected": i.Protected,
		"os_hidden": i.Hidden, "min_disk": i.MinDisk, "min_ram": i.MinRAM, "tags": tags, "disk_format": orNull(i.DiskFormat),
		"container_format": orNull(i.ContainerFormat), "size": size, "virtual_size": virtual, "checksum": checksum, "os_hash_algo": algo,
		"os_hash_value": sum, "created_at": api.Time(i.CreatedAt), "updated_at": api.Time(i.UpdatedAt), "self": "/v2/images/" + i.ID,
		"file": "/v2/images/" + i.ID + "/file", "schema": "/v2/schemas/image"}
	for k, v := range fixed {
		d[k] = v
	}
	return d
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
