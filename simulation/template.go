package simulation

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/image"
	"github.com/hagane-cloud/hagane/network"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/secret"
)

// Template is a cloud on its first day: enrolled, inspected and clean nodes, tenants with their networks, an image and a flavor. Every
// simulation begins with a copy of it.
type Template struct {
	dir      string // with the database and the images
	box      *secret.Box
	nodes    []string // their ids, in the order of the machines
	projects []project
	image    string
	imageSum string
	flavor   string
	made     time.Time // by the simulated clock
}

// The size of the simulated cloud.
const (
	nodes   = 6
	tenants = 3
)

// NewTemplate makes the cloud in a folder, by what the cloud itself does. It is to be called in a bubble of testing/synctest.
func NewTemplate(dir string) (*Template, error) {
	ctx := context.Background()
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(dir, "hagane.db")+"?synchronous=OFF")
	if err != nil {
		return nil, err
	}
	t := &Template{dir: dir}
	if t.box, err = secret.Open(filepath.Join(dir, "secret.key")); err != nil {
		return nil, err
	}
	// Before there are processes: each opens the switch at its start.
	at := network.Switch{Name: switchName, Driver: "simulated", Address: "simulated"}
	if err := network.NewService(network.Options{DB: d, Box: t.box}).SetSwitch(ctx, at, "password"); err != nil {
		return nil, err
	}
	d.Close()
	s, err := t.begin(Options{Quiet: true}, t.path())
	if err != nil {
		return nil, err
	}
	for i := range nodes {
		s.machines = append(s.machines, newMachine(i))
	}
	s.act(func() {
		if err = s.enrol(t); err != nil {
			err = fmt.Errorf("%w\n%s", err, s.trace.tail())
		}
		s.end()
	})
	s.run()
	if stopErr := s.finish(); err == nil {
		err = stopErr
	}
	t.made = time.Now()
	return t, err
}

// enrol makes what is in the template.
func (s *simulation) enrol(t *Template) error {
	const who = "operator"
	p, ctx := s.processes[0], acting(context.Background(), who)
	f, err := p.flavor(ctx)
	if err != nil {
		return err
	}
	t.flavor = f
	img, err := p.servedImage(ctx)
	if err != nil {
		return err
	}
	t.image, t.imageSum = img.ID, img.RawSHA512
	for _, pool := range slices.Sorted(maps.Keys(narrow)) {
		if err := p.engine.SetLimit(ctx, pool, "", narrow[pool]); err != nil {
			return err
		}
	}
	for i := range tenants {
		one := project{id: projectID(i)}
		made, err := p.networks.CreateNetworks(ctx, []network.Network{{ProjectID: one.id, Name: "net", AdminUp: true}})
		if err != nil {
			return err
		}
		one.network = made[0]
		sub := network.NewSubnet{Subnet: network.Subnet{NetworkID: made[0].ID, ProjectID: one.id, IPVersion: 4, CIDR: fmt.Sprintf("10.0.%d.0/24", i), DHCP: true}}
		if _, err := p.networks.CreateSubnets(ctx, network.Owner(one.id), []network.NewSubnet{sub}); err != nil {
			return err
		}
		t.projects = append(t.projects, one)
	}
	for _, m := range s.machines {
		n, err := p.nodes.Create(ctx, node.Node{Name: m.name, Driver: "redfish", DriverInfo: map[string]string{"redfish_address": m.address(), "redfish_username": "admin"}}, "secret")
		if err != nil {
			return err
		}
		m.node = string(n.ID)
		t.nodes = append(t.nodes, m.node)
		port := node.Port{NodeID: n.ID, MAC: m.mac, PXE: true, Link: map[string]string{"switch_info": switchName, "port_id": m.name}}
		if _, err := p.nodes.CreatePort(ctx, port); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		verb string
		then node.State
	}{{"manage", node.Manageable}, {"inspect", node.Manageable}, {"provide", node.Available}} {
		for _, m := range s.machines {
			if err := p.nodes.Do(ctx, node.ID(m.node), step.verb); err != nil {
				return err
			}
		}
		for i := 0; !s.allAre(step.then); i++ {
			const most = 360
			if i > most {
				return fault.Errorf(fault.Internal, "the nodes do not become %s", step.then)
			}
			s.sleep(who, 10*time.Second, 10*time.Second)
		}
	}
	return nil
}

func (s *simulation) allAre(want node.State) bool {
	return len(s.query("SELECT 1 FROM node WHERE state <> '"+string(want)+"'")) == 0
}

func (t *Template) path() string { return filepath.Join(t.dir, "hagane.db") }

// copyTo makes a copy of the template's database.
func (t *Template) copyTo(path string) error {
	raw, err := os.ReadFile(t.path())
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

func projectID(i int) string { return fmt.Sprintf("%032x", 0xa0+i) }

// begin makes the simulated world on a database, with its processes.
func (t *Template) begin(o Options, path string) (*simulation, error) {
	s := &simulation{turnstile: newTurnstile(o.Seed, newTrace(o.Trace)), o: o, box: t.box, images: filepath.Join(t.dir, "images"),
		counts: map[string]int{}, owners: map[string]string{}, reboots: map[string]reboot{}, disturbed: time.Now()}
	s.image, s.imageSum, s.flavor = t.image, t.imageSum, t.flavor
	for i := range t.projects {
		s.projects = append(s.projects, &t.projects[i])
	}
	for i, id := range t.nodes {
		m := newMachine(i)
		m.node = id
		m.session = 1 << 10 // what the template's conductors had is over
		s.machines = append(s.machines, m)
	}
	var err error
	if s.store, err = openStore(s.turnstile, path); err != nil {
		return nil, err
	}
	db.SetClock(s.clock)
	s.store.committed = s.afterCommit
	if s.o.Sabotage == NoGivingBack {
		s.store.spoil = keepsSlots
	}
	s.each = s.sample
	s.processes = make([]*process, apis+conductors)
	for i := range s.processes {
		if _, err := s.launch(i, i >= apis); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// How many processes there are.
const (
	apis       = 2
	conductors = 3
)

// end has the people go home and the processes stop, so that run returns.
func (s *simulation) end() {
	s.over = true
	for _, p := range s.processes {
		s.kill(p)
	}
}

// clock is that of the host whose process is at work.
func (s *simulation) clock() time.Time {
	if p := s.current.Load(); p != nil {
		return time.Now().Add(p.skew)
	}
	return time.Now()
}

// finish waits for what is still on its way out.
func (s *simulation) finish() error {
	s.actors.Wait()
	s.running.Wait()
	db.SetClock(time.Now)
	return s.store.close()
}

// flavor makes the one flavor.
func (p *process) flavor(ctx context.Context) (string, error) {
	if err := p.servers.Bootstrap(ctx); err != nil {
		return "", err
	}
	var ids []string
	err := p.db.Read().NewRaw("SELECT id FROM flavor").Scan(ctx, &ids)
	if err != nil || len(ids) == 0 {
		return "", fault.E(fault.Internal, "reading the flavor", err)
	}
	return ids[0], nil
}

// servedImage makes the one image.
func (p *process) servedImage(ctx context.Context) (image.Image, error) {
	img, err := p.images.Create(ctx, "", image.Image{Owner: projectID(0), Name: "system", DiskFormat: "raw", ContainerFormat: "bare", Visibility: image.Public})
	if err != nil {
		return img, err
	}
	data := make([]byte, 64<<10)
	copy(data[510:], "\x55\xaa") // the mark of a partition table
	if err := p.images.Upload(ctx, "", img.ID, bytes.NewReader(data)); err != nil {
		return img, err
	}
	return p.images.Get(ctx, "", img.ID)
}
