package agent

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"sync"
	"time"

	"github.com/hagane-cloud/hagane/agent/partition"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// writeTries is how often an image whose stream broke is written from the start.
const writeTries = 3

// write writes an image. The first MiB goes to the disk last, after the checksum was found right, so that a
// machine never boots from a part of an image, whatever happens in between.
func (a *agent) write(ctx context.Context, o *protocol.Write, t *task) (*protocol.Written, error) {
	a.leaveSwarm(ctx, 0) // of an earlier order: the disk changes
	d, err := a.root(ctx, o.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }() // synced below
	info, began := d.Info(), time.Now()
	if o.Size <= 0 || len(o.SHA512) != 2*sha512.Size {
		return nil, fault.Errorf(fault.Invalid, "the order names no size or no SHA-512 of the image")
	}
	if o.Size > info.Bytes {
		return nil, fault.Errorf(fault.Invalid, "the image of %d bytes does not fit on %s with %d bytes", o.Size, info.Name, info.Bytes)
	}
	written := &protocol.Written{Disk: info.Name, Serial: info.Serial, Bytes: o.Size}
	chunks := o.Swarm != nil && a.Peers != nil
	if chunks {
		t.doing("writing "+info.Name, o.Size)
		if err = a.writeChunks(ctx, d, o, t, written); err != nil && otherwise(ctx, err) {
			a.log.Warn("the image can not be had in chunks, taking it as a stream", "error", err)
			chunks = false
		}
	}
	if !chunks {
		err = a.writeStream(ctx, d, o, t, written)
	}
	if err == nil {
		err = settle(ctx, d)
	}
	if err != nil {
		return nil, fault.Wrap("writing the image to "+info.Name, a.abandon(ctx, d, err))
	}
	written.Seconds = time.Since(began).Seconds()
	a.log.Info("wrote an image", "disk", info.Name, "bytes", o.Size, "skipped", written.Skipped, "from peers", written.FromPeers, "from the store", written.FromStore, "seconds", written.Seconds)
	return written, nil
}

// writeStream writes an image that comes in one stream, from the start again where that breaks.
func (a *agent) writeStream(ctx context.Context, d Disk, o *protocol.Write, t *task, written *protocol.Written) error {
	for try := 0; ; try++ {
		t.doing("writing "+d.Info().Name, o.Size)
		err := a.writeOnce(ctx, d, o, t, written)
		if err == nil || !fault.Is(err, fault.Unavailable) || errors.Is(err, errOutOfOrder) || try+1 == writeTries || ctx.Err() != nil {
			return err
		}
		a.log.Warn("the image's stream broke, starting over", "try", try+1, "error", err)
		if err := pause(ctx, a.Pause, try, nil); err != nil {
			return err
		}
	}
}

// abandon wipes what there is of an image that did not arrive whole. A machine that is going down
// (ctx ended and nobody withdrew the run) is left alone.
func (a *agent) abandon(ctx context.Context, d Disk, why error) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errRevoked) {
		return why
	}
	return errors.Join(why, wipeEnds(context.WithoutCancel(ctx), d))
}

// settle fits the image's partition table to the disk.
func settle(ctx context.Context, d Disk) error {
	info := d.Info()
	table, err := partition.Read(d, info.Bytes, info.SectorBytes)
	if err != nil {
		return err
	}
	if err := table.Settle(d); err != nil {
		return err
	}
	if err := d.Sync(ctx); err != nil {
		return err
	}
	return d.Reread(ctx)
}

// writeOnce is one try. An Unavailable fault says that another may do better.
func (a *agent) writeOnce(ctx context.Context, d Disk, o *protocol.Write, t *task, written *protocol.Written) error {
	if err := wipeEnds(ctx, d); err != nil {
		return err
	}
	w := newImageWriter(d, o.Size)
	if err := a.stream(ctx, o, func(block []byte) error {
		t.add(int64(len(block)))
		return w.write(block)
	}); err != nil {
		return err
	}
	if w.at != o.Size {
		return fault.Errorf(fault.Invalid, "the image has %d bytes and should have %d", w.at, o.Size)
	}
	return w.finish(ctx, o, written)
}

// imageWriter puts a stream of blocks onto a disk. Holes are not written where the disk reads as zeros
// already, as an erased one does; on a dirty one zeros are written. So neither
// an erase nor a disk's promise about discarded sectors is trusted here, and erased disks stay thin.
type imageWriter struct {
	disk    Disk
	hash    hash.Hash
	limit   int64
	at      int64
	skipped int64
	head    []byte // the first MiB, held back
	read    []byte
	zero    []byte
}

func newImageWriter(d Disk, size int64) *imageWriter {
	return &imageWriter{disk: d, hash: sha512.New(), limit: size, head: make([]byte, min(endBytes, size)), read: aligned(blockBytes), zero: aligned(blockBytes)}
}

// write hashes a block while it is written. Blocks may be of any length up to blockBytes.
func (w *imageWriter) write(block []byte) error {
	if w.at+int64(len(block)) > w.limit {
		return fault.Errorf(fault.Invalid, "the image is longer than the %d bytes it should have", w.limit)
	}
	var hashing sync.WaitGroup
	whole := block
	hashing.Go(func() { _, _ = w.hash.Write(whole) }) // a hash takes everything
	defer hashing.Wait()
	at := w.at
	w.at += int64(len(block))
	return w.place(block, at)
}

// place writes the runs of data and of holes within a part of the image, and keeps what is of the first MiB.
func (w *imageWriter) place(block []byte, at int64) error {
	if at < int64(len(w.head)) {
		n := copy(w.head[at:], block)
		at, block = at+int64(n), block[n:]
	}
	for len(block) > 0 {
		n, hole := run(block[:min(blockBytes, len(block))])
		var err error
		if hole {
			err = w.hole(int64(n), at)
		} else {
			_, err = w.disk.WriteAt(block[:n], at)
		}
		if err != nil {
			return fault.E(fault.Internal, "writing to the disk", err)
		}
		block, at = block[n:], at+int64(n)
	}
	return nil
}

// run returns the length of the run that block begins with, and whether it is a hole.
func run(block []byte) (length int, hole bool) {
	hole = zeros(block[:min(grainBytes, len(block))])
	for length < len(block) {
		grain := block[length:min(length+grainBytes, len(block))]
		if zeros(grain) != hole {
			break
		}
		length += len(grain)
	}
	return length, hole
}

func (w *imageWriter) hole(n, at int64) error {
	b := w.read[:n]
	if _, err := w.disk.ReadAt(b, at); err != nil {
		return err
	}
	if zeros(b) {
		w.skipped += n
		return nil
	}
	_, err := w.disk.WriteAt(w.zero[:n], at)
	return err
}

// finish proves that all of the image is there, writes what was held back and reads it again.
func (w *imageWriter) finish(ctx context.Context, o *protocol.Write, written *protocol.Written) error {
	sum := hex.EncodeToString(w.hash.Sum(nil))
	if !strings.EqualFold(sum, o.SHA512) {
		return fault.Errorf(fault.Invalid, "the image's SHA-512 is %s and should be %s", sum, strings.ToLower(o.SHA512))
	}
	if err := w.disk.Sync(ctx); err != nil {
		return err
	}
	if _, err := w.disk.WriteAt(w.head, 0); err != nil {
		return fault.E(fault.Internal, "writing to the disk", err)
	}
	if err := w.disk.Sync(ctx); err != nil {
		return err
	}
	b := w.read[:len(w.head)]
	if _, err := w.disk.ReadAt(b, 0); err != nil {
		return fault.E(fault.Internal, "reading the disk back", err)
	}
	if !bytes.Equal(b, w.head) {
		return fault.Errorf(fault.Internal, "the disk does not hold what was written to it: replace the disk")
	}
	written.Skipped, written.SHA512 = w.skipped, sum
	return nil
}
