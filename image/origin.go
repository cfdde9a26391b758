package image

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Origin is where an image comes from that is fetched to deploy nodes from, and what its data are proven by.
type Origin struct {
	URL    string // of http or https
	Digest        // of the data as they lie there
	Format string // raw or qcow2; "" is told by the data
	Inside bool   // whether it may lie at private addresses, at any port
}

// Check reports what is wrong with an origin. Its digest's value may be the URL of a file of checksums.
func (o Origin) Check() error {
	if _, err := parseURI(o.URL); err != nil {
		return err
	}
	if o.Format != "" && !onDisks(o.Format) {
		return fault.Field("disk_format", "%.40q can not be written to a disk; possible: raw, qcow2", o.Format)
	}
	if o.Listed() {
		_, err := parseURI(o.Value)
		return err
	}
	return o.Digest.named().check()
}

// String is the URL without what may be secret in it.
func (o Origin) String() string {
	u, err := url.Parse(o.URL)
	if err != nil {
		return "a URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// fetched is the owner of images that were fetched to deploy nodes from: no project has this id, so no tenant sees them.
const fetched = "hagane"

// KeepUnused is how long a fetched image is kept after a deployment last asked for it.
const KeepUnused = 72 * time.Hour

// origin is an origin as it is kept, by its image.
type origin struct {
	bun.BaseModel `bun:"table:image_origin"`

	ImageID string `bun:",pk"`
	URL     string
	Algo    string
	Value   string
	Format  string
	Inside  bool
	UsedAt  time.Time
}

func (o origin) digest() *Digest { return &Digest{o.Algo, o.Value} }

// Fetch returns the image of an origin whose digest is no list, and what it still waits for: "" when it is there in full. One that
// is not there yet is fetched in the background. A failure of a fetch that began after since is returned once for all who wait
// for it; whoever began to wait later has it tried anew. Unavailable is worth trying again without a change.
func (s *Service) Fetch(ctx context.Context, from Origin, since time.Time) (i Image, waits string, err error) {
	if err := from.Check(); err != nil {
		return i, "", err
	}
	o, err := s.known(ctx, from)
	if err != nil {
		return i, "", err
	}
	if i, err = s.Get(ctx, "", o.ImageID); err != nil {
		return i, "", err
	}
	switch i.Status {
	case Active, Deactivated:
		err := s.Usable(i)
		if i.Status == Active && fault.Is(err, fault.Conflict) { // its data are lost
			return i, "the image to be fetched anew", s.Delete(ctx, "", i.ID)
		}
		return i, "", fault.Wrap("the image at "+from.String(), err)
	case Queued:
		return i, "the image to be fetched", s.fetchAgain(ctx, i, from, since)
	}
	ts, err := s.Tasks(ctx, TaskQuery{ImageID: i.ID, Limit: 1})
	if err != nil || len(ts) == 0 {
		return i, "the image to be fetched", err
	}
	return i, fmt.Sprintf("the image to be fetched (%d MiB so far)", ts[0].Fetched/mib), nil
}

// known returns what is kept of an origin, and notes that it is used. One that is new gets an image without data.
func (s *Service) known(ctx context.Context, from Origin) (origin, error) {
	d := from.Digest.named()
	o := origin{ImageID: uuid.NewString(), URL: from.URL, Algo: d.Algo, Value: d.Value, Format: from.Format, Inside: from.Inside}
	i := Image{ID: o.ImageID, Owner: fetched, Name: from.name(), DiskFormat: cmp.Or(from.Format, "raw"), ContainerFormat: "bare", Visibility: Private, Hidden: true,
		Tags: Tags{}, Properties: Properties{}, Status: Queued}
	o.UsedAt = db.Now()
	i.CreatedAt, i.UpdatedAt = o.UsedAt, o.UsedAt
	err := s.use(ctx, &o)
	if !db.None(err) {
		return o, err
	}
	err = s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := tx.NewInsert().Model(&i).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&o).Exec(ctx)
		return err
	})
	if db.Duplicate(err) { // somebody else was faster
		err = s.use(ctx, &o)
	}
	return o, err
}

// useEvery is how exactly it is known when an image was last used.
const useEvery = time.Minute

// use reads what is kept of an origin, and notes that it is used.
func (s *Service) use(ctx context.Context, o *origin) error {
	var have origin
	err := s.DB.Read().NewSelect().Model(&have).Where("url = ? AND algo = ? AND value = ? AND format = ? AND inside = ?", o.URL, o.Algo, o.Value, o.Format, o.Inside).Scan(ctx)
	if err != nil {
		return err
	}
	*o = have
	if db.Since(o.UsedAt) < useEvery {
		return nil
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		o.UsedAt = db.Now()
		_, err := tx.NewUpdate().Model(o).Column("used_at").WherePK().Exec(ctx)
		return err
	})
}

// name is what an image of an origin is called.
func (o Origin) name() string {
	u, err := url.Parse(o.URL)
	if err != nil {
		return ""
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" || !isText(name, MaxText) {
		name = u.Host
	}
	return name
}

// fetchAgain has a queued image fetched, unless that failed for good after since.
func (s *Service) fetchAgain(ctx context.Context, i Image, from Origin, since time.Time) error {
	ts, err := s.Tasks(ctx, TaskQuery{ImageID: i.ID, Limit: 1})
	if err != nil {
		return err
	}
	var failure error
	if i.Failed && len(ts) > 0 && !ts[0].CreatedAt.Before(since) {
		kind := fault.Invalid
		if ts[0].Passing {
			kind = fault.Unavailable
		}
		failure = fault.Errorf(kind, "the image at %s could not be fetched: %s", from, ts[0].Message)
	}
	if fault.Is(failure, fault.Invalid) {
		return failure
	}
	_, err = s.Import(ctx, "", i.ID, Import{Type: TypeNewImport, Method: WebDownload, URI: from.URL, UserName: fetched})
	if fault.Is(err, fault.Conflict) { // somebody else was faster
		err = nil
	}
	return cmp.Or(err, failure)
}

// originOf returns where an image was fetched from; nil when it is none that was.
func (s *Service) originOf(ctx context.Context, id string) (*origin, error) {
	o := new(origin)
	err := s.DB.Read().NewSelect().Model(o).Where("image_id = ?", id).Scan(ctx)
	if db.None(err) {
		return nil, nil
	}
	return o, fault.Wrap("reading where the image comes from", err)
}

// unused returns the ids of fetched images that no deployment has asked for since KeepUnused.
func (s *Service) unused(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.DB.Read().NewSelect().Model((*origin)(nil)).Column("image_id").Where("used_at < ?", db.Now().Add(-KeepUnused)).Order("image_id").Scan(ctx, &ids)
	return ids, fault.Wrap("looking for images that are not used any more", err)
}

// DropUnused deletes the fetched images that have not been used for long, but for those that are being deployed. It is a
// reconciler's.
func (s *Service) DropUnused(ctx context.Context, deploying []string) error {
	ids, err := s.unused(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if slices.Contains(deploying, id) {
			continue
		}
		if err := s.Delete(ctx, "", id); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}
