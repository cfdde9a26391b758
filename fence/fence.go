// Package fence carries the right to change hardware. Who works under a lease puts a check of it into the context; whoever is
// about to change something asks it at the last moment. So a process that was paused or cut off, and whose work passed to another
// one meanwhile, changes nothing when it comes back.
package fence

import (
	"context"
	"sync/atomic"
)

type key struct{}

type askedKey struct{}

// With returns a context in which Check asks check, which reports why the right is lost; nil is that it is held.
func With(ctx context.Context, check func() error) context.Context {
	return context.WithValue(ctx, key{}, check)
}

// Check reports why nothing may be changed any more under ctx. What runs under no lease, such as a command at a terminal, is not
// held back.
func Check(ctx context.Context) error {
	Touch(ctx)
	if check, ok := ctx.Value(key{}).(func() error); ok {
		return check()
	}
	return nil
}

// Watch returns a context that notes whether anything was changed under it, and the function that tells.
func Watch(ctx context.Context) (watched context.Context, touched func() bool) {
	asked := new(atomic.Bool)
	return context.WithValue(ctx, askedKey{}, asked), asked.Load
}

// Touch notes that something is about to be changed under ctx. Check does it; whoever changes something without asking does it itself.
func Touch(ctx context.Context) {
	if asked, ok := ctx.Value(askedKey{}).(*atomic.Bool); ok {
		asked.Store(true)
	}
}
