package bmc

import (
	"context"
	"slices"
	"testing"
)

// pooled makes a pool whose drivers are boards.
func pooled() (*Pool, *[]*board) {
	var opened []*board
	return NewPool(func(_ context.Context, a Access) (Driver, error) {
		b := &board{name: a.Driver, power: On}
		opened = append(opened, b)
		return b, nil
	}, nil), &opened
}

func use(t *testing.T, p *Pool, key string, paths ...Access) *Composed {
	t.Helper()
	d, back, err := p.Get(t.Context(), key, paths)
	if err != nil {
		t.Fatal(err)
	}
	defer back()
	if _, err := d.Power(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// Fact: BMCs have few sessions and leak them: one driver is kept for each BMC, and closed when it is idle or its access changes.
func TestPoolKeepsOneDriver(t *testing.T) {
	p, opened := pooled()
	a := Access{Driver: "redfish", Address: "https://10.0.0.1", Password: "one"}
	if first := use(t, p, "n1", a); use(t, p, "n1", a) != first || len(*opened) != 1 {
		t.Errorf("%d drivers were opened", len(*opened))
	}
	a.Password = "two"
	use(t, p, "n1", a)
	if len(*opened) != 2 || !slices.Contains((*opened)[0].calls, "close") {
		t.Errorf("%d drivers, the first did %v", len(*opened), (*opened)[0].calls)
	}
	p.CloseIdle(t.Context(), 0)
	if !slices.Contains((*opened)[1].calls, "close") {
		t.Error("an idle driver stays open")
	}
}

func TestPoolLeavesABusyDriverAlone(t *testing.T) {
	p, opened := pooled()
	a := Access{Driver: "redfish", Address: "https://10.0.0.1"}
	d, back, err := p.Get(t.Context(), "n1", []Access{a})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Power(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.CloseIdle(t.Context(), 0)
	if other := use(t, p, "n1", a); other == d || slices.Contains((*opened)[0].calls, "close") {
		t.Error("a driver that is in use was given away or closed")
	}
	back()
}

func TestPoolKeepsWhatIsKnown(t *testing.T) {
	p, _ := pooled()
	filled := 0
	fill := func(m *Memory) { filled++; m.Set("redfish boot", "SD") }
	k := p.Kept("n1", fill)
	if p.Kept("n1", fill) != k || filled != 1 || k.Memory.Taken() {
		t.Errorf("filled %d times", filled)
	}
	d := use(t, p, "n1", Access{Driver: "redfish", Address: "https://10.0.0.1"}, Access{Driver: "ipmi", Address: "10.0.0.1:623"})
	if d.known != k.Memory || d.paths[0].access.Breaker == d.paths[1].access.Breaker {
		t.Error("the paths of one BMC share memory, and have a breaker each")
	}
	k.breakers["redfish"].Report(Fail(Failure{Class: Unreachable}, "gone"))
	k.Rested()
	p.Forget(t.Context(), "n1")
	if p.Kept("n1", nil) == k {
		t.Error("not forgotten")
	}
}

// Fact: a Cray EX4252's BMC has four servers: what is bounded is the BMC, however many nodes it has.
func TestServersOfOneBMCShareItsGate(t *testing.T) {
	p, _ := pooled()
	one := use(t, p, "n1", Access{Driver: "redfish", Address: "https://10.0.0.1", System: "/redfish/v1/Systems/Node0"})
	two := use(t, p, "n2", Access{Driver: "redfish", Address: "https://10.0.0.1/", System: "/redfish/v1/Systems/Node1"})
	far := use(t, p, "n3", Access{Driver: "redfish", Address: "https://10.0.0.2"})
	if one.paths[0].access.Gate != two.paths[0].access.Gate || one.paths[0].access.Gate == far.paths[0].access.Gate {
		t.Error("gates are by host")
	}
}
