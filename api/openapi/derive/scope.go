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
	*reader
	info  *types.Info
	code  ast.Node
	bound map[types.Object]bound
	seen  map[types.Object]bool // variables that are being looked at
	types map[*types.TypeParam]types.Type
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
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		if b, ok := s.bound[s.info.ObjectOf(e)]; ok {
			return b.scope.constant(b.expr)
		}
	case *ast.SelectorExpr:
		if b, ok := s.field(e); ok {
			return b.scope.constant(b.expr)
		}
	}
	return nil
}

// field finds what a field was set to in the literal that a variable holds.
func (s scope) field(e *ast.SelectorExpr) (bound, bool) {
	if _, ok := s.info.ObjectOf(e.Sel).(*types.Var); !ok || s.reader == nil {
		return bound{}, false
	}
	lit, at, ok := s.reader.made(e.X, s, 0)
	if !ok {
		return bound{}, false
	}
	for _, elt := range lit.Elts {
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == e.Sel.Name {
				return bound{kv.Value, at}, true
			}
		}
	}
	return bound{}, false
}

// made finds the literal that an expression comes from: written there, assigned to a variable, given to a parameter, or
// returned by a function.
func (r *reader) made(e ast.Expr, s scope, depth int) (*ast.CompositeLit, scope, bool) {
	if depth > deepest {
		return nil, s, false
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.CompositeLit:
		return e, s, true
	case *ast.UnaryExpr:
		return r.made(e.X, s, depth+1)
	case *ast.CallExpr:
		fn, inner, ok := r.callee(e, s)
		if !ok {
			return nil, s, false
		}
		var out ast.Expr
		ast.Inspect(fn.decl.Body, func(n ast.Node) bool {
			if ret, ok := n.(*ast.ReturnStmt); ok && len(ret.Results) > 0 && out == nil {
				out = ret.Results[0]
			}
			_, closure := n.(*ast.FuncLit)
			return !closure
		})
		if out == nil {
			return nil, s, false
		}
		return r.made(out, inner, depth+1)
	case *ast.Ident:
		o := s.info.ObjectOf(e)
		if b, ok := s.bound[o]; ok {
			return r.made(b.expr, b.scope, depth+1)
		}
		var value ast.Expr
		ast.Inspect(s.code, func(n ast.Node) bool {
			if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == len(a.Rhs) {
				for i, left := range a.Lhs {
					if id, ok := left.(*ast.Ident); ok && s.info.ObjectOf(id) == o && value == nil {
						value = a.Rhs[i]
					}
				}
			}
			return true
		})
		if value != nil {
			return r.made(value, s, depth+1)
		}
	}
	return nil, s, false
}

// typeOf is an expression's type, with the type parameters of the method at hand filled in.
func (s scope) typeOf(e ast.Expr) types.Type { return s.filled(s.info.TypeOf(e)) }

func (s scope) filled(t types.Type) types.Type {
	switch u := t.(type) {
	case *types.TypeParam:
		if real, ok := s.types[u]; ok {
			return real
		}
	case *types.Pointer:
		return types.NewPointer(s.filled(u.Elem()))
	case *types.Slice:
		return types.NewSlice(s.filled(u.Elem()))
	}
	return t
}

// receiver binds what a method is called on, and the type parameters of its type.
func (r *reader) receiver(fn function, sel *ast.SelectorExpr, at scope, inner scope) scope {
	if fn.decl.Recv == nil || len(fn.decl.Recv.List) == 0 || len(fn.decl.Recv.List[0].Names) == 0 {
		return inner
	}
	name := fn.decl.Recv.List[0].Names[0]
	if inner.bound == nil {
		inner.bound = map[types.Object]bound{}
	}
	inner.bound[fn.info.ObjectOf(name)] = bound{sel.X, at}
	named, ok := deref(at.typeOf(sel.X)).(*types.Named)
	own, okOwn := deref(fn.info.TypeOf(name)).(*types.Named)
	if !ok || !okOwn || named.TypeArgs().Len() == 0 || own.TypeArgs().Len() != named.TypeArgs().Len() {
		return inner
	}
	inner.types = map[*types.TypeParam]types.Type{}
	for i := range own.TypeArgs().Len() {
		if p, ok := own.TypeArgs().At(i).(*types.TypeParam); ok {
			inner.types[p] = at.filled(named.TypeArgs().At(i))
		}
	}
	return inner
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
		inner := scope{reader: r, info: at.info, code: lit.Body, types: at.types, bound: bind(lit.Type, at.info, args, s, at.bound), seen: s.seen}
		return function{&ast.FuncDecl{Name: ast.NewIdent("func"), Type: lit.Type, Body: lit.Body}, at.info}, inner, true
	}
	if id, ok := ast.Unparen(fun).(*ast.Ident); ok {
		if b, ok := at.bound[at.info.ObjectOf(id)]; ok {
			return r.given(b.expr, b.scope, args, s)
		}
	}
	if sel, ok := ast.Unparen(fun).(*ast.SelectorExpr); ok {
		if b, ok := at.field(sel); ok {
			return r.given(b.expr, b.scope, args, s)
		}
	}
	f, ok := r.function(fun, at)
	if !ok {
		return function{}, scope{}, false
	}
	inner := scope{reader: r, info: f.info, code: f.decl.Body, bound: bind(f.decl.Type, f.info, args, s, nil), seen: s.seen}
	if sel, ok := ast.Unparen(fun).(*ast.SelectorExpr); ok {
		inner = r.receiver(f, sel, at, inner)
	}
	return f, inner, true
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
