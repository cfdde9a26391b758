package main

import (
	"net/netip"
	"testing"

	"github.com/hagane-cloud/hagane/agent/address"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]words{
		"console=ttyS0 hagane.api=http://198.18.0.1/agent/v1 hagane.claim=S BOOTIF=01-52-54-00-AA-bb-01\n": {
			"http://198.18.0.1/agent/v1", "S", "52:54:00:aa:bb:01", "",
		},
		"hagane.mac=52:54:00:00:00:01 BOOTIF=01-52-54-00-aa-bb-01 quiet": {"", "", "52:54:00:00:00:01", ""},
		"BOOTIF=nonsense": {},
		"hagane.mac=52:54:00:00:00:01 hagane.ip=198.18.0.10/16": {"", "", "52:54:00:00:00:01", "198.18.0.10/16"},
	} {
		if got := parse(line); got != want {
			t.Errorf("%q: %+v, want %+v", line, got, want)
		}
	}
}

func TestTuning(t *testing.T) {
	if got := tuning("model name\t: QEMU TCG CPU version 2.5+\n"); len(got) != 1 {
		t.Errorf("emulated: %q", got)
	}
	if got := tuning("model name\t: Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz\n"); got != nil {
		t.Errorf("real: %q", got)
	}
}

func TestFixed(t *testing.T) {
	const mac = "52:54:00:00:00:01"
	prefix := netip.MustParsePrefix("198.18.0.10/16")
	for ip, want := range map[string]address.Fixed{
		"198.18.0.10/16":            {MAC: mac, Address: prefix},
		"198.18.0.10/16,198.18.0.1": {MAC: mac, Address: prefix, Gateway: netip.MustParseAddr("198.18.0.1")},
	} {
		if got, err := (words{mac: mac, ip: ip}).fixed(); err != nil || got != want {
			t.Errorf("%s: %+v, %v", ip, got, err)
		}
	}
	for _, bad := range []words{{mac: mac, ip: "198.18.0.10"}, {mac: mac, ip: "198.18.0.10/16,"}, {ip: "198.18.0.10/16"}} {
		if got, err := bad.fixed(); err == nil {
			t.Errorf("%+v: %+v", bad, got)
		}
	}
}
