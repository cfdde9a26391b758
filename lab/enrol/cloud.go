package enrol

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/hagane-cloud/hagane/fault"
)

const (
	callTimeout    = 30 * time.Second
	ironicVersion  = "1.78"
	maxAnswerBytes = 16 << 20
)

// entry is one cloud of a clouds.yaml.
type entry struct {
	Auth struct {
		AuthURL           string `yaml:"auth_url"`
		Username          string `yaml:"username"`
		Password          string `yaml:"password"`
		ProjectName       string `yaml:"project_name"`
		UserDomainName    string `yaml:"user_domain_name"`
		ProjectDomainName string `yaml:"project_domain_name"`
	} `yaml:"auth"`
}

func readCloud(path, name string) (entry, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return entry{}, fault.Errorf(fault.Unavailable, "there is no %s yet: start the cloud with hagane serve", path)
	}
	if err != nil {
		return entry{}, fault.E(fault.Internal, "read clouds.yaml", err)
	}
	var file struct {
		Clouds map[string]entry `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return entry{}, fault.E(fault.Invalid, "read "+path, err)
	}
	found, ok := file.Clouds[name]
	if !ok || found.Auth.AuthURL == "" {
		return entry{}, fault.Errorf(fault.Invalid, "%s has no cloud %q with an auth_url", path, name)
	}
	return found, nil
}

// cloud is a cloud with a token for it.
type cloud struct {
	http                *http.Client
	token               string
	baremetal, operator string
}

// Token requests and answers of the Keystone v3 API, as far as they are needed.
type (
	domain struct {
		Name string `json:"name"`
	}
	tokenRequest struct {
		Auth struct {
			Identity struct {
				Methods  []string `json:"methods"`
				Password struct {
					User struct {
						Name     string `json:"name"`
						Password string `json:"password"`
						Domain   domain `json:"domain"`
					} `json:"user"`
				} `json:"password"`
			} `json:"identity"`
			Scope struct {
				Project struct {
					Name   string `json:"name"`
					Domain domain `json:"domain"`
				} `json:"project"`
			} `json:"scope"`
		} `json:"auth"`
	}
	tokenAnswer struct {
		Token struct {
			Catalog []struct {
				Type      string `json:"type"`
				Endpoints []struct {
					Interface string `json:"interface"`
					URL       string `json:"url"`
				} `json:"endpoints"`
			} `json:"catalog"`
		} `json:"token"`
	}
)

// connect gets a token and finds the endpoints in its catalog.
func connect(ctx context.Context, e entry) (*cloud, error) {
	var req tokenRequest
	id, scope := &req.Auth.Identity, &req.Auth.Scope.Project
	id.Methods = []string{"password"}
	id.Password.User.Name, id.Password.User.Password = e.Auth.Username, e.Auth.Password
	id.Password.User.Domain.Name = or(e.Auth.UserDomainName, "Default")
	scope.Name, scope.Domain.Name = e.Auth.ProjectName, or(e.Auth.ProjectDomainName, "Default")
	c := &cloud{http: &http.Client{Timeout: callTimeout}}
	var got tokenAnswer
	header, err := c.call(ctx, http.MethodPost, strings.TrimSuffix(versioned(e.Auth.AuthURL, "/v3"), "/")+"/auth/tokens", req, &got)
	if err != nil {
		return nil, fault.Wrap("get a token", err)
	}
	c.token = header.Get("X-Subject-Token")
	for _, service := range got.Token.Catalog {
		for _, endpoint := range service.Endpoints {
			if endpoint.Interface != "public" {
				continue
			}
			switch at := strings.TrimSuffix(strings.TrimSuffix(endpoint.URL, "/"), "/v1"); service.Type {
			case "baremetal":
				c.baremetal = at
			case "operator":
				c.operator = at
			}
		}
	}
	if c.token == "" || c.baremetal == "" || c.operator == "" {
		return nil, fault.Errorf(fault.Unavailable, "the cloud at %s gave no token, or none with endpoints for baremetal and operator", e.Auth.AuthURL)
	}
	return c, nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// versioned returns a URL that ends with the version.
func versioned(address, version string) string {
	address = strings.TrimSuffix(address, "/")
	if strings.HasSuffix(address, version) {
		return address
	}
	return address + version
}

func (c *cloud) do(ctx context.Context, method, address string, in, out any) error {
	_, err := c.call(ctx, method, address, in, out)
	return err
}

// call exchanges one request; the faults of a refusal carry the cloud's own words.
func (c *cloud) call(ctx context.Context, method, address string, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fault.E(fault.Internal, "write the request", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fault.E(fault.Invalid, "ask "+address, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-OpenStack-Ironic-API-Version", ironicVersion)
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "reach the cloud", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return nil, fault.E(fault.Unavailable, "read the cloud's answer", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return nil, fault.Errorf(kindOf(res.StatusCode), "%s %s: %s: %s", method, address, res.Status, bytes.TrimSpace(text[:min(len(text), 500)]))
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			return nil, fault.E(fault.Unavailable, "read the cloud's answer", err)
		}
	}
	return res.Header, nil
}

func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusUnprocessableEntity:
		return fault.Invalid
	case http.StatusUnauthorized:
		return fault.Unauthentic
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Conflict
	}
	return fault.Unavailable
}
