package glance

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
)

// octets refuses data that are not sent as such.
func octets(r *api.Request) error {
	if ct := r.Header.Get("Content-Type"); ct != "" && !strings.HasPrefix(ct, "application/octet-stream") {
		return fault.E(fault.BadMedia, "the data must be sent as application/octet-stream", nil)
	}
	if to := r.Header.Get("X-Image-Meta-Store"); to != "" && to != store {
		return fault.Errorf(fault.Invalid, "there is no store %.40q; there is %s", to, store)
	}
	return nil
}

func (g *glance) upload(w http.ResponseWriter, r *api.Request) error {
	if err := octets(r); err != nil {
		return err
	}
	return api.Gone(w, g.Upload(r.Context(), project(r), r.PathValue("id"), r.Body))
}

func (g *glance) stage(w http.ResponseWriter, r *api.Request) error {
	if err := octets(r); err != nil {
		return err
	}
	return api.Gone(w, g.Stage(r.Context(), project(r), r.PathValue("id"), r.Body))
}

func (g *glance) download(w http.ResponseWriter, r *api.Request) error {
	i, err := g.Get(r.Context(), project(r), r.PathValue("id"))
	if err != nil {
		return err
	}
	if !i.HasData() {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	f, err := g.Data(project(r), i)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Accept-Ranges", "bytes")
	from, n, status := int64(0), i.Size, http.StatusOK
	if h := r.Header.Get("Range"); h != "" {
		if from, n, err = span(h, i.Size); err != nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", i.Size))
			Error(w, http.StatusRequestedRangeNotSatisfiable, err)
			return nil
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+n-1, i.Size))
		status = http.StatusPartialContent
	} else {
		w.Header().Set("Content-Md5", i.Checksum)
	}
	w.Header().Set("Content-Length", fmt.Sprint(n))
	w.WriteHeader(status)
	_, _ = io.Copy(w, io.NewSectionReader(f, from, n)) // the client sees a short body
	return nil
}

// span reads a header Range of one range, bytes=FIRST-[LAST] or bytes=-LENGTH, of data of a size. Glance serves no more
// than one range either.
func span(header string, size int64) (from, n int64, err error) {
	bad := fault.Errorf(fault.Invalid, "the range %.64q is not one of the %d bytes; possible: bytes=FIRST-LAST, bytes=FIRST-, bytes=-LENGTH", header, size)
	unit, spec, ok := strings.Cut(header, "=")
	first, last, ok2 := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !ok2 || strings.TrimSpace(unit) != "bytes" {
		return 0, 0, bad
	}
	to, err := place(last)
	switch {
	case err != nil || size == 0:
		return 0, 0, bad
	case first == "": // the last bytes
		if to <= 0 {
			return 0, 0, bad
		}
		n = min(to, size)
		return size - n, n, nil
	}
	if from, err = place(first); err != nil || from >= size {
		return 0, 0, bad
	}
	if last == "" || to >= size {
		to = size - 1
	}
	if to < from {
		return 0, 0, bad
	}
	return from, to - from + 1, nil
}

// place reads a number of digits only; nothing is -1.
func place(digits string) (int64, error) {
	if digits == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), err
}
