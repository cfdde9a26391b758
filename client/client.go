// Package client calls a cloud's API the way any client does: it authenticates, finds services in the
// catalog and exchanges JSON. The demo and the lab use it; it knows nothing that the API does not tell.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/hagane-cloud/hagane/fault"
)

// Access is an entry of clouds.yaml: how to reach a cloud, and as whom. Domains are "Default".
type Access struct {
	AuthURL, Username, Password, ProjectName string
}

const (
	callTimeout = 60 * time.Second
	maxAnswer   = 64 << 20
	domain      = "Default"
	// ironicVersion is the microversion that is asked for.
	ironicVersion = "1.78"
)

// ReadAccess reads the entry of that name in the clouds.yaml of a data folder. It returns Unavailable while there is no such file.
func ReadAccess(data, name string) (Access, error) {
	path := filepath.Join(data, "clouds.yaml")
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return Access{}, fault.Errorf(fault.Unavailable, "there is no %s yet: start the cloud with hagane serve --data %s", path, data)
	}
	if err != nil {
		return Access{}, fault.E(fault.Internal, "reading "+path, err)
	}
	var file struct {
		Clouds map[string]struct {
			Auth struct {
				AuthURL     string `yaml:"auth_url"`
				Username    string `yaml:"username"`
				Password    string `yaml:"password"`
				ProjectName string `yaml:"project_name"`
			} `yaml:"auth"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return Access{}, fault.E(fault.Invalid, "reading "+path, err)
	}
	c, ok := file.Clouds[name]
	if !ok || c.Auth.AuthURL == "" {
		return Access{}, fault.Errorf(fault.Invalid, "%s has no cloud %q with an auth_url", path, name)
	}
	return Access(c.Auth), nil
}

// Cloud is a cloud with a token for it.
type Cloud struct {
	http      *http.Client
	token     string
	endpoints map[string]string // service type → URL without a slash at the end
	ProjectID string
}

type object = map[string]any

// Connect gets a token for a project and reads the catalog.
func Connect(ctx context.Context, a Access) (*Cloud, error) {
	c := &Cloud{http: &http.Client{Timeout: callTimeout}, endpoints: map[string]string{}}
	req := object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{"user": object{"name": a.Username, "password": a.Password, "domain": object{"name": domain}}}},
		"scope":    object{"project": object{"name": a.ProjectName, "domain": object{"name": domain}}},
	}}
	var got struct {
		Token struct {
			Project struct{ ID string }
			Catalog []struct {
				Type      string
				Endpoints []struct{ Interface, URL string }
			}
		}
	}
	header, err := c.call(ctx, http.MethodPost, strings.TrimSuffix(a.AuthURL, "/")+"/auth/tokens", req, &got)
	if err != nil {
		return nil, fault.Wrap("getting a token", err)
	}
	c.token, c.ProjectID = header.Get("X-Subject-Token"), got.Token.Project.ID
	for _, s := range got.Token.Catalog {
		for _, e := range s.Endpoints {
			if e.Interface == "public" {
				c.endpoints[s.Type] = strings.TrimSuffix(e.URL, "/")
			}
		}
	}
	return c, nil
}

// Do exchanges one request with a service of the catalog. in is sent as JSON unless it is nil or an io.Reader, which is sent
// as it is; out, unless nil, takes the answer. A refusal is a fault with the cloud's own words.
func (c *Cloud) Do(ctx context.Context, method, service, path string, in, out any) error {
	base, ok := c.endpoints[service]
	if !ok {
		return fault.Errorf(fault.NotFound, "the cloud's catalog has no service %q", service)
	}
	_, err := c.call(ctx, method, base+path, in, out)
	return err
}

func (c *Cloud) call(ctx context.Context, method, url string, in, out any) (http.Header, error) {
	body, kind, err := encode(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, fault.E(fault.Invalid, "asking "+url, err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("X-OpenStack-Ironic-API-Version", ironicVersion)
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	h := c.http
	if kind != "application/json" {
		h = &http.Client{} // an upload takes as long as it takes; the context bounds it
	}
	res, err := h.Do(req)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "reaching the cloud", err)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, fault.E(fault.Unavailable, "reading the cloud's answer", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		const most = 1000
		return nil, fault.Errorf(kindOf(res.StatusCode), "%s %s: %s: %s", method, url, res.Status, bytes.TrimSpace(text[:min(len(text), most)]))
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			return nil, fault.E(fault.Unavailable, "reading the cloud's answer", err)
		}
	}
	return res.Header, nil
}

func encode(in any) (io.Reader, string, error) {
	switch v := in.(type) {
	case nil:
		return http.NoBody, "application/json", nil
	case io.Reader:
		return v, "application/octet-stream", nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return nil, "", fault.E(fault.Internal, "writing the request", err)
	}
	return bytes.NewReader(text), "application/json", nil
}

// kindOf is the kind of fault that a status tells.
func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthentic
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	case http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	}
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return fault.Unavailable
	}
	return fault.Invalid
}
