package derive

import (
	"go/ast"
	"go/types"
	"maps"
	"slices"
)

// schema tells the form of what an expression is written as.
func (r *reader) schema(e ast.Expr, s scope) schema {
	e = ast.Unparen(e)
	t := s.info.TypeOf(e)
	if t == nil {
		return schema{}
	}
	if _, several := t.(*types.Tuple); several {
		return r.result(e.(*ast.CallExpr), 0, s) // a function that returns another one's results
	}
	if b, ok := t.(*types.Basic); ok && b.Kind() == types.UntypedNil {
		return schema{"type": "null"}
	}
	if !open(t) {
		return typeSchema(t, false, nil)
	}
	switch e := e.(type) {
	case *ast.CompositeLit:
		return r.literal(e, t, s)
	case *ast.CallExpr:
		return r.result(e, 0, s)
	case *ast.Ident:
		return r.variable(e, s)
	case *ast.SelectorExpr:
		if b, ok := s.field(e); ok {
			return r.schema(b.expr, b.scope)
		}
	case *ast.IndexExpr: // a member of a list
		if _, ok := s.info.TypeOf(e.X).Underlying().(*types.Slice); ok {
			if m := member(r.schema(e.X, s)); m != nil {
				return m
			}
		}
	}
	return typeSchema(s.filled(t), false, nil)
}

// open reports whether a type says less than the expression: documents, lists of them, and interfaces.
func open(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Interface:
		return u.Empty()
	case *types.Map:
		return open(u.Elem())
	case *types.Slice:
		return open(u.Elem())
	}
	return false
}

// literal is the form of a document or list that is written out.
func (r *reader) literal(lit *ast.CompositeLit, t types.Type, s scope) schema {
	if _, ok := t.Underlying().(*types.Slice); ok {
		var items schema
		for _, e := range lit.Elts {
			items = merge(items, r.element(e, t, s))
		}
		return list(items)
	}
	properties, required := schema{}, []string{}
	out := schema{"type": "object"}
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		value := r.element(kv.Value, t, s)
		if name := s.text(kv.Key); name != "" {
			properties[name] = value
			required = append(required, name)
		} else {
			out["additionalProperties"] = value
		}
	}
	slices.Sort(required)
	out["properties"], out["required"] = properties, required
	return out
}

// element is a member of a literal, whose own type may be left out.
func (r *reader) element(e ast.Expr, t types.Type, s scope) schema {
	if lit, ok := e.(*ast.CompositeLit); ok && lit.Type == nil {
		switch u := t.Underlying().(type) {
		case *types.Slice:
			return r.literal(lit, u.Elem(), s)
		case *types.Map:
			return r.literal(lit, u.Elem(), s)
		}
	}
	return r.schema(e, s)
}

func list(items schema) schema {
	if items == nil {
		items = schema{}
	}
	return schema{"type": "array", "items": items}
}

// result is the form of a call's i-th result.
func (r *reader) result(c *ast.CallExpr, i int, s scope) schema {
	if id, ok := c.Fun.(*ast.Ident); ok {
		if _, builtin := s.info.ObjectOf(id).(*types.Builtin); builtin {
			return r.builtin(id.Name, c, s)
		}
	}
	if s.info.Types[c.Fun].IsType() && len(c.Args) == 1 {
		return r.schema(c.Args[0], s) // a conversion
	}
	if calleeName(c, s) == "api.Time" {
		return schema{"type": []string{"string", "null"}, "format": "date-time"}
	}
	fn, inner, ok := r.callee(c, s)
	if !ok {
		t := s.info.TypeOf(c)
		if tuple, ok := t.(*types.Tuple); ok {
			t = tuple.At(i).Type()
		}
		return typeSchema(t, false, nil)
	}
	return r.returned(fn, inner, i)
}

// returned is the form of a function's i-th result.
func (r *reader) returned(fn function, inner scope, i int) schema {
	var out schema
	ast.Inspect(fn.decl.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if i < len(n.Results) && (len(n.Results) == 1 || !isNil(n.Results[i], inner)) {
				out = merge(out, r.schema(n.Results[i], inner))
			}
		}
		return true
	})
	if out == nil {
		out = schema{}
	}
	return out
}

func isNil(e ast.Expr, s scope) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "nil" && s.info.Types[e].IsNil()
}

// builtin is the form of what append and make return.
func (r *reader) builtin(name string, c *ast.CallExpr, s scope) schema {
	if name != "append" {
		return typeSchema(s.info.TypeOf(c), false, nil)
	}
	out := r.schema(c.Args[0], s)
	for _, a := range c.Args[1:] {
		if c.Ellipsis.IsValid() {
			out = merge(out, r.schema(a, s))
			continue
		}
		out = merge(out, list(r.schema(a, s)))
	}
	return out
}

// variable is the form of all that is assigned to a variable, or that its parameter was given.
func (r *reader) variable(id *ast.Ident, s scope) schema {
	o := s.info.ObjectOf(id)
	if b, ok := s.bound[o]; ok {
		return r.schema(b.expr, b.scope)
	}
	if s.seen[o] {
		return nil
	}
	s.seen = maps.Clone(s.seen)
	if s.seen == nil {
		s.seen = map[types.Object]bool{}
	}
	s.seen[o] = true
	var out schema
	ast.Inspect(s.code, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			out = merge(out, r.assigned(n, o, s))
		case *ast.RangeStmt:
			if id, ok := n.Value.(*ast.Ident); ok && s.info.ObjectOf(id) == o {
				out = merge(out, member(r.schema(n.X, s)))
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				switch {
				case s.info.ObjectOf(name) != o:
				case i < len(n.Values):
					out = merge(out, r.schema(n.Values[i], s))
				case types.IsInterface(o.Type()):
					out = merge(out, schema{"type": "null"})
				}
			}
		}
		return true
	})
	if out == nil {
		return typeSchema(o.Type(), false, nil)
	}
	return r.deleted(o, out, s)
}

// deleted takes back what a function deletes from a document.
func (r *reader) deleted(o types.Object, of schema, s scope) schema {
	ast.Inspect(s.code, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok || len(c.Args) != 2 {
			return true
		}
		_, builtin := object(c.Fun, s.info).(*types.Builtin)
		if builtin && object(c.Fun, s.info).Name() == "delete" && object(c.Args[0], s.info) == o {
			of = without(of, s.text(c.Args[1]))
		}
		return true
	})
	return of
}

// assigned is what a statement makes of a variable: a new value, or one more member of a document.
func (r *reader) assigned(n *ast.AssignStmt, o types.Object, s scope) schema {
	var out schema
	for i, left := range n.Lhs {
		switch left := left.(type) {
		case *ast.Ident:
			if s.info.ObjectOf(left) != o {
				continue
			}
			if len(n.Rhs) == len(n.Lhs) {
				out = merge(out, r.schema(n.Rhs[i], s))
			} else if c, ok := n.Rhs[0].(*ast.CallExpr); ok {
				out = merge(out, r.result(c, i, s))
			}
		case *ast.IndexExpr:
			base, ok := ast.Unparen(left.X).(*ast.Ident)
			if !ok || s.info.ObjectOf(base) != o || len(n.Rhs) != len(n.Lhs) {
				continue
			}
			if _, ok := o.Type().Underlying().(*types.Slice); ok {
				out = merge(out, list(r.schema(n.Rhs[i], s)))
			} else if name := s.text(left.Index); name != "" {
				out = merge(out, schema{"type": "object", "properties": schema{name: r.schema(n.Rhs[i], s)}})
			} else if names := looped(left.Index, s); len(names) > 0 {
				for _, name := range names {
					out = merge(out, schema{"type": "object", "properties": schema{name: r.schema(n.Rhs[i], s)}})
				}
			} else if from := copied(left.Index, n.Rhs[i], s); from != nil {
				out = merge(out, r.schema(from, s))
			} else {
				out = merge(out, schema{"type": "object", "additionalProperties": true})
			}
		}
	}
	return out
}

// member is the form of a list's items, or of a document's free members.
func member(of schema) schema {
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := of[key].(schema); ok {
			return inner
		}
	}
	return nil
}

// looped returns the names that a loop's variable has in turn, when they are written out at the loop.
func looped(key ast.Expr, s scope) (names []string) {
	ast.Inspect(s.code, func(n ast.Node) bool {
		loop, ok := n.(*ast.RangeStmt)
		if !ok || loop.Value == nil || object(key, s.info) == nil || object(loop.Value, s.info) != object(key, s.info) {
			return true
		}
		if lit, ok := loop.X.(*ast.CompositeLit); ok {
			for _, e := range lit.Elts {
				if name := s.text(e); name != "" {
					names = append(names, name)
				}
			}
		}
		return true
	})
	return names
}

// copied returns the document whose members a loop copies one by one: key and value are the loop's variables.
func copied(key, value ast.Expr, s scope) (from ast.Expr) {
	k, v := object(key, s.info), object(value, s.info)
	if k == nil || v == nil {
		return nil
	}
	ast.Inspect(s.code, func(n ast.Node) bool {
		loop, ok := n.(*ast.RangeStmt)
		if ok && loop.Key != nil && loop.Value != nil && object(loop.Key, s.info) == k && object(loop.Value, s.info) == v {
			from = loop.X
		}
		return true
	})
	return from
}
