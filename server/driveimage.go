package server

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
	"unicode"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/server/iso"
)

const (
	mostDriveImage = 64 << 20 // as Ironic takes
	mostDriveFiles = 1 << 20  // as much as could be given as documents
)

// DriveOf reads a config drive that is given as Ironic's clients make one of a folder: an ISO 9660 image, compressed by gzip, in base64.
// Its files are taken as they are, and nothing is added.
func DriveOf(text string) (*ConfigDrive, error) {
	if strings.Contains(text, "://") {
		return nil, fault.Field("configdrive", "config drives are not fetched from URLs: give what lies there, in base64, or documents (meta_data, network_data, user_data)")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	image, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fault.Field("configdrive", "must be documents (meta_data, network_data, user_data), or an ISO 9660 image in base64, compressed by gzip")
	}
	if len(image) > 2 && image[0] == 0x1f && image[1] == 0x8b {
		if image, err = inflated(image); err != nil {
			return nil, err
		}
	}
	files, err := iso.Read(image, mostDriveFiles)
	if err != nil {
		return nil, fault.Field("configdrive", "the image can not be used: %s; a folder is made into one by genisoimage -J -r -V config-2", fault.Message(err))
	}
	if len(files) == 0 {
		return nil, fault.Field("configdrive", "the image has no files")
	}
	return &ConfigDrive{Files: files}, nil
}

func inflated(raw []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fault.Field("configdrive", "begins as if compressed by gzip, and is not")
	}
	out, err := io.ReadAll(io.LimitReader(z, mostDriveImage+1))
	if err != nil {
		return nil, fault.Field("configdrive", "is compressed by gzip and damaged: %v", err)
	}
	if len(out) > mostDriveImage {
		return nil, fault.Field("configdrive", "the image is larger than %d MiB", mostDriveImage>>20)
	}
	return out, nil
}
