package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	_ "golang.org/x/crypto/ssh" // which its tests of compute import
)

// acceptance is where gophercloud keeps the tests that it runs against a real OpenStack.
const acceptance = "github.com/gophercloud/gophercloud/v2/internal/acceptance/openstack/"

// TestGophercloud runs gophercloud's own acceptance tests and compares what comes of each with the lists in the folder
// gophercloud, a file a suite. A test that is on no list, or that comes out otherwise than its list says, is an error.
func TestGophercloud(t *testing.T) {
	t.Parallel()
	t.Logf("gophercloud %s", gophercloud.DefaultUserAgent)
	lists, err := filepath.Glob("gophercloud/*.txt")
	if err != nil || len(lists) == 0 {
		t.Fatalf("no lists of tests: %v", err)
	}
	c := start(t)
	c.enrol(6)
	c.call("POST", "/identity/v3/regions", object{"region": object{"id": "RegionOne"}}, nil) // the tests know DevStack's
	env := append(append(c.gophercloudEnv(), c.gophercloudImages()...), c.gophercloudGround()...)
	member := c.gophercloudMember()
	for _, path := range lists {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := readSuite(t, path)
			s.run(t, slices.Concat(env, map[string][]string{"member": member, "system": {"OS_SYSTEM_SCOPE=all"}}[s.as]))
		})
	}
}

// suite is a list of a package's tests: a line "package PATH", then "OUTCOME TestName: why". The outcomes are pass;
// fail; skip, for tests that skip themselves; and out, for tests that are not run. All but pass need a reason. With a line
// "as member", for a user who is no administrator, or "as system", for tokens of that scope, it is a further list of a package, which need not name all tests.
type suite struct {
	pkg, as  string
	outcomes map[string]string
}

var suiteLine = regexp.MustCompile(`^(pass|fail|skip|out) (Test\w+)(: \S.*)?$`)

func readSuite(t *testing.T, path string) suite {
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := suite{outcomes: map[string]string{}}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if pkg, ok := strings.CutPrefix(line, "package "); ok {
			s.pkg = pkg
			continue
		}
		if as, ok := strings.CutPrefix(line, "as "); ok {
			s.as = as
			continue
		}
		m := suiteLine.FindStringSubmatch(line)
		if m == nil || (m[1] != "pass") != (m[3] != "") || s.outcomes[m[2]] != "" {
			t.Fatalf("%s: bad line, missing reason or double test: %s", path, line)
		}
		s.outcomes[m[2]] = m[1]
	}
	return s
}

var outcomeLine = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (Test\w+)`)

func (s suite) run(t *testing.T, env []string) {
	bin := filepath.Join(t.TempDir(), "acceptance")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "acceptance", "-o", bin, strings.TrimSuffix(acceptance+s.pkg, "/.")).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", s.pkg, err, out)
	}
	listed, err := exec.CommandContext(t.Context(), bin, "-test.list", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(listed))
	var names []string
	for _, name := range all {
		switch s.outcomes[name] {
		case "":
			if s.as != "" {
				continue
			}
			t.Errorf("%s is not on the list of %s", name, s.pkg)
		case "out":
		default:
			names = append(names, name)
		}
	}
	for name := range s.outcomes {
		if !slices.Contains(all, name) {
			t.Errorf("%s has no test %s", s.pkg, name)
		}
	}
	cmd := exec.CommandContext(t.Context(), bin, "-test.v", "-test.parallel", "1", "-test.timeout", "5m", "-test.run", fmt.Sprintf("^(%s)$", strings.Join(names, "|")))
	cmd.Env, cmd.Dir = append(os.Environ(), env...), t.TempDir()
	out, _ := cmd.CombinedOutput() // it fails when a test does, which the lines say
	got := map[string]string{}
	for _, m := range outcomeLine.FindAllStringSubmatch(string(out), -1) {
		got[m[2]] = strings.ToLower(m[1])
	}
	count := map[string]int{}
	for _, name := range names {
		count[got[name]]++
		if got[name] != s.outcomes[name] {
			t.Errorf("%s: %q, and the list says %s", name, got[name], s.outcomes[name])
		}
	}
	t.Logf("%s: %d pass, %d fail, %d skip, %d out of %d", s.pkg, count["pass"], count["fail"], count["skip"], len(s.outcomes)-len(names), len(s.outcomes))
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// gophercloudEnv is how its tests reach the cloud as administrator, and the things that they want to be there.
func (c *cloud) gophercloudEnv() []string {
	c.Helper()
	return []string{
		"OS_AUTH_URL=" + c.rc["OS_AUTH_URL"], "OS_USERNAME=" + c.rc["OS_USERNAME"], "OS_PASSWORD=" + c.rc["OS_PASSWORD"], "OS_DOMAIN_NAME=Default",
		"OS_PROJECT_NAME=" + c.rc["OS_PROJECT_NAME"], "OS_REGION_NAME=" + c.rc["OS_REGION_NAME"], "OS_BRANCH=master", "OS_CLIENT_CONFIG_FILE=", "OS_CLOUD=",
		"OS_POOL_NAME=unset", "OS_EXTGW_ID=" + c.outside("outside", "203.0.113.0/24"),
	}
}

// outside makes an external network with a subnet and returns its id.
func (c *cloud) outside(name, cidr string) string {
	c.Helper()
	var n struct{ Network struct{ ID string } }
	c.call("POST", "/network/v2.0/networks", object{"network": object{"name": name, "router:external": true}}, &n)
	c.call("POST", "/network/v2.0/subnets", object{"subnet": object{"network_id": n.Network.ID, "cidr": cidr, "ip_version": 4, "enable_dhcp": false}}, nil)
	return n.Network.ID
}

// gophercloudMember makes a user with the role member on a project, and returns how its tests reach the cloud as that.
func (c *cloud) gophercloudMember() []string {
	c.Helper()
	const name, password = "acceptance", "the acceptance tests' word"
	var p, u struct{ Project, User struct{ ID string } }
	c.call("POST", "/identity/v3/projects", object{"project": object{"name": name}}, &p)
	c.call("POST", "/identity/v3/users", object{"user": object{"name": name, "password": password}}, &u)
	c.call("PUT", "/identity/v3/projects/"+p.Project.ID+"/users/"+u.User.ID+"/roles/role-member", nil, nil)
	return []string{"OS_USERNAME=" + name, "OS_PASSWORD=" + password, "OS_PROJECT_NAME=" + name}
}

// gophercloudGround makes what its tests want to be there for servers: an image, a network and two flavors, for everyone.
func (c *cloud) gophercloudGround() []string {
	c.Helper()
	net, img := c.ground("private")
	var f struct{ Flavors []struct{ ID string } }
	c.call("POST", "/compute/v2.1/flavors", object{"flavor": object{"name": "other", "ram": 2048, "vcpus": 2, "disk": 8}}, nil)
	c.call("GET", "/compute/v2.1/flavors", nil, &f)
	return []string{"OS_IMAGE_ID=" + img, "OS_NETWORK_NAME=private", "OS_NETWORK_ID=" + net, "OS_FLAVOR_ID=" + f.Flavors[0].ID, "OS_FLAVOR_ID_RESIZE=" + f.Flavors[1].ID}
}
