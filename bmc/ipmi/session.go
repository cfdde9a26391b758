package ipmi

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/hagane-cloud/hagane/fault"
)

// connect opens a session if there is none, and remembers the cipher suite that did.
func (d *driver) connect(ctx context.Context) (*client.Client, error) {
	if d.session != nil {
		return d.session, nil
	}
	doing := "opening an IPMI session with " + net.JoinHostPort(d.host, strconv.Itoa(d.port))
	var errs []error
	for _, suite := range d.suites {
		c, err := client.NewClient(d.host, d.port, d.access.Username, d.access.Password)
		if err != nil {
			return nil, fault.E(fault.Invalid, "preparing an IPMI session with "+d.host, err)
		}
		c.WithTimeout(d.access.Timeout / tries).WithRetry(tries - 1).WithCipherSuiteID(suite)
		err = c.Connect20(ctx)
		if err == nil {
			d.session, d.suites = c, []types.CipherSuiteID{suite}
			return c, nil
		}
		drop(ctx, c)
		// Another suite would bring nobody to life, and an account only nearer to its lock-out.
		if err := explain(doing, err); ctx.Err() != nil || deaf(err) || fault.Is(err, fault.Denied) {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, fault.E(fault.Unavailable, doing+": the BMC took none of the cipher suites 17 and 3", errors.Join(errs...))
}

// drop gives up a client without a word to the BMC, which does not listen.
func drop(ctx context.Context, c *client.Client) {
	over, cancel := context.WithCancel(ctx)
	cancel()
	_ = c.Close(over)
}

// deaf reports whether not even the question that needs no session was answered.
func deaf(err error) bool {
	return strings.Contains(err.Error(), "Get Channel Authentication Capabilities failed")
}

// refusals are the answers to a wrong user name, password or a privilege that the user does not have.
var refusals = []types.RmcpStatusCode{types.RmcpStatusCodeUnauthorizedName, types.RmcpStatusCodeInvalidIntegrityCheckValue, types.RmcpStatusCodeUnauthorizedRoleOfPriLevel}

// refused reports whether a BMC refused our credentials. The library joins the errors of its attempts as
// text, so that their types are lost and only their words remain.
func refused(err error) bool {
	if errors.Is(err, client.ErrRAKPAuthentication) || strings.Contains(err.Error(), client.ErrRAKPAuthentication.Error()) {
		return true // one side does not know the other's password
	}
	for _, code := range refusals {
		if strings.Contains(err.Error(), types.NewRmcpStatusError(code).Error()) {
			return true
		}
	}
	return false
}

// explain turns an error of the library into a fault.
func explain(doing string, err error) error {
	var response *types.ResponseError
	switch {
	case err == nil:
		return nil
	case refused(err):
		return fault.E(fault.Denied, doing+": the BMC refuses the user name or password", err)
	case errors.As(err, &response):
		return fault.E(completion(response.CompletionCode()), doing, err)
	}
	return fault.E(fault.Unavailable, doing, err)
}

// Close ends the session, so that the BMC's slot is free at once and not after its time-out.
func (d *driver) Close(ctx context.Context) error {
	if d.session == nil {
		return nil
	}
	c := d.session
	d.session = nil
	if err := c.Close(ctx); err != nil && !silent(err) {
		return explain("closing the IPMI session", err)
	}
	return nil
}

// silent reports whether an error means no more than that nothing came back: a BMC that forgot a session does
// not answer its end.
func silent(err error) bool {
	var response *types.ResponseError
	return !errors.As(err, &response)
}
