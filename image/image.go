// Package image is the image registry: records of images and their data. Data lie in files named by
// their SHA-512, so that equal data are kept once and a file never changes; what a server is
// written with is always raw, converted once at the upload.
package image

import (
	"time"

	"github.com/uptrace/bun"
)

// Status is where an image is on its way to be usable. Names are Glance's.
type Status string

// The states.
const (
	Queued Status = "queued" // has no data yet
	Saving Status = "saving" // an upload is under way
	Active Status = "active" // usable
)

// Visibilities of an image.
const (
	Private   = "private"
	Shared    = "shared"
	Community = "community"
	Public    = "public"
)

// Image is a record.
type Image struct {
	bun.BaseModel `bun:"table:image"`

	ID, Owner, Name             string
	DiskFormat, ContainerFormat string // raw or qcow2; bare
	Visibility                  string
	Protected, Hidden           bool
	MinDisk                     int64 // GB
	MinRAM                      int64 `bun:"min_ram"` // MB
	Tags                        []string
	Properties                  map[string]string
	Status                      Status
	Upload                      string // the upload under way; only it may finish
	Size                        int64  // of the data as uploaded, bytes
	Checksum                    string // MD5 of the data as uploaded: what Glance's clients verify
	SHA512                      string `bun:"sha512"` // of the data as uploaded
	RawSHA512                   string `bun:"raw_sha512"`
	RawSize                     int64  // bytes
	CreatedAt, UpdatedAt        time.Time
}
