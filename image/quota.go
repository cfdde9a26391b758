package image

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// What is limited a project, with the names that Glance registers them by at the identity service.
const (
	SizeTotal      = "image_size_total"      // MiB of all images' data as uploaded
	StageTotal     = "image_stage_total"     // MiB that wait to be imported
	CountTotal     = "image_count_total"     // images
	CountUploading = "image_count_uploading" // images whose data are being uploaded, staged or imported
)

// Resources are all that is limited.
var Resources = []string{SizeTotal, StageTotal, CountTotal, CountUploading}

// Unlimited is a limit that bounds nothing.
const Unlimited = -1

const mib = 1 << 20

// Usage is how much of a resource a project may have and has.
type Usage struct{ Limit, Used int64 }

// share is what a project may have.
type share struct {
	project string
	limits  map[string]int64
}

func (s *Service) share(ctx context.Context, project string) (share, error) {
	sh := share{project, map[string]int64{}}
	if s.Limits == nil || project == fetched {
		return sh, nil
	}
	var err error
	sh.limits, err = s.Limits(ctx, project)
	return sh, fault.Wrap("reading the project's limits", err)
}

// limit returns a resource's limit.
func (sh share) limit(resource string) int64 {
	if n, ok := sh.limits[resource]; ok {
		return n
	}
	return Unlimited
}

// measures say in SQL how much of a resource images use; sizes in bytes.
var measures = map[string]string{
	SizeTotal:      "COALESCE(SUM(size), 0)",
	StageTotal:     "COALESCE(SUM(staged), 0)",
	CountTotal:     "COUNT(*)",
	CountUploading: "COALESCE(SUM(CASE WHEN status IN ('saving', 'uploading', 'importing') THEN 1 ELSE 0 END), 0)",
}

// lock keeps others from taking of the project's share until the transaction ends, so that no two share what is left.
func (sh share) lock(ctx context.Context, tx db.Tx) error {
	if len(sh.limits) == 0 {
		return nil
	}
	return lock(ctx, tx, "project "+sh.project)
}

func (sh share) used(ctx context.Context, q bun.IDB, resource string) (int64, error) {
	var n int64
	err := q.NewSelect().Model((*Image)(nil)).ColumnExpr(measures[resource]).Where("owner = ?", sh.project).Scan(ctx, &n)
	return n, fault.Wrap("measuring what the project uses", err)
}

// another locks the share and takes one of what is counted, or is TooLarge.
func (sh share) another(ctx context.Context, tx db.Tx, resource string) error {
	most := sh.limit(resource)
	if err := sh.lock(ctx, tx); err != nil || most == Unlimited {
		return err
	}
	n, err := sh.used(ctx, tx, resource)
	if err == nil && n >= most {
		err = sh.tooMuch(resource)
	}
	return err
}

// room returns how many bytes the project may still bring for a state under way, or is TooLarge when there are none left.
func (sh share) room(ctx context.Context, q bun.IDB, under Status) (int64, error) {
	most := int64(maxImage)
	resources := []string{SizeTotal}
	if under == Uploading || under == Importing {
		resources = append(resources, StageTotal)
	}
	for _, resource := range resources {
		limit := sh.limit(resource)
		if limit == Unlimited || limit > maxImage/mib {
			continue
		}
		n, err := sh.used(ctx, q, resource)
		if err != nil {
			return 0, err
		}
		if most = min(most, limit*mib-n); most <= 0 {
			return 0, sh.tooMuch(resource)
		}
	}
	return most, nil
}

func (sh share) tooMuch(resource string) error {
	return fault.Errorf(fault.TooLarge, "Quota exceeded: the project's limit of %s is %d; delete images, or ask the operator for more", resource, sh.limit(resource))
}

// Usage returns by resource what a project may have and has; sizes in MiB, begun ones counted.
func (s *Service) Usage(ctx context.Context, project string) (map[string]Usage, error) {
	sh, err := s.share(ctx, project)
	if err != nil {
		return nil, err
	}
	out := map[string]Usage{}
	for _, resource := range Resources {
		n, err := sh.used(ctx, s.DB.Read(), resource)
		if err != nil {
			return nil, err
		}
		if resource == SizeTotal || resource == StageTotal {
			n = (n + mib - 1) / mib
		}
		out[resource] = Usage{sh.limit(resource), n}
	}
	return out, nil
}
