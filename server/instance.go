package server

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/node"
)

// ConfigDrive is what an operator gives an instance to know about itself: documents of an OpenStack config drive, or all of its files.
type ConfigDrive struct {
	MetaData    map[string]any  `json:"meta_data"`
	NetworkData json.RawMessage `json:"network_data"`
	UserData    string          `json:"user_data"`
	VendorData  map[string]any  `json:"vendor_data"`

	Files map[string][]byte `json:"-"` // by their paths; nil when documents were given
}

// DeployNode deploys a node for an instance that is no server of ours, as operators do by Ironic's API: with the image
// that its instance_info names and the network ports that were attached to its NICs. again deploys anew what runs there.
func (s *Service) DeployNode(ctx context.Context, id node.ID, drive *ConfigDrive, again bool) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, ports, err := s.nodes.Lend(ctx, tx, id)
		if err != nil {
			return err
		}
		d, err := s.imageOf(n, func(id string) (image.Image, error) { return s.images.GetTx(ctx, tx, id) })
		if err != nil {
			return err
		}
		nets, err := s.plug(ctx, tx, n, ports, &d)
		if err != nil {
			return err
		}
		files, err := drive.files(n, nets)
		if err != nil {
			return err
		}
		return s.nodes.DeployInstance(ctx, tx, n, d, files, again)
	})
}

// imageOf finds the image that a node's instance_info names: in the registry, or by its URL. Nodes without hardware need none.
func (s *Service) imageOf(n *node.Node, find func(id string) (image.Image, error)) (node.Deployment, error) {
	source, err := instanceText(n, "image_source")
	if err == nil {
		err = n.CheckRoot()
	}
	if err == nil {
		err = wholeDisk(n)
	}
	if err != nil {
		return node.Deployment{}, err
	}
	if source == "" && n.Driver == "fake" {
		return node.Deployment{}, nil
	}
	if source == "" {
		return node.Deployment{}, fault.Field("instance_info/image_source", "is missing: set it to the UUID of an image, or to a URL (baremetal node set --instance-info image_source=UUID)")
	}
	if strings.Contains(source, "://") && !strings.HasPrefix(source, "glance://") {
		from, err := sourceOf(n)
		return node.Deployment{Source: &from}, err
	}
	img, err := find(strings.TrimPrefix(source, "glance://"))
	if err != nil {
		return node.Deployment{}, err
	}
	if err := s.images.Usable(img); err != nil {
		return node.Deployment{}, err
	}
	return node.Deployment{ImageID: img.ID, Image: node.Image{SHA512: img.RawSHA512, Size: img.RawSize}}, nil
}

// plug binds the attached network ports to the node's NICs and adds the links to the deployment.
func (s *Service) plug(ctx context.Context, tx db.Tx, n *node.Node, ports []node.Port, d *node.Deployment) ([]attached, error) {
	var nets []attached
	for _, p := range ports {
		if p.VIF == "" {
			continue
		}
		np, nw, err := s.networks.Bind(ctx, tx, "", p.VIF, n.Owner, p.MAC)
		if err != nil {
			return nil, err
		}
		subs, err := s.networks.SubnetsOf(ctx, tx, nw.ID)
		if err != nil {
			return nil, err
		}
		d.Links = append(d.Links, node.Link{MAC: p.MAC, VLAN: nw.VLAN})
		nets = append(nets, attached{port: np, network: nw, subnets: subs})
	}
	return nets, nil
}

// files are those of the config drive; what was not given is made of what is known.
func (c *ConfigDrive) files(n *node.Node, nets []attached) (map[string][]byte, error) {
	if c == nil {
		c = &ConfigDrive{}
	}
	if c.Files != nil {
		return c.Files, nil
	}
	meta := map[string]any{"uuid": n.Owner, "name": n.Name, "hostname": hostname(n.Name), "availability_zone": n.Zone, "public_keys": map[string]string{}}
	for k, v := range c.MetaData {
		meta[k] = v
	}
	var net any = c.NetworkData
	if len(c.NetworkData) == 0 {
		net = networkData(nets)
		if len(n.NetworkData) > 0 {
			net = n.NetworkData
		}
	}
	vendor := c.VendorData
	if vendor == nil {
		vendor = map[string]any{}
	}
	files := map[string][]byte{}
	for name, v := range map[string]any{"meta_data.json": meta, "network_data.json": net, "vendor_data.json": vendor} {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fault.Field("configdrive", "%s can not be written: %v", name, err)
		}
		files["openstack/latest/"+name] = raw
	}
	if c.UserData != "" {
		files["openstack/latest/user_data"] = []byte(c.UserData)
	}
	return files, nil
}
