package fake_test

import (
	"testing"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
	"github.com/hagane-cloud/hagane/network/fabric/fabrictest"
	"github.com/hagane-cloud/hagane/network/fabric/fake"
)

func TestConformance(t *testing.T) {
	fabrictest.Run(t, func(_ *testing.T, ports ...string) fabric.Driver { return fake.New(ports...) })
}

func TestFail(t *testing.T) {
	s := fake.New("a")
	s.Fail(fault.Errorf(fault.Unavailable, "no answer"))
	if err := s.SetPort(t.Context(), "a", fabric.Config{Access: 5}); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	s.Fail(nil)
	if p, err := s.Port(t.Context(), "a"); err != nil || !p.Isolated() {
		t.Errorf("%+v %v", p, err)
	}
}
