// Package derive writes OpenAPI 3.1 documents of the API from the code of its dialects: the routes and their
// permissions from the literals, bodies from the types that handlers decode into, answers from the documents that they
// build, query parameters from what they ask the query for. A test calls it and compares what it writes with the
// documents that are served (api/openapi), so that these never differ from the code; the program does not contain it.
package derive

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/packages"
)

// module is the import path of the project.
const module = "github.com/hagane-cloud/hagane/"

// reader has read the packages below api.
type reader struct {
	packages map[string]*packages.Package // by path below the module
	funcs    map[string]function          // by full name
}

// function is a function's code and the types in it.
type function struct {
	decl *ast.FuncDecl
	info *types.Info
}

// Services reads the code in root and returns a document for each dialect, by the name of its service.
func Services(root string) (map[string][]byte, error) {
	loaded, err := packages.Load(&packages.Config{Dir: root,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile}, "./api/...")
	if err != nil {
		return nil, err
	}
	r := &reader{packages: map[string]*packages.Package{}, funcs: map[string]function{}}
	for _, p := range loaded {
		for _, e := range p.Errors {
			return nil, fmt.Errorf("reading %s: %w", p.PkgPath, e)
		}
		r.packages[strings.TrimPrefix(p.PkgPath, module)] = p
		for _, f := range p.Syntax {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
					r.funcs[p.TypesInfo.Defs[fn.Name].(*types.Func).FullName()] = function{fn, p.TypesInfo}
				}
			}
		}
	}
	out := map[string][]byte{}
	for _, p := range r.packages {
		doc := r.document(p)
		if doc == nil {
			continue
		}
		text, err := json.MarshalIndent(pruned(doc), "", " ")
		if err != nil {
			return nil, err
		}
		out[strings.TrimPrefix(constant(p, "Prefix"), "/")] = append(text, '\n')
	}
	return out, nil
}

// schema is a JSON schema, or another object of a document.
type schema = map[string]any

// document describes a dialect; nil when the package is none.
func (r *reader) document(p *packages.Package) schema {
	prefix := constant(p, "Prefix")
	routes := r.routes(p)
	if prefix == "" || len(routes) == 0 {
		return nil
	}
	paths := map[string]schema{}
	for _, rt := range routes {
		path := strings.ReplaceAll(rt.path, "...}", "}")
		if path == "" {
			path = "/"
		}
		if paths[path] == nil {
			paths[path] = schema{}
		}
		paths[path][strings.ToLower(rt.verb)] = r.operation(rt)
	}
	return schema{
		"openapi": "3.1.0",
		"info":    schema{"title": "Hagane: " + strings.TrimPrefix(prefix, "/"), "version": "1", "description": packageDoc(p), "license": schema{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers": []schema{{"url": prefix}},
		"paths":   paths,
		"components": schema{
			"securitySchemes": schema{"token": schema{"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
			"responses": schema{"error": schema{"description": "what is wrong, and what to do next",
				"content": schema{"application/json": schema{"schema": r.errorForm(p)}}}},
		},
	}
}

// constant returns a package's string constant.
func constant(p *packages.Package, name string) string {
	c, ok := p.Types.Scope().Lookup(name).(*types.Const)
	if !ok {
		return ""
	}
	return unquoted(c.Val())
}

func packageDoc(p *packages.Package) string {
	for _, f := range p.Syntax {
		if f.Doc != nil {
			return oneLine(f.Doc.Text())
		}
	}
	return ""
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// errorForm is the form of a dialect's errors: what its function Error writes.
func (r *reader) errorForm(p *packages.Package) schema {
	form := schema{"type": "object"}
	fn, ok := r.funcs[p.PkgPath+".Error"]
	if !ok {
		return form
	}
	v := visit{reader: r, op: newOperation()}
	v.body(fn.decl.Body, scope{reader: r, info: fn.info, code: fn.decl.Body})
	for _, s := range v.op.answers {
		form = s
	}
	return form
}
