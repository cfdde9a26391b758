package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/secret"
)

// Wanted is a request for a server.
type Wanted struct {
	ProjectID, UserID, Name string
	FlavorID, ImageID       string
	ChassisID               string // the node that it is to be on, instead of one of a flavor
	Zone, KeyName           string
	Metadata                map[string]string
	Networks                []WantedNIC
	Networking              Networking
	SecurityGroups          []string // names or ids, for the ports that are made; nil is the project's default
	UserData                []byte
	AdminPass               string // random when empty
	Personality             []File
	Description             string
	Hostname                string // "" is made of the name
	Labels                  []string
	GroupID                 string           // of the server group that it is to be in; "" is none
	Operator                bool             // an operator asks, who may use every flavor
	Layout                  *protocol.Layout // of the disks beside the image; nil is none
}

// Networking says what no network in a request means.
type Networking int

// The ways of a request without a network.
const (
	MustName     Networking = iota // refused
	NoNetwork                      // the server has no interface
	TheOnlyOne                     // the only network that the project may use, or none where there is none
	OneMustExist                   // the only network that the project may use
)

// WantedNIC asks for an interface: on a network, or with a port that exists.
type WantedNIC struct{ NetworkID, PortID, FixedIP, Plane, Tag string }

// Bounds of a request, as ECL2.0 documents them.
const (
	MaxUserData        = 65535
	MaxMetadata        = 128
	MaxPersonality     = 5
	MaxPersonalitySize = 10 << 10
	MaxServers         = 100 // in one request
	maxNICs            = 8
	maxLabels          = 50 // as in Nova
	maxLabel           = 60
)

func (w *Wanted) check() error {
	switch {
	case w.Name == "" || len(w.Name) > 255:
		return fault.Field("name", "must have 1 to 255 characters")
	case len(w.Networks) == 0 && w.Networking == MustName || len(w.Networks) > maxNICs:
		return fault.Field("networks", "must name 1 to %d networks", maxNICs)
	case len(w.UserData) > MaxUserData:
		return fault.Field("user_data", "must have at most %d bytes", MaxUserData)
	case len(w.Metadata) > MaxMetadata:
		return fault.Field("metadata", "must have at most %d entries", MaxMetadata)
	case len(w.Personality) > MaxPersonality:
		return fault.Field("personality", "must have at most %d files", MaxPersonality)
	case len(w.AdminPass) > 255:
		return fault.Field("adminPass", "must have at most 255 characters")
	case len(w.Description) > 255:
		return fault.Field("description", "must have at most 255 bytes")
	}
	if err := checkHostname(w.Hostname); err != nil {
		return err
	}
	if _, err := newLabels(w.Labels); err != nil {
		return err
	}
	if !layout.Empty(w.Layout) {
		if err := layout.Check(w.Layout); err != nil {
			return err
		}
	}
	for k, v := range w.Metadata {
		if k == "" || len(k) > 255 || len(v) > 255 {
			return fault.Field("metadata", "keys must have 1 to 255 bytes and values at most 255")
		}
	}
	for _, f := range w.Personality {
		if f.Path == "" || len(f.Path) > 255 || len(f.Contents) > MaxPersonalitySize {
			return fault.Field("personality", "paths must have 1 to 255 bytes and files at most %d", MaxPersonalitySize)
		}
	}
	for i := range w.Networks {
		n := &w.Networks[i]
		if n.Plane == "" {
			n.Plane = network.Data
		}
		if (n.NetworkID == "") == (n.PortID == "") {
			return fault.Field("networks", "each entry needs either uuid or port")
		}
		if n.Plane != network.Data && n.Plane != network.Storage {
			return fault.Field("networks.plane", "must be data or storage")
		}
	}
	return nil
}

// Create takes a request: it lends a node, makes the ports and starts the deployment, all or nothing. It returns
// the server and the administrator's password, which is shown this once.
func (s *Service) Create(ctx context.Context, w Wanted) (Server, string, error) {
	made, pass, err := s.CreateSeveral(ctx, w, 1)
	if err != nil {
		return Server{}, "", err
	}
	return made[0], pass, nil
}

// CreateSeveral is Create for n servers at once, all or none. With more than one each has its number behind its name.
func (s *Service) CreateSeveral(ctx context.Context, w Wanted, n int) ([]Server, string, error) {
	if err := w.check(); err != nil {
		return nil, "", err
	}
	if n < 1 || n > MaxServers {
		return nil, "", fault.Field("max_count", "must be 1 to %d", MaxServers)
	}
	b, err := s.plan(ctx, &w)
	if err != nil {
		return nil, "", err
	}
	if n > 1 && slices.ContainsFunc(w.Networks, func(n WantedNIC) bool { return n.PortID != "" || n.FixedIP != "" }) {
		return nil, "", fault.Field("networks", "a port or an address can be that of one server only; ask for one at a time")
	}
	made := make([]Server, n)
	err = s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := s.afford(ctx, tx, w, b.flavor, n); err != nil {
			return err
		}
		for i := range made {
			made[i] = b.server
			if n > 1 {
				made[i].Name = fmt.Sprintf("%s-%d", w.Name, i+1)
			}
			made[i].LaunchIndex = i
			if err := s.start(ctx, tx, &made[i], w, b); err != nil {
				return err
			}
		}
		return nil
	})
	return made, b.private.AdminPass, err
}

// blueprint is what servers are made of.
type blueprint struct {
	server  Server // what all have in common
	flavor  Flavor
	image   image.Image
	private Private
	groups  []string // ids of security groups
}

// plan finds what a request names.
func (s *Service) plan(ctx context.Context, w *Wanted) (blueprint, error) {
	var b blueprint
	var err error
	if b.flavor, err = s.flavorOf(ctx, w); err != nil {
		return b, err
	}
	if b.image, err = s.images.Get(ctx, w.ProjectID, w.ImageID); err != nil {
		return b, err
	}
	if err := s.images.Usable(b.image); err != nil {
		return b, err
	}
	if err := b.image.Fits(b.flavor.Disk, b.flavor.RAM); err != nil {
		return b, err
	}
	if err := s.checkLayout(w.Layout, b.image); err != nil {
		return b, err
	}
	b.private = Private{UserData: w.UserData, AdminPass: w.AdminPass, Personality: w.Personality}
	if w.AdminPass == "" {
		b.private.AdminPass = secret.Token()[:16]
	}
	if w.KeyName != "" {
		if b.private.PublicKey, err = s.publicKey(ctx, w.ProjectID, w.UserID, w.KeyName); err != nil {
			return b, err
		}
	}
	if len(w.Networks) == 0 {
		if w.Networks, err = s.onlyNetwork(ctx, w.ProjectID, w.Networking); err != nil {
			return b, err
		}
	}
	if b.groups, err = s.securityGroups(ctx, w.ProjectID, w.SecurityGroups); err != nil {
		return b, err
	}
	labels, err := newLabels(w.Labels)
	now := db.Now()
	b.server = Server{ProjectID: w.ProjectID, UserID: w.UserID, Name: w.Name, FlavorID: b.flavor.ID, ImageID: b.image.ID, Zone: w.Zone, KeyName: w.KeyName,
		Metadata: w.Metadata, State: Building, CreatedAt: now, UpdatedAt: now, Description: w.Description, Hostname: w.Hostname, Labels: labels,
		GroupID: w.GroupID, ChassisID: w.ChassisID, Reservation: "r-" + strings.ToLower(rand.Text()[:8])}
	return b, err
}

// publicKey is the user's key of that name, or else one of the project.
func (s *Service) publicKey(ctx context.Context, project, user, name string) (string, error) {
	k, err := s.KeyPairFor(ctx, project, user, name)
	if fault.Is(err, fault.NotFound) {
		return "", fault.Field("key_name", "no key pair %q", name)
	}
	return k.PublicKey, err
}

// afford takes n servers from what a project may have.
func (s *Service) afford(ctx context.Context, tx db.Tx, w Wanted, f Flavor, n int) error {
	for resource, have := range map[string]int{"metadata_items": len(w.Metadata), "injected_files": len(w.Personality)} {
		if err := s.within(ctx, tx, w.ProjectID, resource, have); err != nil {
			return err
		}
	}
	err := s.spend(ctx, tx, w.ProjectID, need{resource: "instances", n: n}, need{resource: "cores", n: n * f.VCPUs}, need{resource: "ram", n: n * int(f.RAM)})
	if err != nil {
		return err
	}
	return s.admit(ctx, tx, w.ProjectID, w.GroupID, n)
}

// start records a server and begins to deploy it.
func (s *Service) start(ctx context.Context, tx db.Tx, srv *Server, w Wanted, b blueprint) error {
	srv.ID, srv.Layout = ID(uuid.NewString()), layoutOf(w.Layout)
	var err error
	if srv.Sealed, err = s.seal(srv.ID, b.private); err != nil {
		return err
	}
	if err := s.addNICs(ctx, tx, srv, w.Networks, b.groups); err != nil {
		return err
	}
	if _, err := tx.NewInsert().Model(srv).Exec(ctx); err != nil {
		return fault.E(fault.Internal, "recording the server", err)
	}
	if err := note(ctx, tx, srv.ID, "create"); err != nil {
		return err
	}
	return s.build(ctx, tx, srv, b.flavor, b.image, b.private)
}

// seal closes what of a server must not lie open.
func (s *Service) seal(id ID, p Private) ([]byte, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fault.E(fault.Internal, "sealing the server's request", err)
	}
	return s.box.Seal(place(id), raw), nil
}
