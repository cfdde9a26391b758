package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/api"
	auditapi "github.com/hagane-cloud/hagane/api/audit"
	"github.com/hagane-cloud/hagane/api/ecl"
	"github.com/hagane-cloud/hagane/api/glance"
	"github.com/hagane-cloud/hagane/api/ironic"
	"github.com/hagane-cloud/hagane/api/keystone"
	"github.com/hagane-cloud/hagane/api/media"
	"github.com/hagane-cloud/hagane/api/neutron"
	"github.com/hagane-cloud/hagane/api/nova"
	"github.com/hagane-cloud/hagane/api/openapi"
	"github.com/hagane-cloud/hagane/api/operator"
	"github.com/hagane-cloud/hagane/audit"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/bmc/profile"
	"github.com/hagane-cloud/hagane/conductor"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/idempotency"
	"github.com/hagane-cloud/hagane/identity"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/network/trunk"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/ramdisk/disc"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/server"
	"github.com/hagane-cloud/hagane/telemetry"
	"github.com/hagane-cloud/hagane/workflow"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	data, listen, database, region string
	group                          string // of the conductor
	metrics                        string // address of the metrics; "" is none
	roles                          []string
	ramdisk, ipxe, media           string
	workers                        int
	pace                           string
	noDHCP, noPeers                bool
	trunk                          []string // as given
	trunks                         []trunk.Spec
	agentWithin                    time.Duration
	verbose                        bool
	limits                         api.Limits
	passwords                      identity.Policy
	importFrom, deployFrom         []string

	wired func(c *cloud) // called before anything starts; tests look in here
}

// envDatabase names the variable of the environment with the database's URL.
const envDatabase = "HAGANE_DATABASE"

// roles are what a process can do.
var allRoles = []string{"api", "conductor", "dhcp", "gateway"}

func serveCommand() *cobra.Command {
	o := serveOptions{limits: api.DefaultLimits}
	c := &cobra.Command{Use: "serve", Short: "run the cloud", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return serve(cmd.Context(), o)
	}}
	f := c.Flags()
	f.StringVar(&o.data, "data", "data", "folder of the database, keys and images")
	f.StringVar(&o.listen, "listen", "127.0.0.1:6385", "address of the API; port 0 takes a free one")
	f.StringVar(&o.metrics, "metrics-listen", "", "address of /metrics, /healthz and /readyz, which need no token; port 0 takes a free one (default: none)")
	f.StringVar(&o.database, "database", os.Getenv(envDatabase), "postgres://…; better given in "+envDatabase+", as everyone on the host can read a command line (default: SQLite in the data folder)")
	f.StringSliceVar(&o.roles, "role", allRoles, "what this process does: api, conductor, dhcp, gateway")
	f.StringVar(&o.group, "group", "", "conductor group (site, rack, vendor) whose nodes this conductor works on (default: the nodes that are in none)")
	f.StringVar(&o.ramdisk, "ramdisk", "", "folder of the agent's ramdisk, made by hagane ramdisk build (default: boot in the data folder)")
	f.StringVar(&o.ipxe, "ipxe", "/usr/lib/ipxe", "folder with undionly.kpxe and snponly.efi")
	f.StringVar(&o.media, "media-url", "", "base URL by which BMCs reach the API to fetch virtual media (default: http:// and the listen address)")
	f.BoolVar(&o.noDHCP, "no-dhcp", false, "answer no DHCP and TFTP on the cloud's own networks: all nodes boot the agent by virtual media")
	f.StringSliceVar(&o.trunk, "trunk", nil, "NIC of this host that is a trunk to the switches, or NIC:VLAN with the VLAN of its untagged frames: DHCP, network boot, metadata and routers are served over it (default: by the lab's switch)")
	f.BoolVar(&o.noPeers, "no-image-peers", false, "have nodes take images from the cloud alone, and not from each other")
	f.DurationVar(&o.agentWithin, "agent-within", 5*time.Minute, "how long a node may take to boot the agent before it is reset and told again")
	f.StringVar(&o.region, "region", "region1", "name of the region in the catalog")
	f.IntVar(&o.workers, "workers", 64, "runs that are carried on at the same time")
	f.Float64Var(&o.limits.User.PerSecond, "user-rate", api.DefaultLimits.User.PerSecond, "requests a second that one user may make in the long run; 0 is no limit")
	f.Float64Var(&o.limits.Address.PerSecond, "address-rate", api.DefaultLimits.Address.PerSecond, "requests a second that one address may make; 0 is no limit")
	f.Float64Var(&o.limits.Guests.PerSecond, "login-rate", api.DefaultLimits.Guests.PerSecond, "logins a second that one address may make; 0 is no limit")
	f.StringSliceVar(&o.importFrom, "import-from", nil, "prefixes that are not public, and from which images may be imported all the same, at any port")
	f.StringSliceVar(&o.deployFrom, "deploy-from", nil, "prefixes that are neither public nor private, such as loopback, and from which operators may deploy nodes all the same")
	f.StringVar(&o.pace, "bmc-pace", "real", "how patient to be with BMCs: real, or lab for simulated ones that recover within moments")
	f.DurationVar(&o.passwords.PasswordAge, "password-age", 0, "after which a user must change the password; 0: never")
	f.IntVar(&o.passwords.PasswordMin, "password-min", 6, "bytes that a password must have")
	f.IntVar(&o.passwords.Tries, "login-tries", 10, "wrong passwords in a row that lock a user out; -1: never")
	f.DurationVar(&o.passwords.LockOut, "login-lock", 5*time.Minute, "how long a user is locked out after the last wrong password")
	f.BoolVar(&o.verbose, "verbose", false, "log every request")
	return c
}

func (o *serveOptions) has(role string) bool { return slices.Contains(o.roles, role) }

func (o *serveOptions) check() error {
	for _, r := range o.roles {
		if !slices.Contains(allRoles, r) {
			return fault.Errorf(fault.Invalid, "there is no role %q; there are %s", r, strings.Join(allRoles, ", "))
		}
	}
	if o.database == "" && !(o.has("api") && o.has("conductor") && o.has("dhcp")) {
		return fault.Errorf(fault.Invalid, "with SQLite one process has all roles; give --database postgres://… to spread them")
	}
	if _, ok := paces[o.pace]; !ok {
		return fault.Errorf(fault.Invalid, "there is no pace %q; there are real and lab", o.pace)
	}
	if len(o.trunk) > 0 && !o.has("dhcp") && !o.has("gateway") {
		return fault.Errorf(fault.Invalid, "--trunk is for the process that serves the networks: give it the role dhcp, gateway or both")
	}
	if o.ramdisk == "" {
		o.ramdisk = filepath.Join(o.data, "boot")
	}
	var err error
	if o.trunks, err = readTrunks(o.trunk); err != nil {
		return err
	}
	o.data, err = filepath.Abs(o.data)
	return err
}

// paces are how patient drivers are.
var paces = map[string]bmc.Pace{"": bmc.DefaultPace, "real": bmc.DefaultPace, "lab": bmc.LabPace}

// grace is how long the steps in hand may take to end after we are told to stop.
const grace = 20 * time.Second

// keepSession is how long a BMC session outlives its last use: beyond the next look at the power, so that each
// look is one request and not three.
const keepSession = 5 * time.Minute

// cloud is all services of one process, wired.
type cloud struct {
	o         serveOptions
	log       *slog.Logger
	db        *db.DB
	queue     workflow.Queue
	engine    *workflow.Engine
	conductor *conductor.Conductor
	identity  *identity.Service
	nodes     *node.Service
	networks  *network.Service
	images    *image.Service
	servers   *server.Service
	audit     *audit.Service
	keys      *idempotency.Service
	media     string // URL by which BMCs reach the API; "" when it is not known
	shelf     *disc.Shelf
	metrics   *telemetry.Metrics
	ready     []telemetry.Check
}

func serve(ctx context.Context, o serveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return fault.E(fault.Internal, "making the data folder", err)
	}
	dsn := o.database
	if dsn == "" {
		// One process alone works on an SQLite database; with PostgreSQL several may share keys and images.
		unlock, err := lockData(o.data)
		if err != nil {
			return err
		}
		defer unlock()
		dsn = "sqlite:" + filepath.Join(o.data, "hagane.db")
	}
	d, err := db.Open(ctx, dsn)
	if err != nil {
		return err
	}
	defer d.Close()
	c, err := wire(o, d, log)
	if err != nil {
		return err
	}
	defer c.networks.Close()
	if o.wired != nil {
		o.wired(c)
	}
	traced, err := telemetry.Trace(ctx, version, o.roles)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		traced(last)
	}()
	return c.run(ctx)
}

// wire makes the services. It starts nothing.
func wire(o serveOptions, d *db.DB, log *slog.Logger) (*cloud, error) {
	box, err := secret.Open(filepath.Join(o.data, "secret.key"))
	if err != nil {
		return nil, err
	}
	id := workflow.Holder(uuid.NewString())
	c := &cloud{o: o, log: log, db: d, media: o.media, shelf: disc.NewShelf(o.ramdisk, "vmlinuz", "initramfs")}
	qo := workflow.QueueOptions{Name: id, Log: log}
	if o.has("conductor") {
		qo.Workers, qo.Poll = o.workers, 25*time.Millisecond
		qo.Look = func(ctx context.Context, id workflow.RunID) error { return c.conductor.Look(ctx, id) }
	}
	if c.queue, err = workflow.NewQueue(d, qo); err != nil {
		return nil, err
	}
	c.engine = workflow.NewEngine(d, c.queue, log)
	c.identity = identity.NewService(d, box, o.passwords)
	c.audit, c.keys = audit.NewService(d, log), idempotency.NewService(d, box)
	c.networks = network.NewService(network.Options{DB: d, Box: box, Open: openSwitch, VLANLo: 100, VLANHi: 3999, Systems: systemNetworks()})
	imaging, err := c.imageOptions()
	if err != nil {
		return nil, err
	}
	if c.images, err = image.NewService(imaging); err != nil {
		return nil, err
	}
	book, err := profile.Load(filepath.Join(o.data, "profiles"))
	if err != nil {
		return nil, err
	}
	c.nodes = node.NewService(node.Options{DB: d, Engine: c.engine, Box: box, Network: c.networks, Open: newBMCs(book).open, Profiles: book, Pace: paces[o.pace], AgentAPI: agentAPI,
		AgentWithin: o.agentWithin, AgentAddress: agentAddress(d), MediaBase: c.mediaBase, Log: log, Swarm: c.swarm(box), Resolve: server.Resolver(c.images), Fetch: server.Fetcher(c.images), Wrote: func(w protocol.Written) { c.metrics.Image(w) }})
	c.servers = server.NewService(d, box, c.nodes, c.images, c.networks, log)
	c.servers.MediaBase = func() string { return c.media }
	c.conductor = conductor.New(d, c.engine, conductor.Options{ID: id, Roles: strings.Join(o.roles, ","), Group: o.group, Version: version, Alone: !d.Postgres(), Log: log})
	c.observe()
	c.conductor.Every("watch the power", time.Second, func(ctx context.Context) error { return c.nodes.Watch(ctx, id) })
	c.conductor.Every("compare restored nodes", 15*time.Second, func(ctx context.Context) error { return c.nodes.Confirm(ctx, id) })
	c.conductor.Every("keep security groups", 500*time.Millisecond, func(ctx context.Context) error { return c.networks.KeepFilters(ctx, c.plugs(id)) })
	c.conductor.Every("allocate nodes", 500*time.Millisecond, c.nodes.AllocatePending)
	c.conductor.Every("record the consoles", time.Second, func(ctx context.Context) error { return c.nodes.Record(ctx, id) })
	if d.Postgres() {
		c.conductor.Every("tell of exchanges with BMCs", 500*time.Millisecond, func(ctx context.Context) error { return c.nodes.Tell(ctx, id) })
		c.conductor.Every("forget told exchanges", time.Hour, c.nodes.ForgetTold)
	}
	c.conductor.Every("close idle BMC sessions", 30*time.Second, func(ctx context.Context) error { return c.nodes.CloseIdle(ctx, keepSession) })
	c.conductor.Every("forget old conductors", time.Hour, c.engine.Forget)
	c.conductor.Every("drop expired tokens", 10*time.Minute, c.identity.Expire)
	c.conductor.Every("drop old audit records", time.Hour, c.audit.Expire)
	c.conductor.Every("forget old image tasks", time.Hour, c.images.Expire)
	c.conductor.Every("drop images that were fetched for deployments", time.Hour, c.servers.DropUnusedImages)
	c.conductor.Every("forget old idempotency keys", time.Hour, c.keys.Expire)
	return c, nil
}

// run starts what the roles ask for and waits for its end.
func (c *cloud) run(ctx context.Context) error {
	if !c.db.Postgres() {
		if err := c.images.Recover(ctx); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.db.KeepTime(gctx, c.log) })
	if err := c.listenMetrics(gctx, g); err != nil {
		return err
	}
	if c.o.has("api") {
		if err := c.listen(gctx, g); err != nil {
			return err
		}
	}
	if c.o.has("conductor") {
		g.Go(func() error {
			err := c.conductor.Run(gctx, c.queue, grace)
			c.nodes.CloseIdle(context.WithoutCancel(gctx), 0)
			return err
		})
	}
	up, err := c.serveNetworks(gctx, g)
	if err != nil {
		return err
	}
	defer up.close()
	err = g.Wait()
	if ctx.Err() != nil {
		c.log.Info("stopped")
		return nil
	}
	return err
}

// listen makes the first administrator, writes how to reach the cloud, and serves the API.
func (c *cloud) listen(ctx context.Context, g *errgroup.Group) error {
	l, err := net.Listen("tcp", c.o.listen)
	if err != nil {
		return fault.E(fault.Unavailable, "listening on "+c.o.listen, err)
	}
	password, err := c.identity.Bootstrap(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if err := c.servers.Bootstrap(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	c.media = cmp.Or(c.o.media, "http://"+l.Addr().String())
	if err := writeAccess(c.o.data, "http://"+l.Addr().String(), c.o.region, password); err != nil {
		return errors.Join(err, l.Close())
	}
	hs := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)}
	g.Go(func() error {
		if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	importing := make(chan struct{})
	g.Go(func() error { defer close(importing); c.images.Run(ctx); return nil })
	auditing, ended := context.WithCancel(context.WithoutCancel(ctx)) // until the last request has been answered, and no import goes on
	g.Go(func() error { c.audit.Run(auditing); return nil })
	g.Go(func() error {
		<-ctx.Done()
		defer ended()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err := hs.Shutdown(stop); err != nil {
			_ = hs.Close()
		}
		<-importing
		return nil
	})
	c.log.Info("the cloud is up", "url", fmt.Sprintf("http://%s/identity/v3", l.Addr()), "access", filepath.Join(c.o.data, "clouds.yaml"), "roles", c.o.roles)
	return nil
}

func (c *cloud) handler() http.Handler {
	mux := http.NewServeMux()
	c.serveHealth(mux)
	mux.Handle("/", api.Handler(c.dialects(), api.Options{Tokens: c.identity, Audit: c.audit, Keys: c.keys, Limits: c.o.limits, Log: c.log, Observe: c.metrics.Request}))
	return mux
}

// dialects are all services of the API.
func (c *cloud) dialects() []api.Dialect {
	catalog := []keystone.Endpoint{
		{ID: "identity", Type: "identity", Name: "keystone", Path: keystone.Prefix + "/v3"},
		{ID: "baremetal-server", Type: "baremetal-server", Name: "baremetal-server", Path: ecl.Prefix + "/v2/{project}"},
		{ID: "compute", Type: "compute", Name: "nova", Path: nova.Prefix + "/v2.1"},
		{ID: "baremetal", Type: "baremetal", Name: "ironic", Path: ironic.Prefix},
		{ID: "network", Type: "network", Name: "neutron", Path: neutron.Prefix},
		{ID: "image", Type: "image", Name: "glance", Path: glance.Prefix},
		{ID: "operator", Type: "operator", Name: "hagane", Path: operator.Prefix},
		{ID: "audit", Type: "audit", Name: "audit", Path: auditapi.Prefix},
	}
	return []api.Dialect{
		keystone.Dialect(c.identity, catalog, c.o.region),
		ecl.Dialect(c.servers, c.nodes, c.networks, c.images),
		nova.Dialect(c.servers, c.nodes, c.networks, c.images),
		ironic.Dialect(c.nodes, c.servers),
		neutron.Dialect(c.networks),
		glance.Dialect(c.images),
		operator.Dialect(c.nodes, c.networks, c.servers),
		media.Dialect(c.agentDisc, c.servers.MediumData),
		auditapi.Dialect(c.audit, operator.Error),
		openapi.Dialect(operator.Error),
	}
}
