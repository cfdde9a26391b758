// Package conformance tests a running cloud from outside, with clients that other people wrote: NTT's
// Go library for Enterprise Cloud, gophercloud with its own acceptance tests, Terraform with its provider for OpenStack, the library
// openstacksdk, and the commands openstack and baremetal. What openstacksdk's own
// functional tests say is in openstacksdk.md. It imports nothing of Hagane,
// and is a module of its own so that those clients' dependencies stay out of Hagane's.
package conformance
