package agent

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/agent/swarm"
	"github.com/hagane-cloud/hagane/fault"
)

// finishWithin is how long a machine that is to restart or to power off still gives chunks that others are just taking
// from it. Whoever is cut off asks somebody else, so this saves work and no more.
const finishWithin = 5 * time.Second

// joined is the swarm that the agent is in: from its order to write an image until the next order that changes the
// disk, or until the machine ends.
type joined struct {
	*swarm.Swarm
	disk Disk // read from, beside the one that orders write to
}

// leaveSwarm gives others nothing any more, after what is on its way was given for at most grace.
func (a *agent) leaveSwarm(ctx context.Context, grace time.Duration) {
	if a.joined == nil {
		return
	}
	if grace > 0 {
		a.joined.Finish(ctx, grace)
	}
	a.joined.Close()
	_ = a.joined.disk.Close() // only read from
	a.joined = nil
}

// writeChunks writes an image whose chunks come from other agents and from the cloud's store, in any order, and stays in the
// swarm so that others may have them.
func (a *agent) writeChunks(ctx context.Context, d Disk, o *protocol.Write, t *task, written *protocol.Written) error {
	m, err := patiently(ctx, a, "the manifest", func() (*manifest.Manifest, error) {
		return a.cloud.manifest(ctx, o.URL, o.Swarm.Manifest)
	})
	if err != nil {
		return err
	}
	if m.Size != o.Size {
		return fault.Errorf(fault.Invalid, "the manifest is of an image of %d bytes, and the order of one of %d", m.Size, o.Size)
	}
	if err := wipeEnds(ctx, d); err != nil {
		return err
	}
	source, err := a.root(ctx, o.Root)
	if err != nil {
		return err
	}
	w := newImageWriter(d, o.Size)
	// The swarm outlives the order; leaveSwarm ends it.
	s, err := swarm.New(context.WithoutCancel(ctx), swarm.Options{
		Manifest: m, Key: o.Swarm.Key, Network: a.Peers, Cloud: &store{agent: a, url: o.URL},
		Place: func(chunk []byte, at int64) error {
			defer t.add(int64(len(chunk)))
			return w.place(chunk, at)
		},
		Read:   given(source, w.head),
		Buffer: aligned, Patience: a.Stall, Log: a.log,
	})
	if err != nil {
		_ = source.Close() // nothing was read from it
		return err
	}
	a.joined = &joined{Swarm: s, disk: source}
	g, fetching := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Fetch(fetching) })
	g.Go(func() error { return w.hashBehind(fetching, s, m) })
	err = g.Wait()
	if err == nil {
		err = w.finish(ctx, o, written)
	}
	if err != nil {
		a.leaveSwarm(ctx, 0)
		return err
	}
	counts := s.Counts()
	written.FromPeers, written.FromStore = counts.Peers, counts.Store
	return nil
}

// given reads for others what was written: the first MiB from memory, since it is on the disk last, and changed there by
// what the image's partition table is fitted to.
func given(disk Disk, head []byte) func(b []byte, at int64) error {
	return func(b []byte, at int64) error {
		if at < int64(len(head)) {
			n := copy(b, head[at:])
			b, at = b[n:], at+int64(n)
		}
		if len(b) == 0 {
			return nil
		}
		_, err := disk.ReadAt(b, at)
		return err
	}
}

// hashBehind reads back what was written, in order and as it comes, and hashes it: so the checksum of the whole is of what the
// disk holds.
func (w *imageWriter) hashBehind(ctx context.Context, s *swarm.Swarm, m *manifest.Manifest) error {
	read := given(w.disk, w.head)
	buffer := aligned(int(min(endBytes, m.Size)))
	for i := range m.Len() {
		if err := s.Wait(ctx, i); err != nil {
			return err
		}
		at, left := m.Span(i)
		for left > 0 {
			b := buffer[:min(left, int64(len(buffer)))]
			if m.Hole(i) {
				b = w.zero[:len(b)] // the disk was found to read as zeros, or had them written
			} else if err := read(b, at); err != nil {
				return fault.E(fault.Internal, "reading the disk back", err)
			}
			_, _ = w.hash.Write(b) // a hash takes everything
			at, left = at+int64(len(b)), left-int64(len(b))
		}
	}
	return nil
}

// otherwise reports whether an image whose chunks could not be had may be had as a stream: not when it is the disk that
// fails, nor when the cloud has taken the order back or was out of order for too long already.
func otherwise(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !errors.Is(err, errOutOfOrder) && !fault.Is(err, fault.Internal) && !fault.Is(err, fault.Unauthentic) && !fault.Is(err, fault.Denied)
}

// store is the cloud as the swarm asks it.
type store struct {
	*agent
	url string // of the image
}

// Meet tells where others reach us, and asks for some of them.
func (s *store) Meet(ctx context.Context, port int) ([]netip.AddrPort, error) {
	return s.cloud.meet(ctx, port)
}

// Chunk asks for one of the chunks that are wanted.
func (s *store) Chunk(ctx context.Context, want []byte, alone bool, accept func(i int) []byte) (bool, error) {
	return s.cloud.chunk(ctx, s.url, s.Stall, want, alone, accept)
}
