package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hagane-cloud/hagane/backup"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/node"
	"github.com/hagane-cloud/hagane/workflow"
)

// recordsFlags are where a cloud's records are.
type recordsFlags struct{ data, database string }

func (f *recordsFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.data, "data", "data", "folder of the database, keys and images")
	c.Flags().StringVar(&f.database, "database", os.Getenv(envDatabase), "postgres://…, or in "+envDatabase+" (default: SQLite in the data folder)")
}

func (f *recordsFlags) dsn() string {
	if f.database != "" {
		return f.database
	}
	return "sqlite:" + filepath.Join(f.data, "hagane.db")
}

func backupCommand() *cobra.Command {
	var f recordsFlags
	o := backup.Options{Version: version}
	c := &cobra.Command{Use: "backup FILE", Short: "write all records and keys into a file, while the cloud runs; whoever has the file has the keys",
		Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Stat(filepath.Join(f.data, "hagane.db")); f.database == "" && err != nil {
				return fault.Errorf(fault.NotFound, "there is no database in %s; say where it is with --data or --database", f.data)
			}
			o.Data = f.data
			m, err := writeBackup(cmd.Context(), f.dsn(), o, args[0])
			if err != nil {
				return err
			}
			rows := int64(0)
			for _, n := range m.Tables {
				rows += n
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d rows of %d tables and %d files, as of %s\n", args[0], rows, len(m.Tables), len(m.Files), m.At.Format("2006-01-02T15:04:05Z07:00"))
			return nil
		}}
	f.add(c)
	c.Flags().BoolVar(&o.Images, "images", false, "the images' data too, and not their records alone")
	return c
}

// writeBackup writes a backup beside its place first, so that one that broke off is never taken for a whole one.
func writeBackup(ctx context.Context, dsn string, o backup.Options, path string) (m backup.Manifest, err error) {
	d, err := db.Open(ctx, dsn)
	if err != nil {
		return m, err
	}
	defer d.Close()
	part := path + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return m, fault.E(fault.Invalid, "writing the backup", err)
	}
	m, err = backup.Write(ctx, d, o, out)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return m, errors.Join(err, os.Remove(part))
	}
	return m, os.Rename(part, path)
}

func restoreCommand() *cobra.Command {
	var f recordsFlags
	c := &cobra.Command{Use: "restore FILE", Short: "make a cloud of a backup, in an empty data folder and database; nodes are compared with what is so before anything is done with them",
		Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			b, err := backup.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = b.Close() }()
			if err := restore(cmd.Context(), b, f); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "restored as of %s; start hagane serve: each node is held until its power and switch ports were found as recorded (hagane why NODE tells)\n",
				b.At.Format("2006-01-02T15:04:05Z07:00"))
			return nil
		}}
	f.add(c)
	return c
}

func restore(ctx context.Context, b *backup.File, f recordsFlags) error {
	if err := os.MkdirAll(f.data, 0o700); err != nil {
		return fault.E(fault.Internal, "making the data folder", err)
	}
	unlock, err := lockData(f.data)
	if err != nil {
		return err
	}
	defer unlock()
	if err := b.Unpack(f.data); err != nil {
		return err
	}
	d, err := b.Restore(ctx, f.dsn(), func(ctx context.Context, tx db.Tx) error { return node.MarkRestored(ctx, tx, b.At) })
	if err != nil {
		return err
	}
	d.Close()
	return nil
}

func moveCommand() *cobra.Command {
	var data, to string
	c := &cobra.Command{Use: "move --to postgres://…", Short: "move a stopped cloud from SQLite to PostgreSQL; nothing is lost, and the SQLite file stays as it is",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := move(cmd.Context(), data, to)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d rows moved; from now on: hagane serve --data %s --database …\n", n, data)
			return nil
		}}
	c.Flags().StringVar(&data, "data", "data", "folder of the SQLite database")
	c.Flags().StringVar(&to, "to", "", "URL of an empty PostgreSQL database")
	return c
}

func move(ctx context.Context, data, to string) (rows int64, err error) {
	from := recordsFlags{data: data}
	if _, err := os.Stat(filepath.Join(data, "hagane.db")); err != nil {
		return 0, fault.Errorf(fault.NotFound, "there is no database in %s; say where it is with --data", data)
	}
	unlock, err := lockData(data) // nobody writes to it meanwhile
	if err != nil {
		return 0, err
	}
	defer unlock()
	dir, err := os.MkdirTemp(data, "move")
	if err != nil {
		return 0, fault.E(fault.Internal, "making a folder for the move", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "records")
	if _, err := writeBackup(ctx, from.dsn(), backup.Options{Data: dir, Version: version}, file); err != nil {
		return 0, err
	}
	b, err := backup.Open(file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	d, err := b.Restore(ctx, to, func(ctx context.Context, tx db.Tx) error { return workflow.Requeue(ctx, tx, "") })
	if err != nil {
		return 0, err
	}
	d.Close()
	for _, n := range b.Tables {
		rows += n
	}
	return rows, nil
}
