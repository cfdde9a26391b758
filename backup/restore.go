package backup

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
)

// File is an open backup.
type File struct {
	Manifest
	zip *zip.ReadCloser
}

// Open opens a backup. A file that is not whole is refused: its list of contents is at its end.
func Open(path string) (*File, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fault.E(fault.Invalid, path+" is no whole backup", err)
	}
	f := &File{zip: z}
	in, err := z.Open(manifestName)
	if err == nil {
		err = errors.Join(json.NewDecoder(&limited{in, manifestMost}).Decode(&f.Manifest), in.Close())
	}
	if err != nil {
		return nil, errors.Join(fault.E(fault.Invalid, path+" is no backup: it has no list of its contents", err), z.Close())
	}
	if f.Format != format {
		return nil, errors.Join(fault.Errorf(fault.Invalid, "%s is of the format %d; this version reads %d", path, f.Format, format), z.Close())
	}
	return f, nil
}

// Close closes the file.
func (f *File) Close() error { return f.zip.Close() }

// Restore makes the database at dsn, which must be empty, what the backup says, and brings it to this program's schema. then is done
// in the same transaction, with the records as they were.
func (f *File) Restore(ctx context.Context, dsn string, then func(ctx context.Context, tx db.Tx) error) (*db.DB, error) {
	d, err := db.OpenAt(ctx, dsn, f.Schema)
	if err != nil {
		return nil, err
	}
	if err := d.Tx(ctx, func(ctx context.Context, tx db.Tx) error { return f.load(ctx, d, tx) }); err != nil {
		d.Close()
		return nil, err
	}
	if err := d.Upgrade(ctx); err != nil {
		d.Close()
		return nil, err
	}
	if err := d.Tx(ctx, then); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (f *File) load(ctx context.Context, d *db.DB, tx db.Tx) error {
	tables, err := d.Tables(ctx, tx)
	if err != nil {
		return err
	}
	for _, name := range []string{"node", "account", "server", "image"} {
		var n int
		if err := tx.NewRaw("SELECT count(*) FROM "+quoted(name)).Scan(ctx, &n); err != nil {
			return fault.E(fault.Internal, "counting what is there", err)
		}
		if n > 0 {
			return fault.Errorf(fault.Conflict, "the database is in use: its table %s has %d rows; restore into an empty one", name, n)
		}
	}
	// What the schema itself brings along stands in the backup too.
	for i := len(tables) - 1; i >= 0; i-- {
		if _, ok := f.Tables[tables[i].Name]; ok {
			if _, err := tx.NewRaw("DELETE FROM " + quoted(tables[i].Name)).Exec(ctx); err != nil {
				return fault.E(fault.Internal, "clearing "+tables[i].Name, err)
			}
		}
	}
	loaded := map[string]bool{}
	for _, t := range tables { // those first that others refer to
		if _, ok := f.Tables[t.Name]; !ok {
			continue
		}
		n, err := f.table(ctx, tx, t)
		if err != nil {
			return fault.Wrap("loading the table "+t.Name, err)
		}
		if n != f.Tables[t.Name] {
			return fault.Errorf(fault.Invalid, "the backup has %d rows of %s and says %d: it is damaged", n, t.Name, f.Tables[t.Name])
		}
		loaded[t.Name] = true
	}
	for name := range f.Tables {
		if !loaded[name] {
			return fault.Errorf(fault.Invalid, "the backup has a table %s that the schema %d does not have", name, f.Schema)
		}
	}
	return nil
}

// How long the list of contents and a row may be: a file of a few bytes can say that it has many.
const (
	manifestMost = 64 << 20
	rowMost      = 256 << 20
)

// limited reads no more than what is left.
type limited struct {
	io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fault.Errorf(fault.TooLarge, "more than a backup has in one piece")
	}
	n, err := l.Reader.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// batch is how many rows are inserted at once.
const batch = 100

func (f *File) table(ctx context.Context, tx db.Tx, t db.Table) (n int64, err error) {
	in, err := f.zip.Open(tablesDir + t.Name + ".jsonl")
	if err != nil {
		return 0, fault.E(fault.Invalid, "it is not in the backup", err)
	}
	defer func() { _ = in.Close() }()
	lim := &limited{bufio.NewReader(in), rowMost}
	dec := json.NewDecoder(lim)
	var names []string
	if err := dec.Decode(&names); err != nil {
		return 0, fault.E(fault.Invalid, "the backup is damaged", err)
	}
	columns := make([]db.Column, len(names))
	quotedNames := make([]string, len(names))
	for i, name := range names {
		c, ok := t.Column(name)
		if !ok {
			return 0, fault.Errorf(fault.Invalid, "the schema has no column %s", name)
		}
		columns[i], quotedNames[i] = c, quoted(name)
	}
	insert := "INSERT INTO " + quoted(t.Name) + " (" + strings.Join(quotedNames, ", ") + ") VALUES "
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + "), "
	var values []any // of the rows that wait
	flush := func() error {
		if len(values) == 0 {
			return nil
		}
		_, err := tx.NewRaw(insert+strings.TrimSuffix(strings.Repeat(row, len(values)/len(columns)), ", "), values...).Exec(ctx)
		values = values[:0]
		if db.Unfit(err) {
			return fault.E(fault.Invalid, "the backup is damaged: a row has no place in the schema", err)
		}
		if err != nil {
			return fault.E(fault.Internal, "inserting", err)
		}
		return nil
	}
	for {
		var line []json.RawMessage
		lim.left = rowMost
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			return n, flush()
		} else if err != nil || len(line) != len(columns) {
			return n, fault.E(fault.Invalid, "the backup is damaged", err)
		}
		for i, raw := range line {
			v, err := native(raw, columns[i])
			if err != nil {
				return n, err
			}
			values = append(values, v)
		}
		if n++; n%batch == 0 {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
}

// Unpack puts the backup's files into a data folder, where none of them may be yet.
func (f *File) Unpack(data string) error {
	root, err := os.OpenRoot(data)
	if err != nil {
		return fault.E(fault.Invalid, "opening the data folder", err)
	}
	defer func() { _ = root.Close() }()
	for _, name := range f.Files {
		if err := f.unpack(root, name); err != nil {
			return fault.Wrap("unpacking "+name, err)
		}
	}
	return nil
}

func (f *File) unpack(root *os.Root, name string) error {
	in, err := f.zip.Open(filesDir + name)
	if err != nil {
		return fault.E(fault.Invalid, "it is not in the backup", err)
	}
	defer func() { _ = in.Close() }()
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fault.E(fault.Internal, "making its folder", err)
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fault.Errorf(fault.Conflict, "the data folder has a file of that name; restore into an empty one")
	}
	if err != nil {
		return fault.E(fault.Internal, "making it", err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
