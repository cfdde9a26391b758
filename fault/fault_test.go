package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/hagane-cloud/hagane/fault"
)

type coded string

func (c coded) Error() string    { return "state " + string(c) }
func (c coded) SQLState() string { return string(c) }

// TestBrokenConnections are told from defects: whoever asked may try again, and is told so without a word of the inside.
func TestBrokenConnections(t *testing.T) {
	for _, err := range []error{io.ErrUnexpectedEOF, &net.OpError{Op: "write", Err: errors.New("broken pipe")}, context.DeadlineExceeded, coded("08006"), coded("57P01"), coded("25P03")} {
		for _, wrapped := range []error{err, fmt.Errorf("x: %w", err), fault.E(fault.Internal, "reading server 7", err)} {
			if fault.KindOf(wrapped) != fault.Unavailable || strings.Contains(fault.Message(wrapped), "7") || !strings.Contains(fault.Message(wrapped), "try again") {
				t.Errorf("%v is %s: %s", wrapped, fault.KindOf(wrapped), fault.Message(wrapped))
			}
		}
		if kept := fault.E(fault.Conflict, "taken", err); fault.KindOf(kept) != fault.Conflict {
			t.Errorf("%v is %s", kept, fault.KindOf(kept))
		}
	}
	for _, err := range []error{errors.New("a defect"), coded("23505"), fault.E(fault.Internal, "reading", coded("42P01"))} {
		if fault.KindOf(err) != fault.Internal {
			t.Errorf("%v is %s", err, fault.KindOf(err))
		}
	}
	if fault.Is(nil, fault.Internal) || fault.Is(nil, fault.Unavailable) {
		t.Error("no error is a fault")
	}
}
