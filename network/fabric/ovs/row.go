package ovs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/network/fabric"
)

// Modes of a port. Source: ovs-vswitchd.conf.db(5), table Port, column vlan_mode.
const (
	modeAccess = "access"          // untagged frames, in the VLAN tag
	modeTrunk  = "trunk"           // tagged frames of the VLANs trunks, or of all VLANs when there are none; untagged ones only if 0 is among them
	modeNative = "native-untagged" // the same, and untagged frames in the VLAN tag
)

// nowhere is the only VLAN of an isolated port: a number that IEEE 802.1Q keeps back, and that no other switch forwards. A port without any VLAN would
// carry all.
const nowhere = 4095

// row is a row of the table Port.
type row struct {
	UUID       uuid      `json:"_uuid"`
	Name       string    `json:"name"`
	Interfaces set[uuid] `json:"interfaces"`
	vlans
}

// vlans are the columns that say what a port carries.
type vlans struct {
	Tag    set[int]    `json:"tag"`
	Trunks set[int]    `json:"trunks"`
	Mode   set[string] `json:"vlan_mode"`
	// Protected ports do not reach each other: so isolated ones do not even by frames with the tag 4095. Switches before Open vSwitch 2.11 do not
	// have it.
	Protected *bool `json:"protected"`
}

// columns are the columns that the switch has, by name, as they are written.
func (v vlans) columns() map[string]any {
	out := map[string]any{"tag": v.Tag, "trunks": v.Trunks, "vlan_mode": v.Mode}
	if v.Protected != nil {
		out["protected"] = *v.Protected
	}
	return out
}

// names are the names of these columns.
func (v vlans) names() []string {
	return slices.Sorted(maps.Keys(v.columns()))
}

// same reports whether both say the same, in the same words.
func (v vlans) same(w vlans) bool { return reflect.DeepEqual(v, w) }

// carrying is what the columns have to be for a port to carry exactly c. Columns that the switch lacks stay away.
func (v vlans) carrying(c fabric.Config) vlans {
	out := vlans{Tag: set[int]{}, Trunks: slices.Sorted(slices.Values(c.Tagged)), Mode: set[string]{modeTrunk}}
	switch {
	case c.Isolated():
		out.Trunks = set[int]{nowhere}
	case len(c.Tagged) == 0:
		out.Tag, out.Trunks, out.Mode = set[int]{c.Access}, set[int]{}, set[string]{modeAccess}
	case c.Access != 0:
		out.Tag, out.Mode = set[int]{c.Access}, set[string]{modeNative}
	}
	if v.Protected != nil {
		alone := c.Isolated()
		out.Protected = &alone
	}
	return out
}

// config is what the columns say. What a fabric.Config has no words for is one that equals none that can be set: it has 0 among the tagged.
func (v vlans) config() fabric.Config {
	tag, tagged := 0, v.tagged()
	if len(v.Tag) > 0 && v.Tag[0] != nowhere {
		tag = v.Tag[0]
	}
	switch mode := v.mode(); {
	case mode == modeAccess && tag != 0:
		return fabric.Config{Access: tag}
	case mode == modeTrunk:
		return fabric.Config{Tagged: tagged}
	case mode == modeNative && tag != 0: // which never carries 0
		return fabric.Config{Access: tag, Tagged: slices.DeleteFunc(tagged, func(n int) bool { return n == tag || n == 0 })}
	case mode == modeAccess: // frames without a VLAN, or of the one that is none: other ports may have the same
		return fabric.Config{Tagged: []int{0}}
	}
	return fabric.Config{Access: tag, Tagged: append([]int{0}, slices.DeleteFunc(tagged, func(n int) bool { return n == 0 })...)}
}

// mode is the port's mode, which the tag decides where nobody has said it.
func (v vlans) mode() string {
	switch {
	case len(v.Mode) > 0:
		return v.Mode[0]
	case len(v.Tag) > 0:
		return modeAccess
	}
	return modeTrunk
}

// tagged are the VLANs of trunks: all when there are none, also 0, which are untagged frames.
func (v vlans) tagged() []int {
	if len(v.Trunks) > 0 {
		return slices.DeleteFunc(slices.Sorted(slices.Values(v.Trunks)), func(n int) bool { return n == nowhere })
	}
	var all []int
	for n := range fabric.MaxVLAN + 1 {
		all = append(all, n)
	}
	return all
}

// port is a row as a port; links are the interfaces that have one.
func (r row) port(links map[uuid]bool) fabric.Port {
	return fabric.Port{Name: r.Name, Config: r.config(), Link: slices.ContainsFunc(r.Interfaces, func(u uuid) bool { return links[u] })}
}

// links reads which interfaces have a link.
func (s *session) links(ctx context.Context) (map[uuid]bool, error) {
	results, err := s.transact(ctx, op{"op": "select", "table": "Interface", "where": where{{"link_state", "==", "up"}}, "columns": []string{"_uuid"}})
	if err != nil {
		return nil, err
	}
	var said struct {
		Rows []struct {
			UUID uuid `json:"_uuid"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(results[0], &said); err != nil {
		return nil, unreadable(err)
	}
	up := map[uuid]bool{}
	for _, r := range said.Rows {
		up[r.UUID] = true
	}
	return up, nil
}

// rowsOf reads the rows that a select found.
func rowsOf(result json.RawMessage) ([]row, error) {
	var said struct {
		Rows []row `json:"rows"`
	}
	if err := json.Unmarshal(result, &said); err != nil {
		return nil, unreadable(err)
	}
	return said.Rows, nil
}

// rowOf reads the only row that a select found.
func rowOf[T any](results []json.RawMessage, at int, to *T) error {
	var said struct {
		Rows []T `json:"rows"`
	}
	if err := json.Unmarshal(results[at], &said); err != nil {
		return unreadable(err)
	}
	if len(said.Rows) != 1 {
		return fault.Errorf(fault.Unavailable, "the switch's database has %d rows where one was to be: was it set up by ovs-vsctl init?", len(said.Rows))
	}
	*to = said.Rows[0]
	return nil
}

// set is a column of any number of values: one stands for itself, and others are in ["set", […]] (RFC 7047, section 5.1).
type set[T any] []T

// UnmarshalJSON reads both forms.
func (s *set[T]) UnmarshalJSON(b []byte) error {
	var pair []json.RawMessage
	if json.Unmarshal(b, &pair) == nil && len(pair) == 2 && bytes.Equal(pair[0], []byte(`"set"`)) {
		values := []T{}
		err := json.Unmarshal(pair[1], &values)
		*s = values
		return err
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*s = set[T]{one}
	return nil
}

// MarshalJSON writes the form that fits any number.
func (s set[T]) MarshalJSON() ([]byte, error) { return json.Marshal([]any{"set", append([]T{}, s...)}) }

// uuid is the name of a row.
type uuid string

// UnmarshalJSON reads ["uuid", "…"].
func (u *uuid) UnmarshalJSON(b []byte) error {
	var pair [2]string
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if pair[0] != "uuid" {
		return fmt.Errorf("%s is no UUID", b)
	}
	*u = uuid(pair[1])
	return nil
}

// MarshalJSON writes it.
func (u uuid) MarshalJSON() ([]byte, error) { return json.Marshal([2]string{"uuid", string(u)}) }
