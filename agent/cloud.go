package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/agent/manifest"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// answerLimit bounds an answer of the cloud; a config drive's files come within one.
const answerLimit = 128 << 20

// cloud is the cloud as the agent sees it: one method a call, each tried once.
type cloud struct {
	base  string
	http  *http.Client
	token string
}

// client is the agent's own HTTP client. A proxy has no place on the provisioning network, and an
// answer's time limit is the call's.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
	}}
}

func (c *cloud) claim(ctx context.Context, claim protocol.Claim) (protocol.Claimed, error) {
	var claimed protocol.Claimed
	err := c.exchange(ctx, protocol.PathClaim, claim, &claimed)
	if err == nil {
		c.token = claimed.Token
	}
	return claimed, fault.Wrap("claiming the run", err)
}

func (c *cloud) beat(ctx context.Context, beat protocol.Beat) (protocol.Orders, error) {
	var orders protocol.Orders
	err := c.exchange(ctx, protocol.PathHeartbeat, beat, &orders)
	return orders, fault.Wrap("sending a heartbeat", err)
}

func (c *cloud) log(ctx context.Context, text []byte) error {
	answer, err := c.post(ctx, protocol.PathLog, "text/plain; charset=utf-8", text)
	if err == nil {
		_ = answer.Body.Close() // nothing is read from it
	}
	return fault.Wrap("sending the log home", err)
}

// image opens an image's stream. The caller closes it.
func (c *cloud) image(ctx context.Context, ref string) (io.ReadCloser, error) {
	at, err := c.resolve(ref)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, fault.E(fault.Invalid, "asking for the image", err)
	}
	// The image's own encoding is named in the order; the transport must not add one.
	request.Header.Set("Accept-Encoding", "identity")
	answer, err := c.do(request)
	if err != nil {
		return nil, fault.Wrap("asking for the image", err)
	}
	return answer.Body, nil
}

// manifest fetches what the chunks of an image are, of which digest is the SHA-256.
func (c *cloud) manifest(ctx context.Context, ref, digest string) (*manifest.Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	body, err := c.image(ctx, ref+protocol.PathManifest)
	if err != nil {
		return nil, fault.Wrap("asking for the manifest", err)
	}
	defer func() { _ = body.Close() }()
	encoded, err := io.ReadAll(io.LimitReader(body, manifest.MaxBytes+1))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "reading the manifest", err)
	}
	if !strings.EqualFold(manifest.Digest(encoded), digest) {
		return nil, fault.Errorf(fault.Invalid, "the manifest is not the one that the order names")
	}
	return manifest.Decode(encoded)
}

// chunk asks the store for one of the chunks that are wanted; see swarm.Cloud.
func (c *cloud) chunk(ctx context.Context, ref string, stall time.Duration, want []byte, alone bool, accept func(i int) []byte) (bool, error) {
	at, err := c.resolve(ref + protocol.PathChunk + "?alone=" + strconv.FormatBool(alone))
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(want))
	if err != nil {
		return false, fault.E(fault.Invalid, "asking for a chunk", err)
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	silent := time.AfterFunc(stall, cancel)
	defer silent.Stop()
	answer, err := c.do(request)
	if err != nil {
		return false, fault.Wrap("asking for a chunk", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNoContent {
		return false, nil
	}
	i, err := strconv.Atoi(answer.Header.Get(protocol.HeaderChunk))
	if err != nil {
		return false, fault.E(fault.Invalid, "reading which chunk the store sends", err)
	}
	source := &watched{from: answer.Body, stall: stall, cancel: cancel}
	room := accept(i)
	if room == nil {
		return true, nil // it came by another way meanwhile; the connection is given up with it
	}
	if _, err := io.ReadFull(source, room); err != nil {
		return false, source.explain(err)
	}
	return true, nil
}

// meet tells at which port this agent listens, and returns where others do.
func (c *cloud) meet(ctx context.Context, port int) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, logWithin)
	defer cancel()
	var answer protocol.Peers
	if err := c.exchange(ctx, protocol.PathSwarm, protocol.Meeting{Port: port}, &answer); err != nil {
		return nil, fault.Wrap("asking for peers", err)
	}
	var at []netip.AddrPort
	for _, text := range answer.Peers[:min(len(answer.Peers), mostPeers)] {
		if a, err := netip.ParseAddrPort(text); err == nil {
			at = append(at, a)
		}
	}
	return at, nil
}

// mostPeers bounds how many peers are taken from an answer.
const mostPeers = 256

// resolve makes a reference in an order absolute.
func (c *cloud) resolve(ref string) (string, error) {
	base, err := url.Parse(c.base)
	if err != nil {
		return "", fault.E(fault.Invalid, "reading the cloud's URL", err)
	}
	at, err := base.Parse(ref)
	if err != nil {
		return "", fault.E(fault.Invalid, "reading the image's URL", err)
	}
	return at.String(), nil
}

func (c *cloud) exchange(ctx context.Context, path string, question, result any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fault.E(fault.Internal, "encoding "+path, err)
	}
	answer, err := c.post(ctx, path, "application/json", body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(answer.Body, answerLimit)).Decode(result); err != nil {
		return fault.E(fault.Unavailable, "reading the answer", err)
	}
	// Reading to the end lets the connection be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 4096))
	return nil
}

func (c *cloud) post(ctx context.Context, path, kind string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(c.base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fault.E(fault.Invalid, "reading the cloud's URL", err)
	}
	request.Header.Set("Content-Type", kind)
	return c.do(request)
}

func (c *cloud) do(request *http.Request) (*http.Response, error) {
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "the cloud did not answer", err)
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	words, _ := io.ReadAll(io.LimitReader(answer.Body, 512)) // what there is of it is enough
	return nil, fault.Errorf(kindOf(answer.StatusCode), "the cloud answered %s: %s", answer.Status, strings.TrimSpace(string(words)))
}

// kindOf tells answers that time may change (Unavailable) from those that it will not.
func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthentic
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound, http.StatusGone:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnprocessableEntity:
		return fault.Invalid
	case http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	}
	return fault.Unavailable
}
