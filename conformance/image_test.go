package conformance

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
)

// gophercloudImages makes an image, which the tests want to find, and stands in as a proxy for the place in the Internet
// that they fetch one from.
func (c *cloud) gophercloudImages() []string {
	c.Helper()
	c.call("POST", "/image/v2/images", object{"name": "found", "disk_format": "raw", "container_format": "bare", "visibility": "public"}, nil)
	return []string{"HTTP_PROXY=" + c.web()}
}

// web is the URL of a server that gives a disk to whoever asks for anything but /missing.
func (c *cloud) web() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		if r.URL.Path == "/sums" {
			_, _ = fmt.Fprintf(w, "%x  disk.img\n", sha256.Sum256(disk()))
			return
		}
		_, _ = w.Write(disk())
	}))
	c.Cleanup(s.Close)
	return s.URL
}
