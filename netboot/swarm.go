package netboot

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/secret"
)

const (
	sendWithin = time.Minute // a chunk; an agent that takes it more slowly keeps others from theirs
	holdChunk  = time.Second // how long a question for a chunk is held back that there is none for
)

// manifest serves what the chunks of an image are, to the agent whose order it is to write it.
func (s *Server) manifest(w http.ResponseWriter, r *http.Request) {
	b, _, err := s.described(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(b) // the agent knows its digest
}

// described returns the manifest of the image in the path, and the SHA-512 of its raw data, for an agent that is to write it.
func (s *Server) described(r *http.Request) (encoded []byte, image string, err error) {
	id := r.PathValue("id")
	if err := s.Nodes.MayRead(r.Context(), bearer(r), id); err != nil {
		return nil, "", err
	}
	i, err := s.Images.Get(r.Context(), "", id)
	if err != nil {
		return nil, "", err
	}
	encoded, err = s.Images.Manifest(i.RawSHA512)
	return encoded, i.RawSHA512, err
}

// chunk sends one of the chunks that an agent wants.
func (s *Server) chunk(w http.ResponseWriter, r *http.Request) {
	encoded, image, err := s.described(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	m, err := manifest.Decode(encoded)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	want, err := wanted(http.MaxBytesReader(w, r.Body, manifest.MaxChunks/8), m.Len())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if err := s.sendChunk(w, r, image, m, want); err != nil {
		s.fail(w, r, err)
	}
}

// wanted reads the set of chunks that an agent wants, of an image with n: chunk i is bit i%8 of byte i/8, counted from the lowest.
func wanted(from io.Reader, n int) ([]byte, error) {
	want, err := io.ReadAll(from)
	switch {
	case err != nil:
		return nil, fault.E(fault.Invalid, "reading which chunks are wanted", err)
	case len(want) != (n+7)/8:
		return nil, fault.Errorf(fault.Invalid, "the set of wanted chunks has %d bytes; the image has %d chunks", len(want), n)
	case n%8 > 0 && want[n/8]>>(n%8) != 0:
		return nil, fault.Errorf(fault.Invalid, "a chunk is wanted beyond the %d of the image", n)
	}
	return want, nil
}

// sendChunk waits for a turn and sends a chunk, or says that there is none for now. An error means that nothing was sent.
func (s *Server) sendChunk(w http.ResponseWriter, r *http.Request, image string, m *manifest.Manifest, want []byte) error {
	who := secret.Hash(bearer(r))
	s.waves.came(who, time.Now())
	t, err := s.nextChunk(r, who, image, m, want)
	if err != nil {
		return err
	}
	if t == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	whole := false
	defer func() { s.waves.written(t, whole, time.Now()) }()
	f, _, err := s.Images.Raw(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	at, n := m.Span(t.chunk)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	w.Header().Set(protocol.HeaderChunk, strconv.Itoa(t.chunk))
	patience := http.NewResponseController(w)
	_ = patience.SetWriteDeadline(t.until)             // a writer that has none, as in tests, loses nothing by it
	_, err = io.Copy(w, io.NewSectionReader(f, at, n)) // the agent sees a short body, and the manifest decides
	if err == nil {
		err = patience.Flush()
	}
	_ = patience.SetWriteDeadline(time.Time{})
	whole = err == nil
	return nil
}

// nextChunk returns a turn with the chunk that is to be sent, or nil when there is none for the agent.
func (s *Server) nextChunk(r *http.Request, who, image string, m *manifest.Manifest, want []byte) (*send, error) {
	if !slices.ContainsFunc(want, func(b byte) bool { return b != 0 }) {
		return nil, nil
	}
	alone := r.URL.Query().Get("alone") == "true"
	for last := false; ; last = true {
		t, err := s.waves.turn(r.Context(), who, image)
		if err != nil {
			return nil, err
		}
		if t.chunk = s.waves.choose(image, m, want, alone, time.Now()); t.chunk >= 0 {
			return t, nil
		}
		s.waves.giveBack(t)
		if last {
			return nil, nil
		}
		held := time.NewTimer(holdChunk)
		select {
		case <-held.C:
		case <-r.Context().Done():
			held.Stop()
			return nil, fault.E(fault.Unavailable, "waiting for a chunk", r.Context().Err())
		}
	}
}

// meet tells an agent where others with its image are.
func (s *Server) meet(w http.ResponseWriter, r *http.Request) {
	var m protocol.Meeting
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&m); err != nil {
		s.fail(w, r, fault.E(fault.Invalid, "reading the meeting", err))
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || m.Port < 0 || m.Port > 0xffff {
		s.fail(w, r, fault.Errorf(fault.Invalid, "a meeting is at a port of the address that it comes from"))
		return
	}
	image, err := s.Nodes.Writes(r.Context(), bearer(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := protocol.Peers{Peers: []string{}}
	for _, at := range s.waves.meet(image, secret.Hash(bearer(r)), netip.AddrPortFrom(from.Addr().Unmap(), uint16(m.Port)), time.Now()) {
		out.Peers = append(out.Peers, at.String())
	}
	s.answerJSON(w, r, out, nil)
}
