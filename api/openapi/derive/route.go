package derive

import (
	"cmp"
	"go/ast"
	gconstant "go/constant"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// route is a literal of api.Route.
type route struct {
	verb, path, who string
	do              ast.Expr
	scope           scope
}

func unquoted(v gconstant.Value) string {
	if v == nil || v.Kind() != gconstant.String {
		return ""
	}
	return gconstant.StringVal(v)
}

// routes finds the literals of api.Route in a package, in their order.
func (r *reader) routes(p *packages.Package) []route {
	var out []route
	for _, f := range p.Syntax {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || !named(p.TypesInfo.TypeOf(lit), "api", "Route") || len(lit.Elts) != 4 {
				return true
			}
			rt := route{do: lit.Elts[3], scope: scope{reader: r, info: p.TypesInfo, code: f}}
			rt.verb = unquoted(p.TypesInfo.Types[lit.Elts[0]].Value)
			rt.path = unquoted(p.TypesInfo.Types[lit.Elts[1]].Value)
			if sel, ok := lit.Elts[2].(*ast.SelectorExpr); ok {
				rt.who = sel.Sel.Name
			}
			if rt.verb != "" {
				out = append(out, rt)
			}
			return true
		})
	}
	return out
}

// named reports whether t is a type of that name in the package below the module.
func named(t types.Type, path, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == module+path && n.Obj().Name() == name
}

// operation is what a handler does.
type operation struct {
	query    map[string]bool
	request  schema
	answers  map[int]schema // by status; nil is no body
	doc      string
	handler  string
	uploaded bool // the body is data
}

func newOperation() *operation {
	return &operation{query: map[string]bool{}, answers: map[int]schema{}}
}

// operation describes a route.
func (r *reader) operation(rt route) schema {
	v := visit{reader: r, op: newOperation()}
	v.handler(rt.do, rt.scope)
	op := v.op
	doc := schema{"operationId": cmp.Or(op.handler, "call") + " " + rt.verb + " " + rt.path, "x-permission": rt.who, "responses": answers(op)}
	if op.doc != "" {
		doc["description"] = op.doc
	}
	if rt.who == "Anyone" {
		doc["security"] = []schema{}
	} else {
		doc["security"] = []schema{{"token": []string{}}}
	}
	var parameters []schema
	for _, part := range strings.Split(rt.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parameters = append(parameters, schema{"name": strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."), "in": "path", "required": true, "schema": schema{"type": "string"}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(op.query)) {
		parameters = append(parameters, schema{"name": name, "in": "query", "schema": schema{"type": "string"}})
	}
	if len(parameters) > 0 {
		doc["parameters"] = parameters
	}
	if op.request != nil {
		doc["requestBody"] = schema{"required": true, "content": schema{"application/json": schema{"schema": op.request}}}
	}
	return doc
}

func answers(op *operation) schema {
	out := schema{"default": schema{"$ref": "#/components/responses/error"}}
	for status, s := range op.answers {
		one := schema{"description": describe(status)}
		if s != nil {
			one["content"] = schema{"application/json": schema{"schema": s}}
		}
		out[strconv.Itoa(status)] = one
	}
	if len(op.answers) == 0 {
		out["200"] = schema{"description": "data"}
	}
	return out
}

func describe(status int) string {
	switch status {
	case 201:
		return "it was made"
	case 202:
		return "it is under way"
	case 204:
		return "done; there is nothing to say"
	case 300:
		return "the versions that there are"
	}
	return "the answer"
}

// visit follows a handler through the functions that it calls.
type visit struct {
	*reader
	op      *operation
	depth   int
	wrapper string // the member of the request that holds the thing, of requests that are taken apart by hand
}

// deepest bounds how far calls are followed.
const deepest = 8

// handler finds the function that a route's last field stands for: a method, a closure, or either wrapped by functions that take one.
func (v *visit) handler(e ast.Expr, s scope) {
	switch e := ast.Unparen(e).(type) {
	case *ast.CallExpr:
		wrapped := false
		for _, arg := range e.Args {
			if isHandler(s.info.TypeOf(arg)) {
				v.handler(arg, s)
				wrapped = true
			}
		}
		if fn, inner, ok := v.callee(e, s); ok {
			if !wrapped {
				v.about(fn)
			}
			v.body(fn.decl.Body, inner)
		}
	case *ast.FuncLit:
		v.body(e.Body, scope{reader: v.reader, info: s.info, code: e.Body, bound: s.bound})
	case *ast.Ident, *ast.SelectorExpr:
		if fn, ok := v.function(e, s); ok {
			v.op.handler = fn.decl.Name.Name
			v.about(fn)
			inner := scope{reader: v.reader, info: fn.info, code: fn.decl.Body}
			if sel, ok := e.(*ast.SelectorExpr); ok {
				inner = v.receiver(fn, sel, s, inner)
			}
			v.body(fn.decl.Body, inner)
		}
	}
}

func (v *visit) about(fn function) {
	if fn.decl.Doc != nil && v.op.doc == "" {
		v.op.doc = oneLine(fn.decl.Doc.Text())
	}
}

func isHandler(t types.Type) bool {
	sig, ok := t.Underlying().(*types.Signature)
	return ok && sig.Params().Len() >= 2 && named(deref(sig.Params().At(1).Type()), "api", "Request")
}

func deref(t types.Type) types.Type {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// body notes what the code of a handler reads and writes.
func (v *visit) body(code ast.Node, s scope) {
	if v.depth >= deepest {
		return
	}
	v.depth++
	defer func() { v.depth-- }()
	ast.Inspect(code, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			v.call(n, s)
		case *ast.IndexExpr:
			if isQuery(s.info.TypeOf(n.X)) {
				v.asks(n.Index, s)
			}
			if t := s.info.TypeOf(n.X); t != nil && t.String() == "map[string]encoding/json.RawMessage" && v.depth == 1 {
				v.wrapper = cmp.Or(v.wrapper, s.text(n.Index))
			}
		}
		return true
	})
}

func isQuery(t types.Type) bool { return t != nil && t.String() == "net/url.Values" }

// asks notes a query parameter; names that are not constant are passed over.
func (v *visit) asks(name ast.Expr, s scope) {
	if text := s.text(name); text != "" {
		v.op.query[text] = true
	}
}

func (v *visit) call(c *ast.CallExpr, s scope) {
	if sel, ok := c.Fun.(*ast.SelectorExpr); ok && len(c.Args) == 1 && isQuery(s.info.TypeOf(sel.X)) && (sel.Sel.Name == "Get" || sel.Sel.Name == "Has") {
		v.asks(c.Args[0], s)
		return
	}
	switch name := calleeName(c, s); name {
	case "api.Decode", "api.DecodeLoose":
		if u, ok := c.Args[2].(*ast.UnaryExpr); ok && u.Op == token.AND {
			v.op.request = typeSchema(s.info.TypeOf(u.X), true, nil)
		}
		return
	case "api.JSON":
		v.answer(c.Args[1], v.schema(c.Args[2], s), s)
		return
	case "api.Text":
		if fn, inner, ok := v.given(c.Args[3], s, nil, s); ok {
			v.answer(c.Args[1], v.returned(fn, inner, 0), s)
		}
		return
	case "api.List":
		if fn, inner, ok := v.given(c.Args[5], s, nil, s); ok {
			whole := schema{"type": "object", "properties": schema{s.text(c.Args[2]): list(v.returned(fn, inner, 0))}, "required": []string{s.text(c.Args[2])}}
			more := v.schema(c.Args[4], s)
			delete(more, "required")
			v.answer(c.Args[1], merge(whole, more), s)
		}
		return
	case "api.Gone":
		v.op.answers[204] = nil
		return
	}
	if sel, ok := c.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "WriteHeader" && len(c.Args) == 1 {
		v.answer(c.Args[0], nil, s)
		return
	}
	if v.decodes(c, s) {
		return
	}
	writes := slices.ContainsFunc(c.Args, func(a ast.Expr) bool {
		t := s.info.TypeOf(a)
		return t != nil && (t.String() == "net/http.ResponseWriter" || t.String() == "net/url.Values" || named(deref(t), "api", "Request"))
	})
	if !writes {
		return
	}
	if fn, inner, ok := v.callee(c, s); ok {
		v.body(fn.decl.Body, inner)
	}
}

// decodes notes what a method named decode fills, of requests that are taken apart by hand: a member's value.
func (v *visit) decodes(c *ast.CallExpr, s scope) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "decode" || v.wrapper == "" {
		return false
	}
	u, ok := c.Args[len(c.Args)-1].(*ast.UnaryExpr)
	if !ok {
		return false
	}
	t := s.typeOf(u.X)
	if t.String() == s.info.TypeOf(u.X).String() && u.Op != token.AND {
		return false
	}
	v.op.request = schema{"type": "object", "properties": schema{v.wrapper: typeSchema(t, true, nil)}, "required": []string{v.wrapper}}
	return true
}

// answer notes a status with the form of its body.
func (v *visit) answer(status ast.Expr, body schema, s scope) {
	code := s.number(status)
	if code == 0 {
		code = 200
	}
	if have, ok := v.op.answers[code]; ok && have != nil && body != nil {
		body = merge(have, body)
	}
	v.op.answers[code] = body
}
