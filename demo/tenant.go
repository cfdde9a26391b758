package demo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/netip"
	"os"

	"golang.org/x/crypto/ssh"

	"github.com/hagane-cloud/hagane/client"
	"github.com/hagane-cloud/hagane/fault"
	labclient "github.com/hagane-cloud/hagane/lab/client"
)

type object = map[string]any

// demoServer is a server that the tenant asked for.
type demoServer struct {
	name, id string
	address  string
	userData string
	road     netip.AddrPort // on loopback, to the server's SSH
}

// plan is what the tenant has before any server.
type plan struct {
	network, image, flavor string
	vlan                   int
	signer                 ssh.Signer
}

// becomeTenant makes a project with a user, and as that user a network, a key pair and an image.
func (s *story) becomeTenant(ctx context.Context) error {
	if err := s.makeProject(ctx); err != nil {
		return err
	}
	var net struct{ Network struct{ ID string } }
	if err := s.tenant.Do(ctx, "POST", "network", "/v2.0/networks", object{"network": object{"name": "front"}}, &net); err != nil {
		return err
	}
	if err := s.tenant.Do(ctx, "POST", "network", "/v2.0/subnets", object{"subnet": object{"network_id": net.Network.ID, "name": "front", "ip_version": 4, "cidr": "10.10.0.0/24"}}, nil); err != nil {
		return err
	}
	var seen struct {
		Network struct {
			VLAN int `json:"provider:segmentation_id"`
		}
	}
	if err := s.admin.Do(ctx, "GET", "network", "/v2.0/networks/"+net.Network.ID, nil, &seen); err != nil {
		return err
	}
	s.plan.network, s.plan.vlan = net.Network.ID, seen.Network.VLAN
	if err := s.letSSHIn(ctx); err != nil {
		return err
	}
	if err := s.makeKey(ctx); err != nil {
		return err
	}
	return s.upload(ctx)
}

// letSSHIn adds what the default security group lacks for a login from outside it.
func (s *story) letSSHIn(ctx context.Context) error {
	var groups struct {
		Groups []struct{ ID string } `json:"security_groups"`
	}
	if err := s.tenant.Do(ctx, "GET", "network", "/v2.0/security-groups?name=default", nil, &groups); err != nil || len(groups.Groups) == 0 {
		return fault.E(fault.NotFound, "the project has no default security group", err)
	}
	rule := object{"security_group_id": groups.Groups[0].ID, "direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
	return s.tenant.Do(ctx, "POST", "network", "/v2.0/security-group-rules", object{"security_group_rule": rule}, nil)
}

func (s *story) makeProject(ctx context.Context) error {
	var p struct{ Project struct{ ID string } }
	if err := s.admin.Do(ctx, "POST", "identity", "/projects", object{"project": object{"name": "demo"}}, &p); err != nil {
		return err
	}
	var u struct{ User struct{ ID string } }
	if err := s.admin.Do(ctx, "POST", "identity", "/users", object{"user": object{"name": "tenant", "password": s.password, "default_project_id": p.Project.ID}}, &u); err != nil {
		return err
	}
	if err := s.admin.Do(ctx, "PUT", "identity", "/projects/"+p.Project.ID+"/users/"+u.User.ID+"/roles/role-member", nil, nil); err != nil {
		return err
	}
	a, err := client.ReadAccess(s.Data, "hagane")
	if err != nil {
		return err
	}
	a.Username, a.Password, a.ProjectName = "tenant", s.password, "demo"
	s.tenant, err = client.Connect(ctx, a)
	return err
}

func (s *story) makeKey(ctx context.Context) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if s.plan.signer, err = ssh.NewSignerFromKey(key); err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(key, "hagane demo")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.keyFile(), pem.EncodeToMemory(block), 0o600); err != nil {
		return fault.E(fault.Internal, "keeping the demo's key", err)
	}
	public := string(ssh.MarshalAuthorizedKey(s.plan.signer.PublicKey()))
	return s.tenant.Do(ctx, "POST", "baremetal-server", "/os-keypairs", object{"keypair": object{"name": "demo", "public_key": public}}, nil)
}

// upload makes an image of the file, or of a few bytes that look like a disk.
func (s *story) upload(ctx context.Context) error {
	var data io.Reader = bytes.NewReader(smallDisk())
	format := "raw"
	if s.Image != "" {
		f, err := os.Open(s.Image)
		if err != nil {
			return fault.E(fault.NotFound, "opening the image", err)
		}
		defer func() { _ = f.Close() }()
		data = f
		head := make([]byte, 4)
		if _, err := f.ReadAt(head, 0); err == nil && string(head) == "QFI\xfb" {
			format = "qcow2"
		}
	}
	var img struct{ ID string }
	if err := s.tenant.Do(ctx, "POST", "image", "/v2/images", object{"name": s.OS, "disk_format": format, "container_format": "bare"}, &img); err != nil {
		return err
	}
	s.say("uploading the image %s (%s)", s.OS, format)
	if err := s.tenant.Do(ctx, "PUT", "image", "/v2/images/"+img.ID+"/file", data, nil); err != nil {
		return err
	}
	var flavors struct{ Flavors []struct{ ID string } }
	if err := s.tenant.Do(ctx, "GET", "baremetal-server", "/flavors", nil, &flavors); err != nil || len(flavors.Flavors) == 0 {
		return fault.E(fault.NotFound, "the cloud has no flavor", err)
	}
	s.plan.image, s.plan.flavor = img.ID, flavors.Flavors[0].ID
	return nil
}

// smallDisk is a disk image with a partition table of one partition (Linux, from sector 2048, 6 MiB) and some bytes in it.
func smallDisk() []byte {
	const mib = 1 << 20
	d := make([]byte, 8*mib)
	copy(d[446:], []byte{0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x30, 0, 0})
	d[510], d[511] = 0x55, 0xaa
	_, _ = rand.Read(d[mib : 2*mib])
	return d
}

// getServers asks for one server a node and waits for all.
func (s *story) getServers(ctx context.Context) error {
	for i := range s.nodes {
		sv := &demoServer{name: fmt.Sprintf("web-%d", i+1), userData: fmt.Sprintf("#!/bin/sh\necho hello from web-%d > /run/hello\n", i+1)}
		var got struct{ Server struct{ ID string } }
		asked := object{
			"name": sv.name, "flavorRef": s.plan.flavor, "imageRef": s.plan.image, "key_name": "demo", "networks": []object{{"uuid": s.plan.network}},
			"user_data": base64.StdEncoding.EncodeToString([]byte(sv.userData)), "metadata": object{"role": "web"}}
		s.layOut(asked)
		if err := s.tenant.Do(ctx, "POST", "baremetal-server", "/servers", object{"server": asked}, &got); err != nil {
			return err
		}
		sv.id = got.Server.ID
		s.servers = append(s.servers, sv)
		s.say("%s: asked for", sv.name)
	}
	return s.each(func(n *labNode) error { return s.watch(ctx, n, "active") })
}

// prove logs in to every server through the lab and looks.
func (s *story) prove(ctx context.Context) error {
	for i, sv := range s.servers {
		var got struct {
			Server struct {
				Status string
				NICs   []struct {
					Attached []struct {
						FixedIPs []struct {
							Address string `json:"ip_address"`
						} `json:"fixed_ips"`
					} `json:"attached_ports"`
				} `json:"nic_physical_ports"`
			}
		}
		if err := s.tenant.Do(ctx, "GET", "baremetal-server", "/servers/"+sv.id, nil, &got); err != nil {
			return err
		}
		if got.Server.Status != "ACTIVE" {
			return fault.Errorf(fault.Conflict, "%s is %s", sv.name, got.Server.Status)
		}
		if err := s.proveLayout(ctx, sv); err != nil {
			return err
		}
		for _, nic := range got.Server.NICs {
			for _, a := range nic.Attached {
				for _, ip := range a.FixedIPs {
					sv.address = ip.Address
				}
			}
		}
		f, err := s.rack.Forward(ctx, labclient.Forward{VLAN: s.plan.vlan, Address: sv.address, Port: 22, Source: fmt.Sprintf("10.10.0.%d/24", 240+i)})
		if err != nil {
			return err
		}
		if sv.road, err = netip.ParseAddrPort(f.Listen); err != nil {
			return fault.E(fault.Internal, "reading the lab's road", err)
		}
		s.say("%s: has the address %s, reached through the lab at %s", sv.name, sv.address, f.Listen)
	}
	return s.loginAll(ctx)
}
