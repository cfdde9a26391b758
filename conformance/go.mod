module github.com/hagane-cloud/hagane/conformance

go 1.26.0

require (
	github.com/gophercloud/gophercloud/v2 v2.15.0
	github.com/nttcom/eclcloud/v3 v3.5.0
)

require golang.org/x/crypto v0.58.0

require (
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
