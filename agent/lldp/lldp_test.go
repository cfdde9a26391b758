package lldp

import (
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
)

func frame(fields ...string) []byte {
	b := []byte("\x01\x80\xc2\x00\x00\x0e\x02\x00\x00\x00\x00\x01\x88\xcc")
	for _, f := range fields {
		b = append(b, f...)
	}
	return b
}

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		want  protocol.LLDP
	}{
		"names": {
			frame("\x02\x04\x07lab", "\x04\x06\x05r1p01", "\x06\x02\x00\x78", "\x0a\x04lab\x00", "\x00\x00"),
			protocol.LLDP{Chassis: "lab", Port: "r1p01", System: "lab"},
		},
		"addresses": {
			frame("\x02\x07\x04\x02\x00\x00\x00\x00\x09", "\x04\x06\x04\x01\x0a\x00\x00\x01", "\x00\x00"),
			protocol.LLDP{Chassis: "02:00:00:00:00:09", Port: "10.0.0.1"},
		},
		"control codes": {
			frame("\x02\x05\x07l\x1bab", "\x04\x02\x05p", "\x00\x00"),
			protocol.LLDP{Chassis: "lab", Port: "p"},
		},
	} {
		got, err := Decode(c.frame)
		if err != nil || *got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, bad := range [][]byte{nil, frame(), frame("\x02\xff\x07"), frame("\x02\x02\x07x", "\x00\x00")} {
		if got, err := Decode(bad); err == nil {
			t.Errorf("%x read as %+v", bad, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(frame("\x02\x04\x07lab", "\x04\x06\x05r1p01", "\x00\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = Decode(b) })
}
