// Package openapi serves the OpenAPI 3.1 document of every service. The documents are derived from the code of the
// dialects (package derive) by a test, which fails when they differ from it.
package openapi

import (
	"embed"
	"net/http"
	"path"
	"strings"

	"github.com/hagane-cloud/hagane/api"
	"github.com/hagane-cloud/hagane/fault"
)

// Prefix is where the documents are.
const Prefix = "/openapi"

// Folder is where the documents lie, below this package.
const Folder = "documents"

//go:embed documents/*.json
var documents embed.FS

// Dialect makes the dialect. Its errors are in the form that onError writes.
func Dialect(onError func(w http.ResponseWriter, status int, err error)) api.Dialect {
	return api.Dialect{Prefix: Prefix, Error: onError, Routes: []api.Route{
		{"GET", "", api.Anyone, list},
		{"GET", "/{name}", api.Anyone, show},
	}}
}

// list tells which documents there are.
func list(w http.ResponseWriter, r *api.Request) error {
	entries, err := documents.ReadDir(Folder)
	if err != nil {
		return fault.E(fault.Internal, "listing the documents", err)
	}
	out := []api.Object{}
	for _, e := range entries {
		out = append(out, api.Object{"name": strings.TrimSuffix(e.Name(), ".json"), "href": api.BaseURL(r.Request) + Prefix + "/" + e.Name()})
	}
	return api.JSON(w, http.StatusOK, api.Object{"documents": out})
}

// show answers with a document, with or without .json behind its name.
func show(w http.ResponseWriter, r *api.Request) error {
	name := strings.TrimSuffix(r.PathValue("name"), ".json")
	text, err := documents.ReadFile(path.Join(Folder, path.Base(name)+".json"))
	if err != nil {
		return fault.Errorf(fault.NotFound, "there is no document %q; GET %s lists them", name, Prefix)
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(text)
	return err
}
