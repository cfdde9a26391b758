// Package fence carries the right to change hardware. Who works under a lease puts a check of it into the context; whoever is
// about to change something asks it at the last moment. So a process that was paused or cut off, and whose work passed to another
// one meanwhile, changes nothing when it comes back.
package fence

import "context"

type key struct{}

// With returns a context in which Check asks check, which reports why the right is lost; nil is that it is held.
func With(ctx context.Context, check func() error) context.Context {
	return context.WithValue(ctx, key{}, check)
}

// Check reports why nothing may be changed any more under ctx. What runs under no lease, such as a command at a terminal, is not
// held back.
func Check(ctx context.Context) error {
	if check, ok := ctx.Value(key{}).(func() error); ok {
		return check()
	}
	return nil
}
