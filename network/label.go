package network

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// labelledNouns are the nouns with labels, by the names of their collections.
var labelledNouns = map[string]*noun{"networks": networkNoun, "subnets": subnetNoun, "ports": portNoun, "subnetpools": poolNoun, "security-groups": groupNoun,
	"routers": routerNoun, "floatingips": floatingNoun}

// Bounds of labels.
const (
	mostLabels  = 50
	longestName = 255
)

// taggedOnce refuses ECL2.0's tags on what has labels and the other way round: one answer can show one of them.
func taggedOnce(tags map[string]string, labels Labels) error {
	if len(tags) > 0 && len(labels) > 0 {
		return reason("TagConflict", fault.Errorf(fault.Conflict, "it has tags of the other kind, key and value or words; take those away first"))
	}
	return nil
}

// labelRow is the part of a row that has labels.
type labelRow struct {
	ID, ProjectID string
	Tags          map[string]string
	Labels        Labels
	Revision      int64
}

func readLabels(ctx context.Context, q bun.IDB, collection string, o Owner, id string) (*noun, labelRow, error) {
	var row labelRow
	n, known := labelledNouns[collection]
	if !known {
		return nil, row, fault.Errorf(fault.NotFound, "%s have no tags", collection)
	}
	err := n.visible(q.NewSelect().Model(&row).ModelTableExpr("?", bun.Ident(n.table)).ColumnExpr("id, project_id, tags, labels, revision").Where("id = ?", id), o).Scan(ctx)
	if db.None(err) {
		return n, row, reason("TagResourceNotFound", fault.Errorf(fault.NotFound, "no %s %s", n.name, id))
	}
	return n, row, fault.Wrap("reading tags", err)
}

// Labels returns the labels of a thing of a collection that owner may see.
func (s *Service) Labels(ctx context.Context, collection string, o Owner, id string) (Labels, error) {
	_, row, err := readLabels(ctx, s.DB.Read(), collection, o, id)
	return row.Labels, err
}

// EditLabels lets fn change the labels of a thing of the owner.
func (s *Service) EditLabels(ctx context.Context, collection string, o Owner, id string, fn func(Labels) (Labels, error)) (Labels, error) {
	var labels Labels
	err := s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) error {
		n, row, err := readLabels(ctx, tx, collection, o, id)
		if err != nil {
			return err
		}
		if err := lock(ctx, tx, n, id); err != nil {
			return err
		}
		if n, row, err = readLabels(ctx, tx, collection, o, id); err != nil { // as it is under the lock
			return err
		}
		if o != "" && row.ProjectID != string(o) {
			return fault.Errorf(fault.Denied, "the %s belongs to another project", n.name)
		}
		if labels, err = fn(row.Labels); err != nil {
			return err
		}
		if labels, err = NewLabels(labels); err != nil {
			return err
		}
		if err := taggedOnce(row.Tags, labels); err != nil {
			return err
		}
		_, err = tx.NewRaw("UPDATE ? SET labels = ?, revision = revision + 1, updated_at = ? WHERE id = ?", bun.Ident(n.table), labels, db.Now(), id).Exec(ctx)
		return err
	})
	return labels, err
}

// NewLabels returns words in order, each once, or an Invalid fault for one that can not be a label.
func NewLabels(labels []string) (Labels, error) {
	out := distinct(labels)
	if len(out) > mostLabels {
		return nil, fault.Field("tags", "at most %d tags", mostLabels)
	}
	for _, l := range out {
		if l == "" || len(l) > longestName || strings.Contains(l, ",") {
			return nil, fault.Field("tags", "%q is no tag: 1 to %d bytes without a comma", l, longestName)
		}
	}
	return out, nil
}
