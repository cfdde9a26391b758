package server

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/node"
)

// instanceText reads a text of a node's instance_info; "" is none.
func instanceText(n *node.Node, key string) (string, error) {
	var text *string
	if raw, ok := n.InstanceInfo[key]; ok {
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", fault.Field("instance_info/"+key, "must be a string")
		}
	}
	if text == nil {
		return "", nil
	}
	return strings.TrimSpace(*text), nil
}

// wholeDisk refuses what Ironic deploys beside images of whole disks.
func wholeDisk(n *node.Node) error {
	info := map[string]string{}
	for _, key := range []string{"image_type", "kernel", "ramdisk", "boot_iso"} {
		text, err := instanceText(n, key)
		if err != nil {
			return err
		}
		info[key] = text
	}
	switch {
	case info["boot_iso"] != "":
		return fault.Field("instance_info/boot_iso", "an ISO is not deployed: attach it to the node (POST /v1/nodes/NODE/vmedia) and boot it once (baremetal node boot device set NODE cdrom), or deploy an image of a whole disk")
	case info["image_type"] == "partition" || info["kernel"] != "" || info["ramdisk"] != "":
		return fault.Field("instance_info/image_type", "images of a partition, with kernel and ramdisk beside them, are not deployed: give an image of a whole disk")
	case info["image_type"] != "" && info["image_type"] != "whole-disk" && info["image_type"] != "whole-disk-image":
		return fault.Field("instance_info/image_type", "%.40q is not possible; possible: whole-disk", info["image_type"])
	}
	return nil
}

// sourceOf reads the image that a node's instance_info gives by its URL. Only on a node that no project has is the URL surely an
// operator's, and may lie inside.
// Source of the keys: Ironic's documentation, "Deploying with Bare Metal service", and its release notes on image_checksum.
func sourceOf(n *node.Node) (node.Source, error) {
	info := map[string]string{}
	for _, key := range []string{"image_source", "image_checksum", "image_os_hash_algo", "image_os_hash_value", "image_disk_format"} {
		text, err := instanceText(n, key)
		if err != nil {
			return node.Source{}, err
		}
		info[key] = text
	}
	from := node.Source{URL: info["image_source"], Algo: strings.ToLower(info["image_os_hash_algo"]), Value: info["image_os_hash_value"],
		Format: strings.ToLower(info["image_disk_format"]), Inside: n.Project == "" && n.Lessee == ""}
	if from.Value == "" {
		from.Algo, from.Value = "", info["image_checksum"]
	}
	switch {
	case !strings.HasPrefix(from.URL, "http://") && !strings.HasPrefix(from.URL, "https://"):
		return from, fault.Field("instance_info/image_source", "images are taken from the registry by their UUID, or from a URL of http or https")
	case from.Value == "":
		return from, fault.Field("instance_info/image_os_hash_value", "is missing, as is image_checksum: an image from a URL is written only when it is proven to be the right one")
	}
	return from, fault.Wrap("instance_info", origin(from).Check())
}

// origin is a source as the image registry knows it.
func origin(from node.Source) image.Origin {
	return image.Origin{URL: from.URL, Digest: image.Digest{Algo: from.Algo, Value: from.Value}, Format: from.Format, Inside: from.Inside}
}

// CheckInstance reports what is missing or wrong in what a node's instance_info says of the image.
func (s *Service) CheckInstance(ctx context.Context, n *node.Node) error {
	_, err := s.imageOf(n, func(id string) (image.Image, error) { return s.images.Get(ctx, "", id) })
	return err
}

// Resolver returns what reads the checksums of sources that are listed in files.
func Resolver(images *image.Service) func(ctx context.Context, from node.Source) (node.Source, error) {
	return func(ctx context.Context, from node.Source) (node.Source, error) {
		d, err := images.Resolve(ctx, origin(from))
		from.Algo, from.Value = d.Algo, d.Value
		return from, err
	}
}

// Fetcher returns what fetches the images of sources.
func Fetcher(images *image.Service) func(ctx context.Context, from node.Source, since time.Time) (node.Fetched, error) {
	return func(ctx context.Context, from node.Source, since time.Time) (node.Fetched, error) {
		img, waits, err := images.Fetch(ctx, origin(from), since)
		return node.Fetched{ImageID: img.ID, Image: node.Image{SHA512: img.RawSHA512, Size: img.RawSize}, Waits: waits}, err
	}
}

// DropUnusedImages deletes the images that were fetched for deployments and have not been used for long. It is a reconciler.
func (s *Service) DropUnusedImages(ctx context.Context) error {
	deploying, err := s.nodes.Deploying(ctx)
	if err != nil {
		return err
	}
	return s.images.DropUnused(ctx, deploying)
}
