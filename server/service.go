package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
)

// Service keeps servers, flavors and key pairs.
type Service struct {
	db       *db.DB
	box      *secret.Box
	nodes    *node.Service
	images   *image.Service
	networks *network.Service
	log      *slog.Logger

	// MediaBase returns the base URL by which BMCs fetch attached images.
	MediaBase func() string
}

// NewService makes the service and makes it the tenant of the nodes.
func NewService(d *db.DB, box *secret.Box, nodes *node.Service, images *image.Service, networks *network.Service, log *slog.Logger) *Service {
	s := &Service{db: d, box: box, nodes: nodes, images: images, networks: networks, log: log}
	nodes.SetTenant(s)
	return s
}

// Wanted is a request for a server.
type Wanted struct {
	ProjectID, UserID, Name string
	FlavorID, ImageID       string
	Zone, KeyName           string
	Metadata                map[string]string
	Networks                []WantedNIC
	UserData                []byte
	AdminPass               string // random when empty
	Personality             []File
}

// WantedNIC asks for an interface: on a network, or with a port that exists.
type WantedNIC struct{ NetworkID, PortID, FixedIP, Plane string }

// Bounds of a request, as ECL2.0 documents them.
const (
	MaxUserData        = 65535
	MaxMetadata        = 128
	MaxPersonality     = 5
	MaxPersonalitySize = 10 << 10
	maxNICs            = 8
)

func (w *Wanted) check() error {
	switch {
	case w.Name == "" || len(w.Name) > 255:
		return fault.Field("name", "must have 1 to 255 characters")
	case len(w.Networks) == 0 || len(w.Networks) > maxNICs:
		return fault.Field("networks", "must name 1 to %d networks", maxNICs)
	case len(w.UserData) > MaxUserData:
		return fault.Field("user_data", "must have at most %d bytes", MaxUserData)
	case len(w.Metadata) > MaxMetadata:
		return fault.Field("metadata", "must have at most %d entries", MaxMetadata)
	case len(w.Personality) > MaxPersonality:
		return fault.Field("personality", "must have at most %d files", MaxPersonality)
	case len(w.AdminPass) > 255:
		return fault.Field("adminPass", "must have at most 255 characters")
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
	if err := w.check(); err != nil {
		return Server{}, "", err
	}
	f, err := s.Flavor(ctx, w.FlavorID)
	if err != nil {
		return Server{}, "", err
	}
	img, err := s.images.Get(ctx, w.ProjectID, w.ImageID)
	if err != nil {
		return Server{}, "", err
	}
	if err := s.images.Usable(img); err != nil {
		return Server{}, "", err
	}
	if err := img.Fits(f.Disk, f.RAM); err != nil {
		return Server{}, "", err
	}
	p := Private{UserData: w.UserData, AdminPass: w.AdminPass, Personality: w.Personality}
	if p.AdminPass == "" {
		p.AdminPass = secret.Token()[:16]
	}
	if w.KeyName != "" {
		k, err := s.KeyPair(ctx, w.ProjectID, w.KeyName)
		if err != nil {
			return Server{}, "", fault.Field("key_name", "no key pair %q", w.KeyName)
		}
		p.PublicKey = k.PublicKey
	}
	now := db.Now()
	srv := Server{ID: ID(uuid.NewString()), ProjectID: w.ProjectID, UserID: w.UserID, Name: w.Name, FlavorID: f.ID, ImageID: img.ID, Zone: w.Zone,
		KeyName: w.KeyName, Metadata: w.Metadata, State: Building, CreatedAt: now, UpdatedAt: now}
	raw, err := json.Marshal(p)
	if err != nil {
		return Server{}, "", err
	}
	srv.Sealed = s.box.Seal(place(srv.ID), raw)
	err = s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		try := srv
		if err := s.addNICs(ctx, tx, &try, w.Networks); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&try).Exec(ctx); err != nil {
			return fault.E(fault.Internal, "recording the server", err)
		}
		if err := s.build(ctx, tx, &try, f, img, p); err != nil {
			return err
		}
		srv = try
		return nil
	})
	return srv, p.AdminPass, err
}

func place(id ID) string { return "server/" + string(id) }

// addNICs makes, or takes, the network ports that were asked for.
func (s *Service) addNICs(ctx context.Context, tx db.Tx, srv *Server, wanted []WantedNIC) error {
	srv.NICs = nil
	for _, w := range wanted {
		id := w.PortID
		if id == "" {
			p := network.Port{NetworkID: w.NetworkID, ProjectID: srv.ProjectID, AdminUp: true, DeviceID: string(srv.ID), MadeBy: string(srv.ID)}
			if w.FixedIP != "" {
				p.FixedIPs = []network.FixedIP{{Address: w.FixedIP}}
			}
			p, err := s.networks.AddPort(ctx, tx, network.Owner(srv.ProjectID), p)
			if err != nil {
				return fault.Wrap("networks", err)
			}
			id = p.ID
		}
		srv.NICs = append(srv.NICs, NIC{Plane: w.Plane, PortID: id})
	}
	return nil
}

// build lends a node and starts to deploy on it, in the caller's transaction.
func (s *Service) build(ctx context.Context, tx db.Tx, srv *Server, f Flavor, img image.Image, p Private) error {
	want := node.Want{ResourceClass: f.ResourceClass, Zone: srv.Zone, Traits: f.Traits, NICs: map[string]int{}, Not: srv.Tried, Project: srv.ProjectID}
	for _, n := range srv.NICs {
		want.NICs[n.Plane]++
	}
	n, ports, err := s.nodes.Choose(ctx, tx, want, string(srv.ID))
	if err != nil {
		return err
	}
	if err := s.begin(ctx, tx, srv, n, ports, img, p); err != nil {
		return errors.Join(err, s.nodes.GiveBack(ctx, tx, n.ID))
	}
	return nil
}

// begin starts the deployment on a node that was lent.
func (s *Service) begin(ctx context.Context, tx db.Tx, srv *Server, n *node.Node, ports []node.Port, img image.Image, p Private) error {
	links, nets, err := s.bind(ctx, tx, srv, ports)
	if err != nil {
		return err
	}
	srv.NodeID, srv.UpdatedAt = n.ID, db.Now()
	if _, err := tx.NewUpdate().Model(srv).Column("node_id", "tried", "updated_at").WherePK().Exec(ctx); err != nil {
		return err
	}
	files, err := configDrive(srv, p, nets, n.Zone)
	if err != nil {
		return err
	}
	return s.nodes.Deploy(ctx, tx, n.ID, string(srv.ID), node.Deployment{
		ImageID: img.ID, Image: node.Image{SHA512: img.RawSHA512, Size: img.RawSize}, Links: links,
	}, files)
}

// bind gives the server's network ports to the node's NICs of the same plane, in order.
func (s *Service) bind(ctx context.Context, tx db.Tx, srv *Server, ports []node.Port) ([]node.Link, []attached, error) {
	var links []node.Link
	var nets []attached
	for _, nic := range srv.NICs {
		i := slices.IndexFunc(ports, func(p node.Port) bool { return p.Plane == nic.Plane })
		if i < 0 {
			return nil, nil, fault.Errorf(fault.Internal, "the node has too few NICs of the %s plane", nic.Plane)
		}
		mac := ports[i].MAC
		ports = slices.Delete(slices.Clone(ports), i, i+1)
		p, n, err := s.networks.Bind(ctx, tx, network.Owner(srv.ProjectID), nic.PortID, string(srv.ID), mac)
		if err != nil {
			return nil, nil, err
		}
		subs, err := s.networks.SubnetsOf(ctx, tx, n.ID)
		if err != nil {
			return nil, nil, err
		}
		links = append(links, node.Link{MAC: mac, VLAN: n.VLAN})
		nets = append(nets, attached{p, n, subs})
	}
	return links, nets, nil
}

// Delete gives a server up. It is gone when its node is off and cut from its networks.
func (s *Service) Delete(ctx context.Context, project string, id ID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		srv, err := get(ctx, tx, project, id)
		if err != nil {
			return err
		}
		if srv.Deleting {
			return nil
		}
		if srv.NodeID == "" {
			return s.forget(ctx, tx, srv)
		}
		if srv.State == Building {
			// What comes of the abort is told to Deployed, which sees that the server is to go.
			if err := s.nodes.Abort(ctx, tx, srv.NodeID, "the tenant deletes the server"); err != nil {
				return err
			}
		} else if err := s.nodes.Undeploy(ctx, tx, srv.NodeID); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(srv).Set("deleting = ?", true).Set("updated_at = ?", db.Now()).WherePK().Exec(ctx)
		return err
	})
}

func (s *Service) forget(ctx context.Context, tx db.Tx, srv *Server) error {
	if err := s.networks.Unbind(ctx, tx, string(srv.ID)); err != nil {
		return err
	}
	_, err := tx.NewDelete().Model(srv).WherePK().Exec(ctx)
	return err
}

// SetPower changes a server's power.
func (s *Service) SetPower(ctx context.Context, project string, id ID, a bmc.Action) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		srv, err := get(ctx, tx, project, id)
		if err != nil {
			return err
		}
		if srv.Deleting || srv.State != Active {
			return fault.Errorf(fault.Conflict, "the server is %s; its power can be changed when it is active and nothing else is under way", srv.State)
		}
		return s.nodes.SetPower(ctx, tx, srv.NodeID, a)
	})
}

// Rename gives a server another name.
func (s *Service) Rename(ctx context.Context, project string, id ID, name string) error {
	if name == "" || len(name) > 255 {
		return fault.Field("name", "must have 1 to 255 characters")
	}
	return s.change(ctx, project, id, func(srv *Server) { srv.Name = name }, "name")
}

// SetMetadata replaces a server's metadata.
func (s *Service) SetMetadata(ctx context.Context, project string, id ID, change func(m map[string]string) map[string]string) (map[string]string, error) {
	var out map[string]string
	var bad error
	err := s.change(ctx, project, id, func(srv *Server) {
		m := map[string]string{}
		for k, v := range srv.Metadata {
			m[k] = v
		}
		w := Wanted{Name: "x", Networks: []WantedNIC{{NetworkID: "x"}}, Metadata: change(m)}
		if bad = w.check(); bad == nil {
			srv.Metadata, out = w.Metadata, w.Metadata
		}
	}, "metadata")
	if bad != nil {
		return nil, bad
	}
	return out, err
}

func (s *Service) change(ctx context.Context, project string, id ID, fn func(*Server), columns ...string) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		srv, err := get(ctx, tx, project, id)
		if err != nil {
			return err
		}
		fn(srv)
		srv.UpdatedAt = db.Now()
		_, err = tx.NewUpdate().Model(srv).Column(append(columns, "updated_at")...).WherePK().Exec(ctx)
		return err
	})
}

// get reads a server of a project; project "" reads any.
func get(ctx context.Context, q bun.IDB, project string, id ID) (*Server, error) {
	srv := new(Server)
	err := q.NewSelect().Model(srv).Where("id = ?", id).Scan(ctx)
	if db.None(err) || (err == nil && project != "" && srv.ProjectID != project) {
		return nil, fault.Errorf(fault.NotFound, "no server %s", id)
	}
	return srv, fault.Wrap("reading server "+string(id), err)
}

// Get returns a server of a project.
func (s *Service) Get(ctx context.Context, project string, id ID) (*Server, error) {
	return get(ctx, s.db.Read(), project, id)
}

// List returns the servers of a project that were changed since a time, oldest first; project "" lists all.
func (s *Service) List(ctx context.Context, project string, since time.Time) ([]Server, error) {
	var all []Server
	q := s.db.Read().NewSelect().Model(&all).OrderExpr("created_at, id")
	if project != "" {
		q = q.Where("project_id = ?", project)
	}
	if !since.IsZero() {
		q = q.Where("updated_at >= ?", since)
	}
	return all, fault.Wrap("listing servers", q.Scan(ctx))
}

// Count returns how many servers a project has.
func (s *Service) Count(ctx context.Context, project string) (int, error) {
	n, err := s.db.Read().NewSelect().Model((*Server)(nil)).Where("project_id = ?", project).Count(ctx)
	return int(n), fault.Wrap("counting servers", err)
}
