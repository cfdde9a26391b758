package conformance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// stack is what a tenant describes to Terraform.
const stack = `
terraform {
  required_providers {
    openstack = { source = "terraform-provider-openstack/openstack" }
  }
}

provider "openstack" {}

variable "image" { type = string }

resource "openstack_identity_project_v3" "project" {
  name        = "terraform"
  description = "made by a test"
}

resource "openstack_networking_network_v2" "net" {
  name = "terraform"
}

resource "openstack_networking_subnet_v2" "subnet" {
  name       = "terraform"
  network_id = openstack_networking_network_v2.net.id
  cidr       = "10.80.0.0/24"
}

resource "openstack_networking_port_v2" "port" {
  name       = "terraform"
  network_id = openstack_networking_network_v2.net.id
  fixed_ip {
    subnet_id  = openstack_networking_subnet_v2.subnet.id
    ip_address = "10.80.0.20"
  }
}

resource "openstack_networking_network_v2" "outside" {
  name     = "outside"
  external = true
}

resource "openstack_networking_subnet_v2" "outside" {
  network_id = openstack_networking_network_v2.outside.id
  cidr       = "203.0.113.0/24"
}

resource "openstack_networking_router_v2" "router" {
  name                = "terraform"
  external_network_id = openstack_networking_network_v2.outside.id
  depends_on          = [openstack_networking_subnet_v2.outside]
}

resource "openstack_networking_router_interface_v2" "interface" {
  router_id = openstack_networking_router_v2.router.id
  subnet_id = openstack_networking_subnet_v2.subnet.id
}

resource "openstack_networking_floatingip_v2" "floating" {
  pool       = openstack_networking_network_v2.outside.name
  port_id    = openstack_networking_port_v2.port.id
  depends_on = [openstack_networking_router_interface_v2.interface]
}

resource "openstack_compute_keypair_v2" "key" {
  name = "terraform"
}

resource "openstack_images_image_v2" "image" {
  name             = "terraform"
  local_file_path  = var.image
  disk_format      = "raw"
  container_format = "bare"
}

resource "openstack_compute_flavor_v2" "flavor" {
  name  = "terraform"
  ram   = 1024
  vcpus = 1
  disk  = 4
}

resource "openstack_compute_servergroup_v2" "group" {
  name     = "terraform"
  policies = ["anti-affinity"]
}

resource "openstack_compute_instance_v2" "server" {
  name      = "terraform"
  image_id  = openstack_images_image_v2.image.id
  flavor_id = openstack_compute_flavor_v2.flavor.id
  key_pair  = openstack_compute_keypair_v2.key.name
  user_data = "#!/bin/sh\ntrue\n"
  metadata  = { role = "web" }
  tags      = ["blue"]
  network {
    port = openstack_networking_port_v2.port.id
  }
  scheduler_hints {
    group = openstack_compute_servergroup_v2.group.id
  }
}

output "address" { value = openstack_compute_instance_v2.server.access_ip_v4 }
`

// TestTerraform applies a stack with Terraform and its provider for OpenStack, which must find nothing to change after that, and
// takes it away again. The provider is built from its source (conformance/terraform), and used without a registry.
func TestTerraform(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("terraform is not installed: https://developer.hashicorp.com/terraform/install")
	}
	bin := filepath.Join(t.TempDir(), "terraform-provider-openstack")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/terraform-provider-openstack/terraform-provider-openstack")
	build.Dir = "terraform"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the provider: %v\n%s", err, out)
	}
	c := start(t)
	c.enrol(1)
	dir := t.TempDir()
	for name, text := range map[string]string{"main.tf": stack, "disk.img": string(disk()),
		"cli.tfrc": fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"terraform-provider-openstack/openstack\" = %q\n  }\n  direct {}\n}\n", filepath.Dir(bin))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	terraform := func(args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), "terraform", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+filepath.Join(dir, "cli.tfrc"), "TF_VAR_image="+filepath.Join(dir, "disk.img"), "CHECKPOINT_DISABLE=1", "HOME="+dir,
			"OS_CLIENT_CONFIG_FILE="+filepath.Join(c.data, "clouds.yaml"), "OS_CLOUD=hagane")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := terraform("apply", "-auto-approve", "-no-color"); code != 0 || !strings.Contains(out, `address = "10.80.0.20"`) {
		t.Fatalf("apply: %d\n%s", code, out)
	}
	if out, code := terraform("plan", "-detailed-exitcode", "-no-color"); code != 0 {
		t.Errorf("a plan right after finds something to change: %d\n%s", code, out)
	}
	if out, code := terraform("destroy", "-auto-approve", "-no-color"); code != 0 {
		t.Errorf("destroy: %d\n%s", code, out)
	}
	var left struct{ Servers []struct{ Name string } }
	if c.call("GET", "/compute/v2.1/servers", nil, &left); len(left.Servers) != 0 {
		t.Errorf("servers are left: %v", left.Servers)
	}
}
