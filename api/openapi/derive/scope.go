package derive

import (
	"go/ast"
	gconstant "go/constant"
	"go/types"
	"strings"
)

// scope is where an expression stands: the types around it, the code that may assign to its variables, and what the
// parameters of the function were called with.
type scope struct {
	info  *types.Info
	code  ast.Node
	bound map[types.Object]bound
	seen  map[types.Object]bool // variables that are being looked at
}

// bound is an argument with the scope of its call.
type bound struct {
	expr  ast.Expr
	scope scope
}

// constant returns the constant that an expression is, also when it is one by the arguments of calls.
func (s scope) constant(e ast.Expr) gconstant.Value {
	if v := s.info.Types[e].Value; v != nil {
		return v
	}
	if id, ok := ast.Unparen(e).(*ast.Ident); ok {
		if b, ok := s.bound[s.info.ObjectOf(id)]; ok {
			return b.scope.constant(b.expr)
		}
	}
	return nil
}

func (s scope) text(e ast.Expr) string { return unquoted(s.constant(e)) }

func (s scope) number(e ast.Expr) int {
	v := s.constant(e)
	if v == nil || v.Kind() != gconstant.Int {
		return 0
	}
	n, _ := gconstant.Int64Val(v)
	return int(n)
}

// object returns what a function expression names.
func object(e ast.Expr, info *types.Info) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return info.ObjectOf(e)
	case *ast.SelectorExpr:
		return info.ObjectOf(e.Sel)
	case *ast.IndexExpr:
		return object(e.X, info)
	case *ast.IndexListExpr:
		return object(e.X, info)
	}
	return nil
}

// calleeName is the called function as package.Name, for those of the package api.
func calleeName(c *ast.CallExpr, s scope) string {
	fn, ok := object(c.Fun, s.info).(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != module+"api" {
		return ""
	}
	return "api." + fn.Name()
}

// function finds the code of what a function expression names.
func (r *reader) function(e ast.Expr, s scope) (function, bool) {
	fn, ok := object(e, s.info).(*types.Func)
	if !ok {
		return function{}, false
	}
	f, ok := r.funcs[fn.Origin().FullName()]
	return f, ok
}

// callee finds the code that a call runs, with its parameters bound to the arguments. A call of a parameter runs what
// the parameter was given.
func (r *reader) callee(c *ast.CallExpr, s scope) (function, scope, bool) {
	fun := ast.Unparen(c.Fun)
	if id, ok := fun.(*ast.Ident); ok {
		if b, ok := s.bound[s.info.ObjectOf(id)]; ok {
			return r.given(b.expr, b.scope, c.Args, s)
		}
	}
	return r.given(fun, s, c.Args, s)
}

// given finds the code of a function expression, and binds its parameters.
func (r *reader) given(fun ast.Expr, at scope, args []ast.Expr, s scope) (function, scope, bool) {
	if lit, ok := ast.Unparen(fun).(*ast.FuncLit); ok {
		inner := scope{info: at.info, code: lit.Body, bound: bind(lit.Type, at.info, args, s, at.bound), seen: s.seen}
		return function{&ast.FuncDecl{Name: ast.NewIdent("func"), Type: lit.Type, Body: lit.Body}, at.info}, inner, true
	}
	if id, ok := ast.Unparen(fun).(*ast.Ident); ok {
		if b, ok := at.bound[at.info.ObjectOf(id)]; ok {
			return r.given(b.expr, b.scope, args, s)
		}
	}
	f, ok := r.function(fun, at)
	if !ok {
		return function{}, scope{}, false
	}
	return f, scope{info: f.info, code: f.decl.Body, bound: bind(f.decl.Type, f.info, args, s, nil), seen: s.seen}, true
}

// bind pairs parameters with arguments, beside what a closure's surroundings have bound.
func bind(t *ast.FuncType, info *types.Info, args []ast.Expr, s scope, outer map[types.Object]bound) map[types.Object]bound {
	out := map[types.Object]bound{}
	for o, b := range outer {
		out[o] = b
	}
	i := 0
	for _, field := range t.Params.List {
		for _, name := range field.Names {
			if i < len(args) {
				out[info.ObjectOf(name)] = bound{args[i], s}
			}
			i++
		}
		if len(field.Names) == 0 {
			i++
		}
	}
	return out
}

// ours reports whether a package belongs to the project.
func ours(p *types.Package) bool { return p != nil && strings.HasPrefix(p.Path(), module) }
