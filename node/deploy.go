package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/agent/layout"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/workflow"
)

// Deploy lends a chosen node to owner and starts to make it what d says, in the caller's transaction.
// files are the config drive's.
func (s *Service) Deploy(ctx context.Context, tx db.Tx, id ID, owner string, d Deployment, files map[string][]byte) error {
	return s.deploy(ctx, tx, id, owner, d, files, "deploy")
}

// Redeploy starts to make a node that is lent to owner what d says, anew, in the caller's transaction.
func (s *Service) Redeploy(ctx context.Context, tx db.Tx, id ID, owner string, d Deployment, files map[string][]byte) error {
	return s.deploy(ctx, tx, id, owner, d, files, "rebuild")
}

func (s *Service) deploy(ctx context.Context, tx db.Tx, id ID, owner string, d Deployment, files map[string][]byte, verb string) error {
	n, err := get(ctx, tx, id)
	if err != nil {
		return err
	}
	if n.Owner != owner {
		return fault.Errorf(fault.Conflict, "the node %s is not lent to %s", n.Name, owner)
	}
	if err := s.recordDeployment(ctx, tx, n, d, files); err != nil {
		return err
	}
	return s.enter(ctx, tx, n, verb)
}

// recordDeployment keeps what a node is to become.
func (s *Service) recordDeployment(ctx context.Context, tx db.Tx, n *Node, d Deployment, files map[string][]byte) error {
	raw, err := json.Marshal(files)
	if err != nil {
		return err
	}
	d.NodeID, d.Files = n.ID, s.Box.Seal(filesPlace(n.ID), raw)
	_, err = tx.NewInsert().Model(&d).On("CONFLICT (node_id) DO UPDATE").Set("image_id = EXCLUDED.image_id").Set("image = EXCLUDED.image").
		Set("links = EXCLUDED.links").Set("files = EXCLUDED.files").Set("written = NULL").
		Set("layout = EXCLUDED.layout").Set("laid_out = NULL").Set("standalone = EXCLUDED.standalone").Set("source = EXCLUDED.source").Set("tenant = EXCLUDED.tenant").Exec(ctx)
	return fault.Wrap("recording the deployment", err)
}

// Undeploy takes a node back from its owner: off, cut from its networks, then cleaned. A deployment under way is aborted first.
func (s *Service) Undeploy(ctx context.Context, tx db.Tx, id ID) error {
	n, err := get(ctx, tx, id)
	if err != nil {
		return err
	}
	return s.enter(ctx, tx, n, "undeploy")
}

// Abort asks for the run of a node to be given up, in the caller's transaction.
func (s *Service) Abort(ctx context.Context, tx db.Tx, id ID, why string) error {
	return s.Engine.Abort(ctx, tx, string(id), why)
}

func filesPlace(id ID) string { return "node/" + string(id) + "/files" }

func (j *Job) deployment(ctx context.Context) (*Deployment, error) {
	d := new(Deployment)
	err := j.DB.Read().NewSelect().Model(d).Where("node_id = ?", j.Node.ID).Scan(ctx)
	if db.None(err) {
		return nil, workflow.GiveUp(fault.Errorf(fault.Internal, "nothing is to be deployed on the node"))
	}
	if err != nil {
		return nil, fault.E(fault.Internal, "reading the deployment", err)
	}
	return d, nil
}

// fetchEvery is how often it is looked how far an image is that is being fetched.
const fetchEvery = time.Second

// fetchImage has the image of a deployment fetched that gives it by a URL. Where its checksum is in a file, that is read once.
func fetchImage(ctx context.Context, j *Job) error {
	d, err := j.deployment(ctx)
	if err != nil || d.Source == nil {
		return err
	}
	if strings.Contains(d.Source.Value, "://") {
		source, err := j.Resolve(ctx, *d.Source)
		if err != nil {
			return wrongSource(err)
		}
		d.Source = &source
		if err := j.updateDeployment(ctx, d, "source"); err != nil {
			return err
		}
	}
	got, err := j.Fetch(ctx, *d.Source, j.Run.CreatedAt)
	if err != nil {
		return wrongSource(err)
	}
	if got.Waits != "" {
		return workflow.Polling(got.Waits, fetchEvery)
	}
	d.ImageID, d.Image = got.ImageID, got.Image
	return j.updateDeployment(ctx, d, "image_id", "image")
}

// wrongSource says what to do when an image can not be fetched.
func wrongSource(err error) error {
	if fault.Is(err, fault.Unavailable) {
		return err
	}
	return fault.Wrap("correct what the node's instance_info says of the image and deploy it again", err)
}

func (j *Job) updateDeployment(ctx context.Context, d *Deployment, columns ...string) error {
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model(d).Column(columns...).WherePK().Exec(ctx)
		return err
	})
}

// Deploying returns the ids of the images that nodes are being deployed with.
func (s *Service) Deploying(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.DB.Read().NewSelect().Model((*Deployment)(nil)).ColumnExpr("DISTINCT image_id").Where("image_id <> ''").
		Where("node_id IN (?)", s.In(Deploying, Rebuilding)).Scan(ctx, &ids)
	return ids, fault.Wrap("looking for images that are being deployed", err)
}

// writeImage has the agent stream the image to the root disk.
func writeImage(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return nil
	}
	d, err := j.deployment(ctx)
	if err != nil {
		return err
	}
	hint := j.Node.RootHint
	if d.Standalone {
		if hint, err = j.Node.rootHint(); err != nil {
			return workflow.GiveUp(err)
		}
	}
	root, err := layout.Hint(d.Layout, j.Node.disks(), hint)
	if err != nil {
		return workflow.GiveUp(err)
	}
	res, err := j.order(ctx, "write", "the agent to write the image", func(o *protocol.Order) {
		o.Write = &protocol.Write{
			URL: j.AgentAPI(Provisioning) + "/images/" + d.ImageID, SHA512: d.Image.SHA512, Size: d.Image.Size, Root: root,
		}
	})
	if err != nil {
		return err
	}
	if res == nil || res.Written == nil || res.Written.SHA512 != d.Image.SHA512 {
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "the agent did not prove that it wrote the image: %+v", res))
	}
	if d.Written != nil && *d.Written == *res.Written {
		return nil // recorded by an earlier try of this step
	}
	return j.keepWritten(ctx, res.Written)
}

// keepWritten records how an image was written, and where its bytes came from.
func (j *Job) keepWritten(ctx context.Context, w *protocol.Written) error {
	err := j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Deployment)(nil)).Set("written = ?", w).Where("node_id = ?", j.Node.ID).Exec(ctx)
		if err != nil {
			return err
		}
		return j.note(ctx, tx, j.Node.ID, "image written", told(*w))
	})
	if err == nil && j.Wrote != nil {
		j.Wrote(*w)
	}
	return err
}

// told says how an image was written.
func told(w protocol.Written) string {
	const mib = 1 << 20
	text := fmt.Sprintf("%d MiB to %s in %.1f s", w.Bytes/mib, w.Disk, w.Seconds)
	if w.FromPeers+w.FromStore == 0 {
		return text + ", as a stream from the store"
	}
	return text + fmt.Sprintf(", %.1f MiB from other agents and %.1f MiB from the store", float64(w.FromPeers)/mib, float64(w.FromStore)/mib)
}

// root is the disk that the image was written to.
func (d *Deployment) root(n *Node) protocol.RootHint {
	if d.Written == nil {
		return n.RootHint
	}
	return protocol.RootHint{Name: d.Written.Disk, Serial: d.Written.Serial}
}

// layOutDisks has the agent lay the disks out beside the image, and keeps what it then read from them.
func layOutDisks(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return nil
	}
	d, err := j.deployment(ctx)
	if err != nil || layout.Empty(d.Layout) {
		return err
	}
	res, err := j.order(ctx, "lay-out", "the agent to lay the disks out", func(o *protocol.Order) {
		o.LayOut = &protocol.LayOut{Root: d.root(j.Node), ImageBytes: d.Image.Size, Layout: *d.Layout}
	})
	if err != nil {
		return err
	}
	if res == nil || res.LaidOut == nil {
		return workflow.GiveUp(fault.Errorf(fault.Conflict, "the agent did not read back how the disks are laid out"))
	}
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewUpdate().Model((*Deployment)(nil)).Set("laid_out = ?", jsonOf(res.LaidOut)).Where("node_id = ?", j.Node.ID).Exec(ctx)
		return err
	})
}

// LaidOut returns how the disks of a node are laid out beside the image, as the agent read it back; nil when they are not, or
// not yet.
func (s *Service) LaidOut(ctx context.Context, id ID) (*protocol.Layout, error) {
	d := new(Deployment)
	err := s.DB.Read().NewSelect().Model(d).Column("laid_out").Where("node_id = ?", id).Scan(ctx)
	if db.None(err) {
		return nil, nil
	}
	return d.LaidOut, fault.Wrap("reading the layout", err)
}

// disks are those that were found at the inspection.
func (n *Node) disks() []protocol.Disk {
	if n.Inventory == nil {
		return nil
	}
	return n.Inventory.Disks
}

// writeConfigDrive has the agent put the tenant's metadata beside the image.
func writeConfigDrive(ctx context.Context, j *Job) error {
	if j.imaginary() {
		return nil
	}
	d, err := j.deployment(ctx)
	if err != nil {
		return err
	}
	raw, err := j.Box.Open(filesPlace(j.Node.ID), d.Files)
	if err != nil {
		return err
	}
	var files map[string][]byte
	if err := json.Unmarshal(raw, &files); err != nil {
		return fault.E(fault.Internal, "reading the config drive's files", err)
	}
	_, err = j.order(ctx, "config-drive", "the agent to write the config drive", func(o *protocol.Order) {
		o.ConfigDrive = &protocol.ConfigDrive{Root: d.root(j.Node), Files: files}
	})
	return err
}

// joinTenant plugs the linked ports into the tenant's networks and isolates the others.
func joinTenant(ctx context.Context, j *Job) error {
	d, err := j.deployment(ctx)
	if err != nil {
		return err
	}
	return j.place(ctx, func(p *Port) int {
		for _, l := range d.Links {
			if l.MAC == p.MAC {
				return l.VLAN
			}
		}
		return isolatedVLAN
	})
}

// bootFromDisk starts what was written, now and at every boot from here on.
func bootFromDisk(ctx context.Context, j *Job) error {
	return j.reach(ctx, bmc.On, bmc.PowerOn, func(ctx context.Context, d *bmc.Composed) error {
		alone, err := j.findsDisk(ctx, d)
		if err != nil || alone {
			return err
		}
		err = d.SetBoot(ctx, bmc.Boot{Device: bmc.Disk, Persistent: true, Mode: j.Node.BootMode})
		return fault.Wrap("setting the boot device to the disk", err)
	})
}

// findsDisk reports whether the server is better left to find the new disk by itself. An override that is still there
// was not used up: it would lead elsewhere, and is taken back by the usual call.
func (j *Job) findsDisk(ctx context.Context, d *bmc.Composed) (bool, error) {
	p := d.Profile()
	if p == nil || !p.Boot.FindsDisk {
		return false, nil
	}
	now, err := d.Boot(ctx)
	if err != nil {
		return false, fault.Wrap("reading the boot device", err)
	}
	return now.Device == bmc.None && now.Mode == bmc.UEFI && j.Node.BootMode != bmc.BIOS, nil
}

// forgetTenant drops what was deployed: nothing of the tenant's is kept with a node that goes back. As in Ironic, what the node was
// to be deployed with by an operator goes as well, so that no stale image comes to the next one.
func forgetTenant(ctx context.Context, j *Job) error {
	return j.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if err := forgetConsole(ctx, tx, j.Node); err != nil {
			return err
		}
		alone, err := j.Standalone(ctx, tx, j.Node.ID)
		if err != nil {
			return err
		}
		if alone {
			if _, err := tx.NewUpdate().Model((*Node)(nil)).Set("instance_info = '{}'").Where("id = ?", j.Node.ID).Exec(ctx); err != nil {
				return err
			}
		}
		_, err = tx.NewDelete().Model((*Deployment)(nil)).Where("node_id = ?", j.Node.ID).Exec(ctx)
		return err
	})
}
