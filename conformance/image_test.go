package conformance

import (
	"net/http"
	"net/http/httptest"
)

// gophercloudImages makes an image, which the tests want to find, and stands in for the place in the Internet that they
// fetch one from: whoever asks this proxy for anything gets the image of a disk.
func (c *cloud) gophercloudImages() []string {
	c.Helper()
	c.call("POST", "/image/v2/images", object{"name": "found", "disk_format": "raw", "container_format": "bare", "visibility": "public"}, nil)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(disk()) }))
	c.Cleanup(proxy.Close)
	return []string{"HTTP_PROXY=" + proxy.URL}
}
