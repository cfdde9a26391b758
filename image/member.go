package image

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Member is a project that an image is shared with.
type Member struct {
	bun.BaseModel `bun:"table:image_member"`

	ImageID, MemberID    string
	Status               string // whether the member has the image in its lists
	CreatedAt, UpdatedAt time.Time
}

// Statuses of members.
const (
	Pending  = "pending" // not answered yet
	Accepted = "accepted"
	Rejected = "rejected"
)

// MemberStatuses are all statuses of members.
var MemberStatuses = []string{Pending, Accepted, Rejected}

// shareable refuses images that have no members.
func shareable(i Image) error {
	if i.Visibility != Shared {
		return fault.Errorf(fault.Denied, "Only shared images have members; the image is %s.", i.Visibility)
	}
	return nil
}

// AddMember shares an image of a project with another one, which may use it at once, and has it in its lists when it
// has accepted. TooLarge when it is shared with too many.
func (s *Service) AddMember(ctx context.Context, project, id, member string) (Member, error) {
	m := Member{ImageID: id, MemberID: member, Status: Pending, CreatedAt: db.Now(), UpdatedAt: db.Now()}
	if member == "" || !isText(member, MaxText) {
		return m, fault.Field("member", "must be a project's id")
	}
	return m, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		i, err := own(ctx, tx, project, id)
		if err != nil {
			return err
		}
		if err := shareable(i); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*Member)(nil)).Where("image_id = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if n >= MaxWords {
			return fault.Errorf(fault.TooLarge, "an image is shared with at most %d projects", MaxWords)
		}
		_, err = tx.NewInsert().Model(&m).Exec(ctx)
		if db.Duplicate(err) {
			return fault.Errorf(fault.Conflict, "the image is shared with the project %s already", member)
		}
		return err
	})
}

// Members returns whom an image is shared with. Its owner and operators (project "") see all, a member itself only.
func (s *Service) Members(ctx context.Context, project, id string) ([]Member, error) {
	ms := []Member{}
	i, err := s.Get(ctx, project, id)
	if err != nil {
		return nil, err
	}
	if err := shareable(i); err != nil {
		return nil, err
	}
	q := s.DB.Read().NewSelect().Model(&ms).Where("image_id = ?", id).OrderExpr("created_at, member_id")
	if project != "" && i.Owner != project {
		q = q.Where("member_id = ?", project)
	}
	return ms, fault.Wrap("listing members", q.Scan(ctx))
}

// Member returns one that a project may see.
func (s *Service) Member(ctx context.Context, project, id, member string) (Member, error) {
	ms, err := s.Members(ctx, project, id)
	if err != nil {
		return Member{}, err
	}
	for _, m := range ms {
		if m.MemberID == member {
			return m, nil
		}
	}
	return Member{}, noMember(id, member)
}

func noMember(id, member string) error {
	return fault.Errorf(fault.NotFound, "%.64s not found in the member list of the image %s.", member, id)
}

// SetMember accepts or rejects an image for a member; only that member may, or an operator (project "").
func (s *Service) SetMember(ctx context.Context, project, id, member, status string) (Member, error) {
	if !slices.Contains(MemberStatuses, status) {
		return Member{}, fault.Field("status", "must be pending, accepted or rejected")
	}
	m, err := s.Member(ctx, project, id, member)
	if err != nil {
		return m, err
	}
	if project != "" && member != project {
		return m, fault.Errorf(fault.Denied, "only the project that the image is shared with accepts or rejects it")
	}
	m.Status, m.UpdatedAt = status, db.Now()
	return m, s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewUpdate().Model(&m).Column("status", "updated_at").Where("image_id = ?", id).Where("member_id = ?", member).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return noMember(id, member)
		}
		return nil
	})
}

// RemoveMember ends the sharing of a project's image with another one.
func (s *Service) RemoveMember(ctx context.Context, project, id, member string) error {
	if _, err := s.Member(ctx, project, id, member); err != nil {
		return err
	}
	return s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		if _, err := own(ctx, tx, project, id); err != nil {
			return err
		}
		res, err := tx.NewDelete().Model((*Member)(nil)).Where("image_id = ?", id).Where("member_id = ?", member).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return noMember(id, member)
		}
		return nil
	})
}
