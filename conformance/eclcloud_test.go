package conformance

import (
	"bytes"
	"errors"
	"io"
	"log"
	"os"
	"testing"
	"time"

	"github.com/nttcom/eclcloud/v3"
	"github.com/nttcom/eclcloud/v3/ecl"
	"github.com/nttcom/eclcloud/v3/ecl/baremetal/v2/availabilityzones"
	"github.com/nttcom/eclcloud/v3/ecl/baremetal/v2/flavors"
	"github.com/nttcom/eclcloud/v3/ecl/baremetal/v2/keypairs"
	"github.com/nttcom/eclcloud/v3/ecl/baremetal/v2/servers"
	"github.com/nttcom/eclcloud/v3/ecl/identity/v3/projects"
	"github.com/nttcom/eclcloud/v3/ecl/identity/v3/users"
	"github.com/nttcom/eclcloud/v3/ecl/imagestorage/v2/imagedata"
	"github.com/nttcom/eclcloud/v3/ecl/imagestorage/v2/images"
	"github.com/nttcom/eclcloud/v3/ecl/network/v2/networks"
	"github.com/nttcom/eclcloud/v3/ecl/network/v2/ports"
	"github.com/nttcom/eclcloud/v3/ecl/network/v2/security_group_rules"
	"github.com/nttcom/eclcloud/v3/ecl/network/v2/security_groups"
	"github.com/nttcom/eclcloud/v3/ecl/network/v2/subnets"
)

// session is a tenant's work through eclcloud, one part after the other: each leaves behind what the next needs.
type session struct {
	*cloud
	provider                       *eclcloud.ProviderClient
	bare, net, img                 *eclcloud.ServiceClient
	network, subnet, image, flavor string
}

// must unwraps an answer of the library.
func must[T any](s *session, v T, err error) T {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	return v
}

// gone fails unless an answer says that there is no such thing.
func (s *session) gone(what string, err error) {
	s.Helper()
	if !errors.As(err, new(eclcloud.ErrDefault404)) {
		s.Errorf("%s after its deletion: %v, want 404", what, err)
	}
}

func TestEclcloud(t *testing.T) {
	t.Parallel()
	log.SetOutput(io.Discard) // the library logs every exchange, passwords too
	defer log.SetOutput(os.Stderr)
	c := start(t)
	c.enrol(2)
	s := &session{cloud: c}
	for _, part := range []struct {
		name string
		run  func()
	}{
		{"authenticate", s.authenticate}, {"identity", s.identity}, {"catalog of flavors and zones", s.offers}, {"key pair", s.keyPair},
		{"network", s.makeNetwork}, {"port", s.port}, {"security group", s.securityGroup}, {"image", s.makeImage}, {"server", s.server}, {"clean up", s.cleanUp},
	} {
		if !t.Run(part.name, func(t *testing.T) { s.T = t; part.run() }) {
			return // what follows needs it
		}
	}
}

func (s *session) authenticate() {
	o := eclcloud.AuthOptions{IdentityEndpoint: s.rc["OS_AUTH_URL"], Username: s.rc["OS_USERNAME"], Password: "wrong", DomainName: "Default", TenantName: s.rc["OS_PROJECT_NAME"]}
	if _, err := ecl.AuthenticatedClient(o); !errors.As(err, new(eclcloud.ErrDefault401)) {
		s.Errorf("a wrong password: %v, want 401", err)
	}
	o.Password, o.AllowReauth = s.rc["OS_PASSWORD"], true
	p, err := ecl.AuthenticatedClient(o)
	s.provider = must(s, p, err)
	at := eclcloud.EndpointOpts{Region: s.rc["OS_REGION_NAME"]}
	s.bare = must1(s, ecl.NewBaremetalV2, at)
	s.net = must1(s, ecl.NewNetworkV2, at)
	s.img = must1(s, ecl.NewImageServiceV2, at)
	s.provider.TokenID = "spoilt" // a refused token makes the library log in again
	all, err := networks.List(s.net, nil).AllPages()
	must(s, all, err)
}

// must1 makes the client of a service from the catalog.
func must1(s *session, make func(*eclcloud.ProviderClient, eclcloud.EndpointOpts) (*eclcloud.ServiceClient, error), at eclcloud.EndpointOpts) *eclcloud.ServiceClient {
	s.Helper()
	c, err := make(s.provider, at)
	return must(s, c, err)
}

func (s *session) identity() {
	c := must1(s, ecl.NewIdentityV3, eclcloud.EndpointOpts{Region: s.rc["OS_REGION_NAME"]})
	made, err := projects.Create(c, projects.CreateOpts{Name: "guests"}).Extract()
	must(s, made, err)
	got, err := projects.Get(c, made.ID).Extract()
	if must(s, got, err).Name != "guests" {
		s.Errorf("%+v", got)
	}
	pages, err := projects.List(c, projects.ListOpts{Name: "guests"}).AllPages()
	all, err2 := projects.ExtractProjects(must(s, pages, err))
	if len(must(s, all, err2)) != 1 {
		s.Errorf("projects named guests: %+v", all)
	}
	u, err := users.Create(c, users.CreateOpts{Name: "guest", Password: "a guest's password", DefaultProjectID: made.ID}).Extract()
	must(s, u, err)
	if err := users.Delete(c, u.ID).ExtractErr(); err != nil {
		s.Error(err)
	}
	if err := projects.Delete(c, made.ID).ExtractErr(); err != nil {
		s.Error(err)
	}
	s.gone("the project", projects.Get(c, made.ID).Err)
}

func (s *session) offers() {
	pages, err := flavors.List(s.bare, nil).AllPages()
	all, err2 := flavors.ExtractFlavors(must(s, pages, err))
	if len(must(s, all, err2)) == 0 {
		s.Fatal("there is no flavor")
	}
	s.flavor = all[0].ID
	f, err := flavors.Get(s.bare, s.flavor).Extract()
	if must(s, f, err).Name != all[0].Name {
		s.Errorf("%+v, in the list %+v", f, all[0])
	}
	pages, err = availabilityzones.List(s.bare).AllPages()
	zones, err2 := availabilityzones.ExtractAvailabilityZones(must(s, pages, err))
	if len(must(s, zones, err2)) == 0 || !zones[0].ZoneState.Available {
		s.Errorf("zones: %+v", zones)
	}
	// The library has no call for the stock, so this is the plain one.
	var stock struct {
		Stock struct {
			FlavorID string `json:"flavor_id"`
			Stock    bool   `json:"stock"`
		} `json:"stock"`
	}
	if _, err := s.bare.Get(s.bare.ServiceURL("stock")+"?flavor_id="+s.flavor, &stock, nil); err != nil || !stock.Stock.Stock || stock.Stock.FlavorID != s.flavor {
		s.Errorf("stock: %+v, %v", stock, err)
	}
}

func (s *session) keyPair() {
	made, err := keypairs.Create(s.bare, keypairs.CreateOpts{Name: "made"}).Extract()
	if must(s, made, err).PrivateKey == "" || made.PublicKey == "" || made.Fingerprint == "" {
		s.Errorf("a key pair that was made: %+v", made)
	}
	given, err := keypairs.Create(s.bare, keypairs.CreateOpts{Name: "given", PublicKey: made.PublicKey}).Extract()
	if must(s, given, err).PrivateKey != "" || given.Fingerprint != made.Fingerprint {
		s.Errorf("a key pair that was given: %+v", given)
	}
	got, err := keypairs.Get(s.bare, "made").Extract()
	if must(s, got, err).PublicKey != made.PublicKey || got.PrivateKey != "" {
		s.Errorf("%+v", got)
	}
	if err := keypairs.Delete(s.bare, "made").ExtractErr(); err != nil {
		s.Error(err)
	}
	s.gone("the key pair", keypairs.Get(s.bare, "made").Err)
	pages, err := keypairs.List(s.bare).AllPages()
	all, err2 := keypairs.ExtractKeyPairs(must(s, pages, err))
	if len(must(s, all, err2)) != 1 || all[0].Name != "given" {
		s.Errorf("key pairs: %+v", all)
	}
}

func (s *session) makeNetwork() {
	tags := map[string]string{"for": "tests"}
	n, err := networks.Create(s.net, networks.CreateOpts{Name: "front", Plane: "data", Tags: tags}).Extract()
	s.network = must(s, n, err).ID
	sub, err := subnets.Create(s.net, subnets.CreateOpts{NetworkID: s.network, Name: "front", CIDR: "10.30.0.0/24", IPVersion: eclcloud.IPv4,
		AllocationPools: []subnets.AllocationPool{{Start: "10.30.0.10", End: "10.30.0.99"}}, DNSNameservers: []string{"10.30.0.2"}}).Extract()
	s.subnet = must(s, sub, err).ID
	got, err := networks.Get(s.net, s.network).Extract()
	if must(s, got, err).Plane != "data" || got.Tags["for"] != "tests" || len(got.Subnets) != 1 || got.Subnets[0] != s.subnet {
		s.Errorf("%+v", got)
	}
	name := "renamed"
	got, err = networks.Update(s.net, s.network, networks.UpdateOpts{Name: &name}).Extract()
	if must(s, got, err).Name != name {
		s.Errorf("%+v", got)
	}
	pages, err := networks.List(s.net, networks.ListOpts{Name: name}).AllPages()
	all, err2 := networks.ExtractNetworks(must(s, pages, err))
	if len(must(s, all, err2)) != 1 || all[0].ID != s.network {
		s.Errorf("networks: %+v", all)
	}
	gotSub, err := subnets.Get(s.net, s.subnet).Extract()
	if must(s, gotSub, err).CIDR != "10.30.0.0/24" || gotSub.GatewayIP == "" || len(gotSub.AllocationPools) != 1 || gotSub.AllocationPools[0].Start != "10.30.0.10" {
		s.Errorf("%+v", gotSub)
	}
	pages, err = subnets.List(s.net, subnets.ListOpts{NetworkID: s.network}).AllPages()
	subs, err2 := subnets.ExtractSubnets(must(s, pages, err))
	if len(must(s, subs, err2)) != 1 {
		s.Errorf("subnets: %+v", subs)
	}
}

func (s *session) port() {
	p, err := ports.Create(s.net, ports.CreateOpts{NetworkID: s.network, Name: "p", FixedIPs: []ports.IP{{SubnetID: s.subnet, IPAddress: "10.30.0.42"}}}).Extract()
	if must(s, p, err).MACAddress == "" || len(p.FixedIPs) != 1 || p.FixedIPs[0].IPAddress != "10.30.0.42" {
		s.Errorf("%+v", p)
	}
	got, err := ports.Get(s.net, p.ID).Extract()
	if must(s, got, err).NetworkID != s.network {
		s.Errorf("%+v", got)
	}
	pages, err := ports.List(s.net, ports.ListOpts{NetworkID: s.network}).AllPages()
	all, err2 := ports.ExtractPorts(must(s, pages, err))
	if len(must(s, all, err2)) != 1 {
		s.Errorf("ports: %+v", all)
	}
	if err := subnets.Delete(s.net, s.subnet).ExtractErr(); !errors.As(err, new(eclcloud.ErrDefault409)) {
		s.Errorf("deleting a subnet with a port: %v, want 409", err)
	}
	if err := ports.Delete(s.net, p.ID).ExtractErr(); err != nil {
		s.Error(err)
	}
	s.gone("the port", ports.Get(s.net, p.ID).Err)
}

func (s *session) securityGroup() {
	g, err := security_groups.Create(s.net, security_groups.CreateOpts{Name: "web", Tags: map[string]string{"for": "tests"}}).Extract()
	if must(s, g, err).Status != "ACTIVE" || g.Tags["for"] != "tests" || len(g.SecurityGroupRules) != 2 {
		s.Errorf("%+v", g)
	}
	from, prefix := 80, "10.0.0.0/8"
	r, err := security_group_rules.Create(s.net, security_group_rules.CreateOpts{SecurityGroupID: g.ID, Direction: "ingress", Protocol: "tcp", PortRangeMin: &from, PortRangeMax: &from, RemoteIPPrefix: &prefix}).Extract()
	if must(s, r, err).PortRangeMax == nil || *r.PortRangeMax != 80 || r.Ethertype != "IPv4" {
		s.Errorf("%+v", r)
	}
	pages, err := security_group_rules.List(s.net, security_group_rules.ListOpts{SecurityGroupID: g.ID, Direction: "ingress"}).AllPages()
	rules, err2 := security_group_rules.ExtractSecurityGroupRules(must(s, pages, err))
	if len(must(s, rules, err2)) != 1 || rules[0].ID != r.ID {
		s.Errorf("rules: %+v", rules)
	}
	name := "renamed"
	got, err := security_groups.Update(s.net, g.ID, security_groups.UpdateOpts{Name: &name}).Extract()
	if must(s, got, err).Name != name || len(got.SecurityGroupRules) != 3 {
		s.Errorf("%+v", got)
	}
	pages, err = security_groups.List(s.net, security_groups.ListOpts{Name: name, Status: "ACTIVE"}).AllPages()
	groups, err2 := security_groups.ExtractSecurityGroups(must(s, pages, err))
	if len(must(s, groups, err2)) != 1 {
		s.Errorf("groups: %+v", groups)
	}
	if err := security_group_rules.Delete(s.net, r.ID).ExtractErr(); err != nil {
		s.Error(err)
	}
	if err := security_groups.Delete(s.net, g.ID).ExtractErr(); err != nil {
		s.Error(err)
	}
	s.gone("the security group", security_groups.Get(s.net, g.ID).Err)
}

func (s *session) makeImage() {
	private := images.ImageVisibilityPrivate
	made, err := images.Create(s.img, images.CreateOpts{Name: "system", ContainerFormat: "bare", DiskFormat: "raw", Visibility: &private, Tags: []string{"small"},
		Properties: map[string]string{"os": "none"}}).Extract()
	s.image = must(s, made, err).ID
	if made.Status != images.ImageStatusQueued {
		s.Errorf("%+v", made)
	}
	if err := imagedata.Upload(s.img, s.image, bytes.NewReader(disk())).ExtractErr(); err != nil {
		s.Fatal(err)
	}
	got, err := images.Get(s.img, s.image).Extract()
	if must(s, got, err).Status != images.ImageStatusActive || got.SizeBytes != int64(len(disk())) || got.Checksum == "" || got.Properties["os"] != "none" {
		s.Errorf("%+v", got)
	}
	back, err := imagedata.Download(s.img, s.image).Extract()
	raw, err2 := io.ReadAll(must(s, back, err))
	if !bytes.Equal(must(s, raw, err2), disk()) {
		s.Errorf("%d bytes came back that differ from the %d that went up", len(raw), len(disk()))
	}
	renamed, err := images.Update(s.img, s.image, images.UpdateOpts{images.ReplaceImageName{NewName: "renamed"}}).Extract()
	if must(s, renamed, err).Name != "renamed" {
		s.Errorf("%+v", renamed)
	}
	pages, err := images.List(s.img, images.ListOpts{Name: "renamed", Limit: 1}).AllPages()
	all, err2 := images.ExtractImages(must(s, pages, err))
	if len(must(s, all, err2)) != 1 || all[0].ID != s.image {
		s.Errorf("images: %+v", all)
	}
}

func (s *session) server() {
	made, err := servers.Create(s.bare, servers.CreateOpts{Name: "web", FlavorRef: s.flavor, ImageRef: s.image, KeyName: "given",
		Networks: []servers.CreateOptsNetwork{{UUID: s.network, FixedIP: "10.30.0.50", Plane: "data"}}, UserData: []byte("#!/bin/sh\ntrue\n"),
		Metadata: map[string]string{"role": "web"}, RaidArrays: []servers.CreateOptsRaidArray{
			{PrimaryStorage: true, Partitions: []servers.CreateOptsPartition{{Size: "100G", PartitionLabel: "data"}}},
			{RaidLevel: 10, Partitions: []servers.CreateOptsPartition{{LVM: true, PartitionLabel: "pv"}}},
		}, LVMVolumeGroups: []servers.CreateOptsLVMVolumeGroup{
			{VGLabel: "vg", PhysicalVolumePartitionLabels: []string{"pv"}, LogicalVolumes: []servers.CreateOptsLogicalVolume{{LVLabel: "swap", Size: "2G"}}},
		}, Filesystems: []servers.CreateOptsFilesystem{{Label: "data", FSType: "xfs", MountPoint: "/data"}, {Label: "swap", FSType: "swap"}}}).Extract()
	id := must(s, made, err).ID
	if id == "" || made.AdminPass == "" {
		s.Errorf("%+v", made)
	}
	var got *servers.Server
	s.until(60*time.Second, "the server to be active", func() bool {
		got, err = servers.Get(s.bare, id).Extract()
		if must(s, got, err).Status == "ERROR" {
			s.Fatalf("%+v", got)
		}
		return got.Status == "ACTIVE"
	})
	if got.Name != "web" || got.Metadata["role"] != "web" || got.PowerState == "" || got.Created.IsZero() || !s.attached(got, "10.30.0.50") {
		s.Errorf("%+v", got)
	}
	if r := got.RaidArrays; len(r) != 2 || !r[0].PrimaryStorage || r[0].Partitions[0].Size != 100 || r[1].RaidLevel != 10 || !r[1].Partitions[0].LVM {
		s.Errorf("the arrays are %+v", r)
	}
	if g, f := got.LVMVolumeGroups, got.Filesystems; len(g) != 1 || g[0].LogicalVolumes[0].Size != 2 || len(f) != 2 || f[0].MountPoint != "/data" || f[1].FSType != "swap" {
		s.Errorf("the groups are %+v and the file systems %+v", g, f)
	}
	pages, err := servers.List(s.bare, servers.ListOpts{Name: "web", Status: "ACTIVE"}).AllPages()
	all, err2 := servers.ExtractServers(must(s, pages, err))
	if len(must(s, all, err2)) != 1 || all[0].ID != id || all[0].Flavor["id"] != s.flavor {
		s.Errorf("servers: %+v", all)
	}
	pages, err = servers.List(s.bare, servers.ListOpts{Limit: 1}).AllPages()
	all, err2 = servers.ExtractServers(must(s, pages, err))
	if len(must(s, all, err2)) != 1 {
		s.Errorf("servers by pages of one: %+v", all)
	}
	if err := servers.Delete(s.bare, id).ExtractErr(); err != nil {
		s.Fatal(err)
	}
	s.until(60*time.Second, "the server to be gone", func() bool {
		_, err := servers.Get(s.bare, id).Extract()
		if err != nil {
			s.gone("the server", err)
		}
		return err != nil
	})
}

// attached reports whether a server has an address.
func (s *session) attached(got *servers.Server, address string) bool {
	for _, nic := range got.NICPhysicalPorts {
		for _, p := range nic.AttachedPorts {
			for _, ip := range p.FixedIPs {
				if ip.IPAddress == address && p.NetworkID == s.network {
					return true
				}
			}
		}
	}
	return false
}

func (s *session) cleanUp() {
	for what, err := range map[string]error{
		"key pair": keypairs.Delete(s.bare, "given").ExtractErr(), "image": images.Delete(s.img, s.image).ExtractErr(),
		"subnet": subnets.Delete(s.net, s.subnet).ExtractErr(),
	} {
		if err != nil {
			s.Errorf("deleting the %s: %v", what, err)
		}
	}
	if err := networks.Delete(s.net, s.network).ExtractErr(); err != nil {
		s.Error(err)
	}
	s.gone("the image", images.Get(s.img, s.image).Err)
	s.gone("the subnet", subnets.Get(s.net, s.subnet).Err)
	s.gone("the network", networks.Get(s.net, s.network).Err)
}
