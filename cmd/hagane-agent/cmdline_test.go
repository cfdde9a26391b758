package main

import "testing"

func TestParse(t *testing.T) {
	for line, want := range map[string]words{
		"console=ttyS0 hagane.api=http://198.18.0.1/agent/v1 hagane.claim=S BOOTIF=01-52-54-00-AA-bb-01\n": {
			"http://198.18.0.1/agent/v1", "S", "52:54:00:aa:bb:01",
		},
		"hagane.mac=52:54:00:00:00:01 BOOTIF=01-52-54-00-aa-bb-01 quiet": {"", "", "52:54:00:00:00:01"},
		"BOOTIF=nonsense": {},
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
