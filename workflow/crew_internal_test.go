package workflow

import (
	"fmt"
	"testing"
)

// TestKeeper spreads subjects over conductors, and takes one away.
func TestKeeper(t *testing.T) {
	const subjects = 4000
	var members []Member
	for _, id := range []Holder{"a", "b", "c", "d"} {
		members = append(members, Member{ID: id, Workflows: []string{"w/1"}})
	}
	count, moved := map[Holder]int{}, 0
	for i := range subjects {
		s := fmt.Sprint("node-", i)
		k := keeper(members, "", "w/1", s)
		count[k]++
		if after := keeper(members[1:], "", "w/1", s); k != "a" && after != k {
			moved++
		}
	}
	for _, m := range members {
		if n := count[m.ID]; n < subjects/4*9/10 || n > subjects/4*11/10 {
			t.Errorf("%s keeps %d of %d, want about a quarter", m.ID, n, subjects)
		}
	}
	if moved > 0 {
		t.Errorf("%d subjects changed hands though their conductor stayed", moved)
	}
	members[0].Group, members[1].Workflows = "x", append(members[1].Workflows, "w/2")
	for _, c := range []struct {
		group, workflow string
		want            Holder
	}{{"x", "w/1", "a"}, {"", "w/2", "b"}, {"x", "w/2", Nobody}, {"y", "w/1", Nobody}, {"x", "", "a"}} {
		if k := keeper(members, c.group, c.workflow, "s"); k != c.want {
			t.Errorf("group %q, %q: %s, want %s", c.group, c.workflow, k, c.want)
		}
	}
}
