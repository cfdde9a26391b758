package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
)

// recognise compares what the BMC says the server is with what the agent found that runs on it: a BMC's address that was mistaken
// for another's has one server pressed and another one watched. It is told and stops nothing: BMCs tell wrong UUIDs, and serial
// numbers of the board.
func (j *Job) recognise(ctx context.Context, inv protocol.Inventory) error {
	id := j.Node.Identity
	if id == nil {
		return nil
	}
	same, known := sameServer(*id, inv)
	if !known {
		return nil
	}
	evidence, sure := "the BMC and the agent tell the same server", Agreed
	if !same {
		evidence = fmt.Sprintf("the BMC tells of the server with serial %q and UUID %s, and the agent runs on serial %q and UUID %s; compare the BMC's address and the ports' MAC addresses with the cables",
			id.Serial, id.UUID, inv.Serial, inv.UUID)
		sure = Doubtful
		if err := j.tell(ctx, "identity", evidence); err != nil {
			return err
		}
	}
	return j.found(ctx, "identity", id, evidence, sure)
}

// sameServer reports whether a BMC and an agent tell of one server, by its UUID or else its serial number; known is false when they
// do not tell enough. A serial number that differs alone says nothing: some BMCs tell that of the board, or the service tag.
func sameServer(id bmc.Identity, inv protocol.Inventory) (same, known bool) {
	serials := serialOf(id.Serial) != "" && serialOf(inv.Serial) != ""
	equal := serials && serialOf(id.Serial) == serialOf(inv.Serial)
	a, b := uuidBytes(id.UUID), uuidBytes(inv.UUID)
	switch {
	case equal, a != nil && b != nil && sameUUID(a, b):
		return true, true
	case serials && a != nil && b != nil:
		return false, true
	}
	return false, false
}

// sameUUID compares UUIDs in every order that firmware writes their bytes in: as RFC 9562 has them, with the first three fields turned
// round as SMBIOS has them since 2.6 (Supermicro's BMCs and systems differ in that: metal-stack/go-hal, supermicro.go), or whole, as IPMI does.
func sameUUID(a, b []byte) bool {
	turned := slices.Clone(b)
	for _, field := range [][]byte{turned[0:4], turned[4:6], turned[6:8]} {
		slices.Reverse(field)
	}
	whole := slices.Clone(b)
	slices.Reverse(whole)
	return slices.Equal(a, b) || slices.Equal(a, turned) || slices.Equal(a, whole)
}

// uuidBytes reads a UUID; nil when it is none, or one of those that boards are delivered with: all zeros, all ones, or zeros but for
// a MAC address.
func uuidBytes(s string) []byte {
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "-", ""))
	if err != nil || len(raw) != 16 {
		return nil
	}
	first := raw[:10]
	if !slices.ContainsFunc(first, func(c byte) bool { return c != 0 }) || !slices.ContainsFunc(first, func(c byte) bool { return c != 0xff }) {
		return nil
	}
	return raw
}

// noSerials are what makers leave in place of a serial number.
var noSerials = []string{"", "na", "n/a", "none", "null", "unknown", "default string", "not specified", "to be filled by o.e.m.", "system serial number", "0123456789", "123456789"}

func serialOf(s string) string {
	s = strings.ToLower(strings.Trim(s, " \x00"))
	if slices.Contains(noSerials, s) || strings.Trim(s, "0") == "" {
		return ""
	}
	return s
}
