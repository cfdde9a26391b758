package agent

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/hagane-cloud/hagane/agent/configdrive"
	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// configDrive writes a config drive into a partition at the end of the disk. The content is on the
// disk before the table names it, so that a partition with a config drive always holds a whole one.
// A config drive from an earlier try is replaced.
func (a *agent) configDrive(ctx context.Context, o *protocol.ConfigDrive, t *task) error {
	d, err := a.root(ctx, o.Root)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // synced below
	info := d.Info()
	t.doing("writing the config drive to "+info.Name, 0)
	image, err := configdrive.Build(o.Files, info.SectorBytes)
	if err != nil {
		return err
	}
	table, err := partition.Read(d, info.Bytes, info.SectorBytes)
	if err != nil {
		return err
	}
	if err := removeDrives(d, table); err != nil {
		return err
	}
	place, err := table.Room(int64(len(image)))
	if err != nil {
		return err
	}
	for done := 0; done < len(image); {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := min(blockBytes, len(image)-done)
		if _, err := d.WriteAt(image[done:done+n], place.Offset+int64(done)); err != nil {
			return fault.E(fault.Internal, "writing the config drive", err)
		}
		done += n
	}
	if err := d.Sync(ctx); err != nil {
		return err
	}
	if err := table.Add(d, place, configdrive.Label, partition.FAT); err != nil {
		return err
	}
	if err := d.Sync(ctx); err != nil {
		return err
	}
	if _, err := configdrive.Find(ctx, d, info.Bytes, info.SectorBytes); err != nil {
		return fault.E(fault.Internal, "reading the config drive back", err)
	}
	a.log.Info("wrote a config drive", "disk", info.Name, "partition", place.Number, "bytes", len(image))
	return d.Reread(ctx)
}

// removeDrives takes partitions with a config drive out of the table.
func removeDrives(d Disk, table *partition.Table) error {
	var old []partition.Partition
	for _, p := range table.Partitions {
		_, err := configdrive.Read(io.NewSectionReader(d, p.Offset, p.Bytes))
		switch {
		case fault.Is(err, fault.Unavailable):
			return err
		case p.Name == configdrive.Label, err == nil, !errors.Is(err, fs.ErrNotExist):
			old = append(old, p)
		}
	}
	for _, p := range old {
		if err := table.Remove(p); err != nil {
			return err
		}
	}
	return nil
}
