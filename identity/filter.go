package identity

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// chosenEndpoint says that an endpoint was chosen for a project's catalog.
type chosenEndpoint struct {
	bun.BaseModel `bun:"table:endpoint_project"`

	EndpointID, ProjectID string
}

// ChooseEndpoint puts an endpoint into a project's own catalog; doing it twice is no error.
func (s *Service) ChooseEndpoint(ctx context.Context, endpoint, project string) error {
	if _, err := s.Endpoint(ctx, endpoint); err != nil {
		return err
	}
	if _, err := s.Project(ctx, project); err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		_, err := tx.NewInsert().Model(&chosenEndpoint{EndpointID: endpoint, ProjectID: project}).On("CONFLICT DO NOTHING").Exec(ctx)
		return err
	})
}

// Chosen reports with a fault whether an endpoint was chosen for a project.
func (s *Service) Chosen(ctx context.Context, endpoint, project string) error {
	n, err := s.db.Read().NewSelect().Model((*chosenEndpoint)(nil)).Where("endpoint_id = ? AND project_id = ?", endpoint, project).Count(ctx)
	if err == nil && n == 0 {
		return fault.Errorf(fault.NotFound, "the endpoint %q was not chosen for the project %q", endpoint, project)
	}
	return fault.Wrap("reading a project's endpoints", err)
}

// DropEndpoint takes an endpoint out of a project's own catalog.
func (s *Service) DropEndpoint(ctx context.Context, endpoint, project string) error {
	return s.change(ctx, func(ctx context.Context, tx db.Tx) error {
		res, err := tx.NewDelete().Model((*chosenEndpoint)(nil)).Where("endpoint_id = ? AND project_id = ?", endpoint, project).Exec(ctx)
		return affected(res, err, "the endpoint %q was not chosen for the project %q", endpoint, project)
	})
}

// EndpointsOf returns the endpoints that were chosen for a project.
func (s *Service) EndpointsOf(ctx context.Context, project string) ([]Endpoint, error) {
	var ids []string
	if err := s.db.Read().NewSelect().Model((*chosenEndpoint)(nil)).Column("endpoint_id").Where("project_id = ?", project).Scan(ctx, &ids); err != nil {
		return nil, fault.Wrap("reading a project's endpoints", err)
	}
	all, err := s.Endpoints(ctx)
	return slices.DeleteFunc(all, func(e Endpoint) bool { return !slices.Contains(ids, e.ID) }), err
}

// ProjectsWith returns the projects that an endpoint was chosen for.
func (s *Service) ProjectsWith(ctx context.Context, endpoint string) ([]Project, error) {
	if _, err := s.Endpoint(ctx, endpoint); err != nil {
		return nil, err
	}
	var ps []Project
	err := selectProjects(s.db.Read(), &ps).Where("project.id IN (SELECT project_id FROM endpoint_project WHERE endpoint_id = ?)", endpoint).OrderExpr("project.name, project.id").Scan(ctx)
	return ps, fault.Wrap("reading an endpoint's projects", err)
}
