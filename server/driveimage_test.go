package server

import (
	"encoding/base64"
	"os"
	"testing"

	"github.com/hagane-cloud/hagane/node"
)

// TestDriveOf takes a config drive as Ironic's client makes it of a folder: what is written is what was in the folder.
func TestDriveOf(t *testing.T) {
	raw, err := os.ReadFile("iso/testdata/ironicclient.iso.gz")
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(raw)
	drive, err := DriveOf(text[:76] + "\n" + text[76:] + "\n")
	if err != nil {
		t.Fatal(err)
	}
	files, err := drive.files(&node.Node{Name: "n1"}, nil)
	if err != nil || len(files) != 5 || string(files["openstack/latest/meta_data.json"]) != `{"uuid": "0b", "role": "made by genisoimage"}` {
		t.Errorf("%q, %v", files, err)
	}
}
