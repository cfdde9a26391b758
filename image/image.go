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
	Queued      Status = "queued"      // has no data yet
	Saving      Status = "saving"      // an upload is under way
	Uploading   Status = "uploading"   // data are being staged, or have been: an import makes them the image's
	Importing   Status = "importing"   // an import waits or is under way
	Active      Status = "active"      // usable
	Deactivated Status = "deactivated" // has data, which are not given out
)

// Visibilities of an image.
const (
	Private   = "private"   // its project's only
	Shared    = "shared"    // its project's, and its members'
	Community = "community" // everybody may use it, and it is listed for those who ask for such images
	Public    = "public"    // everybody's; operators make images public
)

// Image is a record.
type Image struct {
	bun.BaseModel `bun:"table:image"`

	ID, Owner, Name             string
	DiskFormat, ContainerFormat string // "" is not set yet
	Visibility                  string
	Protected, Hidden           bool
	MinDisk                     int64 // GB
	MinRAM                      int64 `bun:"min_ram"` // MB
	Tags                        Tags
	Properties                  Properties
	Status                      Status
	Upload                      string // the upload or the import under way; only it may finish
	Staged                      int64  // bytes that wait to be imported
	Failed                      bool   // the last import failed; its task says why
	Size                        int64  // of the data as uploaded, bytes
	Checksum                    string // MD5 of the data as uploaded: what Glance's clients verify
	SHA512                      string `bun:"sha512"` // of the data as uploaded
	RawSHA512                   string `bun:"raw_sha512"`
	RawSize                     int64  // of the disk that the data describe, bytes; 0 for formats that are kept unread
	CreatedAt, UpdatedAt        time.Time
}

// HasData reports whether the image's data are there in full.
func (i *Image) HasData() bool { return i.Status == Active || i.Status == Deactivated }
