package ipmi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/bmc"
)

// Completion codes (IPMI 2.0, table 5-2).
const (
	codeBusy        types.CompletionCode = 0xc0
	codeUnknown     types.CompletionCode = 0xc1
	codeTimeout     types.CompletionCode = 0xc3
	codeNoSpace     types.CompletionCode = 0xc4
	codeReservation types.CompletionCode = 0xc5
	codeNotPresent  types.CompletionCode = 0xcb
	codeDuplicated  types.CompletionCode = 0xcf
	codeStarting    types.CompletionCode = 0xd2
	codePrivilege   types.CompletionCode = 0xd4
	codeState       types.CompletionCode = 0xd5
	codeDisabled    types.CompletionCode = 0xd6
)

// completion is the class of a completion code. After a time-out inside of the BMC, and where it calls a command a
// duplicate, a change may have been carried out.
func completion(c types.CompletionCode, change bool) bmc.Class {
	switch c {
	case codeTimeout, codeDuplicated:
		if change {
			return bmc.Uncertain
		}
		return bmc.Busy
	case codeBusy, codeNoSpace, codeState, codeReservation:
		return bmc.Busy
	case codeStarting:
		return bmc.NotReady
	case codeUnknown, codeDisabled:
		return bmc.Unsupported
	case codePrivilege:
		return bmc.Privilege
	}
	return bmc.Refused
}

// again reports whether a command may be sent again that was answered with a code: it was not begun, or changes nothing.
func again(c types.CompletionCode, change bool) bool {
	switch c {
	case codeBusy, codeNoSpace, codeStarting:
		return true
	case codeTimeout, codeDuplicated:
		return !change
	}
	return false
}

// codeOf returns the completion code that err is about; 0 when it is about none.
func codeOf(err error) types.CompletionCode {
	var response *types.ResponseError
	if errors.As(err, &response) {
		return response.CompletionCode()
	}
	return 0
}

// refusals are the answers to a wrong user name, password or a privilege that the user does not have. "Invalid role" is none: some
// BMCs say so of a cipher suite.
var refusals = []types.RmcpStatusCode{types.RmcpStatusCodeUnauthorizedName, types.RmcpStatusCodeInvalidIntegrityCheckValue, types.RmcpStatusCodeUnauthorizedRoleOfPriLevel,
	types.RmcpStatusCodeInvalidNameLength}

// full are the answers of a BMC that has no room for another session.
var full = []types.RmcpStatusCode{types.RmcpStatusCodeNoResToCreateSess, types.RmcpStatusCodeNoResToCreateSessAtRole}

// says reports whether err holds one of the statuses. The library joins the errors of its attempts as text, so that their types are
// lost and only their words remain.
func says(err error, codes []types.RmcpStatusCode) bool {
	var status *types.RmcpStatusError
	if errors.As(err, &status) {
		for _, code := range codes {
			if status.StatusCode() == code {
				return true
			}
		}
	}
	for _, code := range codes {
		if strings.Contains(err.Error(), types.NewRmcpStatusError(code).Error()) {
			return true
		}
	}
	return false
}

// refused reports whether a BMC refused our credentials.
func refused(err error) bool {
	if errors.Is(err, client.ErrRAKPAuthentication) || strings.Contains(err.Error(), client.ErrRAKPAuthentication.Error()) {
		return true // one side does not know the other's password
	}
	return says(err, refusals)
}

// unproven reports whether the user was taken, and only the BMC's last message in the handshake is not what it ought to be. A password that
// is wrong was found out two messages before. Source: IPMI 2.0, 13.31.
func unproven(err error) bool {
	return strings.Contains(err.Error(), "validate rakp4 failed")
}

// deaf reports whether not even the question that needs no session was answered.
func deaf(err error) bool {
	return strings.Contains(err.Error(), "Get Channel Authentication Capabilities failed")
}

// silent reports whether an error means no more than that nothing came back: a BMC that forgot a session does
// not answer its end.
func silent(err error) bool {
	var response *types.ResponseError
	return !errors.As(err, &response)
}

// explain turns an error of the library into a failure.
func explain(doing string, change bool, err error) error {
	switch {
	case err == nil:
		return nil
	case bmc.ClassOf(err) != "":
		return err
	case says(err, full):
		return bmc.Fail(bmc.Failure{Class: bmc.SessionsFull, Code: "0x01", Err: err}, "%s: the BMC has no room for another session; those that were left open end by themselves after a minute", doing)
	case unproven(err):
		return bmc.Fail(bmc.Failure{Class: bmc.NotReady, Err: err}, "%s: the BMC's last proof of itself does not fit what it said before: it has restarted meanwhile, or it has a key of its own (KG), which has to be taken away", doing)
	case refused(err):
		return bmc.Fail(bmc.Failure{Class: bmc.Credentials, Err: err}, "%s: the BMC refuses the user name or password", doing)
	case !silent(err):
		c := codeOf(err)
		return bmc.Fail(bmc.Failure{Class: completion(c, change), Code: fmt.Sprintf("%#02x", uint8(c)), Err: err}, "%s: the BMC answers with completion code %#02x", doing, uint8(c))
	case change:
		return bmc.Fail(bmc.Failure{Class: bmc.Uncertain, Err: err}, "%s: it was sent and no answer came; it may have been carried out or not", doing)
	}
	return bmc.Fail(bmc.Failure{Class: bmc.Unreachable, Err: err}, "%s: the BMC does not answer", doing)
}
