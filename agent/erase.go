package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// eraseAtOnce is how many disks are erased at the same time: enough to hide the slow ones, few enough
// not to starve a controller.
const eraseAtOnce = 8

// erase erases all disks. The records of those that were erased are returned beside the errors of
// those that were not. A machine without any disk is an error: far more often a driver is missing
// than a disk, and a disk that nobody erased must not reach the next tenant.
func (a *agent) erase(ctx context.Context, o *protocol.Erase, t *task) ([]protocol.Erased, error) {
	disks, err := a.Machine.Disks(ctx)
	if err != nil {
		return nil, fault.Wrap("opening the disks", err)
	}
	if len(disks) == 0 {
		return nil, fault.Errorf(fault.Invalid, "found no disk to erase: is the driver of the disk controller in the ramdisk?")
	}
	var total int64
	for _, d := range disks {
		total += d.Info().Bytes
	}
	t.doing(fmt.Sprintf("erasing %d disks", len(disks)), total)
	erased, errs := make([]protocol.Erased, len(disks)), make([]error, len(disks))
	var group errgroup.Group
	group.SetLimit(eraseAtOnce)
	for i, d := range disks {
		group.Go(func() error {
			defer func() { _ = d.Close() }() // what matters was synced and read back
			if o.MetadataOnly {
				erased[i], errs[i] = a.eraseMetadata(ctx, d, t)
			} else {
				erased[i], errs[i] = a.eraseDisk(ctx, d, t)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	var done []protocol.Erased
	for i := range erased {
		if errs[i] == nil {
			done = append(done, erased[i])
		}
	}
	return done, errors.Join(errs...)
}

// methods lists the ways to erase a disk, the best first. Overwriting comes last and always works on
// a sound disk; its bytes count as progress.
func methods(ctx context.Context, d Disk, progress func(int64)) []EraseMethod {
	var all []EraseMethod
	if e, ok := d.(Eraser); ok {
		all = e.EraseMethods(ctx)
	}
	whole := span{0, d.Info().Bytes}
	if q, ok := d.(Discarder); ok {
		all = append(all, EraseMethod{Name: "discard", Erase: func(ctx context.Context) error {
			return q.Discard(ctx, whole.offset, whole.length)
		}})
	}
	return append(all, EraseMethod{Name: "overwrite", Erase: func(ctx context.Context) error {
		return overwrite(ctx, d, whole, progress)
	}})
}

func (a *agent) eraseDisk(ctx context.Context, d Disk, t *task) (protocol.Erased, error) {
	info, began := d.Info(), time.Now()
	record := protocol.Erased{Disk: info.Name, Serial: info.Serial, Bytes: info.Bytes}
	if info.Bytes == 0 {
		return record, fault.Errorf(fault.Unavailable, "%s has no capacity: replace the disk", info.Name)
	}
	var counted int64
	count := func(n int64) { counted += n; t.add(n) }
	for _, m := range methods(ctx, d, count) {
		t.describe("erasing " + info.Name + " by " + m.Name)
		err := tryMethod(ctx, d, m)
		if err == nil {
			record.Method, record.Verified, record.Seconds = m.Name, true, time.Since(began).Seconds()
			t.add(info.Bytes - counted)
			a.log.Info("erased a disk", "disk", info.Name, "method", m.Name, "seconds", record.Seconds)
			return record, d.Reread(ctx)
		}
		if ctx.Err() != nil {
			return record, context.Cause(ctx)
		}
		a.log.Warn("an erase method failed", "disk", info.Name, "method", m.Name, "error", err)
		record.Tried = append(record.Tried, m.Name+": "+err.Error())
	}
	return record, fault.Errorf(fault.Unavailable, "no method erased %s: %v", info.Name, record.Tried)
}

// tryMethod erases a disk in one way and believes only what it reads back.
func tryMethod(ctx context.Context, d Disk, m EraseMethod) error {
	parts := samples(d.Info().Bytes)
	if err := mark(ctx, d, parts); err != nil {
		return err
	}
	if err := m.Erase(ctx); err != nil {
		return err
	}
	return readsZero(ctx, d, parts)
}

// eraseMetadata clears partition tables and the ends of all partitions, where file systems, RAID and
// volume managers keep their signatures.
func (a *agent) eraseMetadata(ctx context.Context, d Disk, t *task) (protocol.Erased, error) {
	info, began := d.Info(), time.Now()
	record := protocol.Erased{Disk: info.Name, Serial: info.Serial, Bytes: info.Bytes, Method: "metadata"}
	t.describe("wiping the metadata of " + info.Name)
	n := min(int64(endBytes), info.Bytes)
	parts := []span{{0, n}, {info.Bytes - n, n}}
	if table, err := partition.Read(d, info.Bytes, info.SectorBytes); err == nil {
		for _, p := range table.Partitions {
			n := min(int64(endBytes), p.Bytes)
			parts = append(parts, span{p.Offset, n}, span{p.Offset + p.Bytes - n, n})
		}
	}
	for _, p := range parts {
		if err := overwrite(ctx, d, p, func(int64) {}); err != nil {
			return record, fault.Wrap("wiping "+info.Name, err)
		}
	}
	if err := readsZero(ctx, d, parts); err != nil {
		return record, fault.Wrap("wiping "+info.Name, err)
	}
	t.add(info.Bytes)
	record.Verified, record.Seconds = true, time.Since(began).Seconds()
	return record, d.Reread(ctx)
}
