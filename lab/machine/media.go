package machine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/fault"
)

// Medium is an image that a BMC presents as a drive. It is read as it is needed, over HTTP by ranges.
type Medium struct {
	URL  string
	Size int64
	io.ReaderAt
	close func() error
}

// Close gives up the medium.
func (m *Medium) Close() error { return m.close() }

// OpenMedium opens the image at a URL (http or https, of which no certificate is checked, as BMCs do) or in a file. It
// returns Unavailable faults when the image can not be reached and Invalid ones for other kinds of URL.
func OpenMedium(ctx context.Context, where string) (*Medium, error) {
	u, err := url.Parse(where)
	if err != nil {
		return nil, fault.E(fault.Invalid, "read the URL of an image", err)
	}
	switch u.Scheme {
	case "", "file":
		return openFile(where, u.Path)
	case "http", "https":
		return openRemote(ctx, where)
	}
	return nil, fault.Errorf(fault.Invalid, "%q: the lab's BMCs fetch images by http and https", where)
}

func openFile(where, name string) (*Medium, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "open an image", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fault.E(fault.Unavailable, "open an image", err), f.Close())
	}
	return &Medium{URL: where, Size: info.Size(), ReaderAt: f, close: f.Close}, nil
}

// remote reads an image over HTTP.
type remote struct {
	url    string
	client *http.Client
	size   int64
}

const mediumTimeout = 30 * time.Second // of one read

func openRemote(ctx context.Context, where string) (*Medium, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
	r := &remote{url: where, client: &http.Client{Transport: transport, Timeout: mediumTimeout}}
	res, err := r.ask(ctx, 0, 1)
	if err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	_ = res.Body.Close()
	r.size = res.ContentLength
	if res.StatusCode == http.StatusPartialContent {
		_, total, _ := strings.Cut(res.Header.Get("Content-Range"), "/")
		_, err = fmt.Sscan(total, &r.size)
	}
	if err != nil || r.size < 0 {
		transport.CloseIdleConnections()
		return nil, fault.Errorf(fault.Unavailable, "%s does not say how large it is", where)
	}
	return &Medium{URL: where, Size: r.size, ReaderAt: r, close: func() error {
		transport.CloseIdleConnections()
		return nil
	}}, nil
}

// ask asks for the bytes from (included) to to (excluded).
func (r *remote) ask(ctx context.Context, from, to int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, fault.E(fault.Invalid, "fetch an image", err)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "fetch an image", err)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusPartialContent {
		_ = res.Body.Close()
		return nil, fault.Errorf(fault.Unavailable, "fetch %s: %s", r.url, res.Status)
	}
	return res, nil
}

// ReadAt reads a range; from a server that knows no ranges it skips what comes before.
func (r *remote) ReadAt(b []byte, at int64) (int, error) {
	if at >= r.size {
		return 0, io.EOF
	}
	end := min(at+int64(len(b)), r.size)
	ctx, cancel := context.WithTimeout(context.Background(), mediumTimeout)
	defer cancel()
	res, err := r.ask(ctx, at, end)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusOK {
		if _, err := io.CopyN(io.Discard, res.Body, at); err != nil {
			return 0, fault.E(fault.Unavailable, "fetch an image", err)
		}
	}
	n, err := io.ReadFull(res.Body, b[:end-at])
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

// Save writes the whole image into a folder and returns the file's path. A file that it replaces is written anew.
func (m *Medium) Save(folder string) (string, error) {
	name := path.Join(folder, "medium.iso")
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", fault.E(fault.Internal, "keep an image", err)
	}
	const part = 8 << 20
	for at := int64(0); at < m.Size && err == nil; at += part {
		_, err = io.Copy(f, io.NewSectionReader(m, at, min(part, m.Size-at)))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fault.E(fault.Unavailable, "fetch an image", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return "", fault.E(fault.Internal, "keep an image", err)
	}
	return name, nil
}
