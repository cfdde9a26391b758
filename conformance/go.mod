module github.com/hagane-cloud/hagane/conformance

go 1.26.0

require github.com/nttcom/eclcloud/v3 v3.5.0
