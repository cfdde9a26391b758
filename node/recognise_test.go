package node

import (
	"testing"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/bmc"
)

// Fact: BMCs and SMBIOS write a server's UUID in different orders of bytes (Supermicro, IPMI), boards come with junk in place of it and of
// the serial number, and Dell's BMC tells the service tag: two witnesses that tell one server in their own ways are believed.
func TestServerIsRecognised(t *testing.T) {
	const uuid, turned, whole, other = "00112233-4455-6677-8899-aabbccddeeff", "33221100-5544-7766-8899-AABBCCDDEEFF", "ffeeddcc-bbaa-9988-7766-554433221100", "10112233-4455-6677-8899-aabbccddeeff"
	for _, c := range []struct {
		bmcSerial, bmcUUID, serial, uuid string
		same, known                      bool
	}{
		{"S1", uuid, "S1", uuid, true, true},
		{"S1", uuid, "S2", turned, true, true},
		{"S1", uuid, "S2", whole, true, true},
		{" S1 ", uuid, "s1", other, true, true},
		{"S1", uuid, "S2", other, false, true},
		{"TAG", "", "BOARD", other, false, false},
		{"To be filled by O.E.M.", uuid, "To be filled by O.E.M.", other, false, false},
		{"S1", "00000000-0000-0000-0000-ac1f6b000001", "S2", uuid, false, false},
		{"S1", "ffffffff-ffff-ffff-ffff-ffffffffffff", "S2", uuid, false, false},
		{"0000000000", "no uuid", "0000000000", uuid, false, false},
	} {
		same, known := sameServer(bmc.Identity{Serial: c.bmcSerial, UUID: c.bmcUUID}, protocol.Inventory{Serial: c.serial, UUID: c.uuid})
		if same != c.same || known != c.known {
			t.Errorf("%+v: same %v, known %v", c, same, known)
		}
	}
}
