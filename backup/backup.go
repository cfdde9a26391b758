// Package backup writes the whole of a cloud's records into one file while the cloud runs, and makes a cloud of such a file again:
// on the same engine or the other one. A file is a ZIP archive: manifest.json, a file of JSON lines for each table, and the files of
// the data folder that the records are worth nothing without. It knows no noun: tables are found by asking the database.
package backup

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// Manifest says what a backup holds.
type Manifest struct {
	Format  int              `json:"format"`
	Version string           `json:"version"` // of the program that wrote it
	Schema  int64            `json:"schema"`
	Engine  string           `json:"engine"` // sqlite or postgresql
	At      time.Time        `json:"at"`     // everything is as it was at this moment
	Tables  map[string]int64 `json:"tables"` // rows
	Files   []string         `json:"files"`  // of the data folder
}

// format is the version of what stands in a file.
const format = 1

// The names of what is in a file.
const (
	manifestName = "manifest.json"
	tablesDir    = "tables/"
	filesDir     = "data/"
)

// passing are tables that mean nothing to another process: who works on what just now. The queue's are made anew from the runs.
func passing(table string) bool {
	return table == "lease" || table == "conductor" || strings.HasPrefix(table, "river_") || strings.HasPrefix(table, "goose_") || strings.HasPrefix(table, "sqlite_")
}

// kept are the files and folders of the data folder that belong to the records.
var kept = []string{"secret.key", "certificates", "profiles", "clouds.yaml", "openrc"}

// images is the folder of the images' data.
const images = "images/data"

// Options say what goes into a backup.
type Options struct {
	Data    string // the data folder
	Version string // of the program
	Images  bool   // the images' data too
}

// Write writes a backup of a database that may be in use.
func Write(ctx context.Context, d *db.DB, o Options, w io.Writer) (Manifest, error) {
	m := Manifest{Format: format, Version: o.Version, Engine: engine(d), Tables: map[string]int64{}, Files: []string{}}
	z := zip.NewWriter(w)
	err := d.Snapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		m.At = db.Now()
		var err error
		if m.Schema, err = d.Schema(ctx); err != nil {
			return err
		}
		tables, err := d.Tables(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if passing(t.Name) {
				continue
			}
			out, err := z.Create(tablesDir + t.Name + ".jsonl")
			if err != nil {
				return err
			}
			if m.Tables[t.Name], err = writeTable(ctx, tx, t.Name, out); err != nil {
				return fault.Wrap("writing the table "+t.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		return m, err
	}
	// After the records: an image that came since is one too many, and none is missing.
	paths := kept
	if o.Images {
		paths = append(slices.Clone(kept), images)
	}
	if m.Files, err = writeFiles(z, o.Data, paths); err != nil {
		return m, err
	}
	out, err := z.Create(manifestName)
	if err != nil {
		return m, err
	}
	if err := json.NewEncoder(out).Encode(m); err != nil {
		return m, err
	}
	return m, z.Close()
}

func engine(d *db.DB) string {
	if d.Postgres() {
		return "postgresql"
	}
	return "sqlite"
}

// writeTable writes the names of a table's columns, and its rows.
func writeTable(ctx context.Context, tx bun.Tx, table string, out io.Writer) (n int64, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT * FROM "+quoted(table))
	if err != nil {
		return 0, fault.E(fault.Internal, "reading", err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	enc := json.NewEncoder(out)
	if err := enc.Encode(columns); err != nil {
		return 0, err
	}
	values, to := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	line := make([]any, len(columns))
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return n, fault.E(fault.Internal, "reading", err)
		}
		for i, v := range values {
			line[i] = portable(v)
		}
		if err := enc.Encode(line); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

func quoted(name string) string { return `"` + name + `"` }

// writeFiles adds files and folders of the data folder; those that do not exist are passed over.
func writeFiles(z *zip.Writer, data string, paths []string) ([]string, error) {
	var names []string
	for _, p := range paths {
		err := filepath.WalkDir(filepath.Join(data, p), func(path string, entry os.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // it was never there, or was deleted just now
			}
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			name, err := filepath.Rel(data, path)
			if err != nil {
				return err
			}
			names = append(names, filepath.ToSlash(name))
			return addFile(z, path, filesDir+filepath.ToSlash(name))
		})
		if err != nil {
			return nil, fault.E(fault.Internal, "reading "+filepath.Join(data, p), err)
		}
	}
	return names, nil
}

func addFile(z *zip.Writer, path, name string) error {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	if strings.HasPrefix(name, filesDir+images) {
		h.Method = zip.Store // large, and often compressed
	}
	out, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, bufio.NewReader(f))
	return err
}
