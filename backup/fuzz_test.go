package backup

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/db/dbtest"
	"github.com/hagane-cloud/hagane/fault"
)

// archive makes a backup of a manifest and the lines of the table node.
func archive(f interface{ Fatal(...any) }, manifest, lines string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{manifestName: manifest, tablesDir + "node.jsonl": lines} {
		out, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = out.Write([]byte(text))
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	return b.Bytes()
}

// told fails when a damaged backup is told as a defect of ours.
func told(t *testing.T, err error) {
	t.Helper()
	if k := fault.KindOf(err); err != nil && k != fault.Invalid && k != fault.TooLarge && k != fault.Conflict {
		t.Errorf("a damaged backup: kind %v: %v", k, err)
	}
}

// FuzzOpen opens whatever file, and unpacks the files that it says it has: none lands outside the data folder.
func FuzzOpen(f *testing.F) {
	good := archive(f, `{"format":1,"schema":1,"tables":{"node":1},"files":["tables/../x"]}`, `["id"]`)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(archive(f, `{"format":2}`, ``))
	f.Add(archive(f, `[`, ``))
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{manifestName: `{"format":1,"files":["../escaped","a/b","/etc/x"]}`, filesDir + "../escaped": "x", filesDir + "a/b": "y", filesDir + "/etc/x": "z"} {
		out, err := z.Create(name)
		if err == nil {
			_, err = out.Write([]byte(text))
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "backup")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(path)
		told(t, err)
		if err != nil {
			return
		}
		to := filepath.Join(dir, "data")
		if err := os.Mkdir(to, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = b.Unpack(to)
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
			t.Errorf("beside the data folder and the backup there is %v, %v", names, err)
		}
	})
}

var errRolledBack = errors.New("rolled back")

// FuzzRestore loads whatever lines into a table: what does not fit is refused as Invalid.
func FuzzRestore(f *testing.F) {
	for _, lines := range []string{"[\"id\",\"name\"]\n[\"a\",\"b\"]\n", "[\"id\"]\n[{\"bytes\":\"%\"}]\n", "[\"id\",\"created_at\"]\n[1,{\"time\":\"x\"}]\n", "[\"id\"]\n[1,2]\n", "[]\n[]\n", "[\"id\",\"id\"]\n", "[\"colour\"]\n", "{}", "", "[\"id\"]\n[[[[[[\n",
		"[\"id\",\"maintenance\"]\n[\"x\",7]\n", "[\"id\",\"revision\"]\n[\"x\",1e99]\n"} {
		f.Add(lines, int64(1))
	}
	d := dbtest.SQLite(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, lines string, rows int64) {
		path := filepath.Join(dir, "backup")
		if err := os.WriteFile(path, archive(t, `{"format":1}`, lines), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b.Tables = map[string]int64{"node": rows}
		err = d.Tx(context.Background(), func(ctx context.Context, tx db.Tx) error {
			if err := b.load(ctx, d, tx); err != nil {
				return err
			}
			return errRolledBack
		})
		if !errors.Is(err, errRolledBack) {
			told(t, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestLargeRow loads a row that a small file says is larger than any is: it is refused before memory is full of it.
func TestLargeRow(t *testing.T) {
	row, err := io.ReadAll(&limited{io.LimitReader(endless{}, 1000), 10})
	if len(row) != 10 || !fault.Is(err, fault.TooLarge) {
		t.Errorf("%d bytes, %v", len(row), err)
	}
	dec := json.NewDecoder(&limited{endless{}, rowMost})
	var v []json.RawMessage
	if err := dec.Decode(&v); !fault.Is(err, fault.TooLarge) {
		t.Errorf("an endless row: %v", err)
	}
}

// endless is made of spaces.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
