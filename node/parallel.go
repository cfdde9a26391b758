package node

import "golang.org/x/sync/errgroup"

// inParallel calls fn for each item, a few at a time, and returns the first error after all have ended.
func inParallel[T any](items []T, atOnce int, fn func(T) error) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, item := range items {
		g.Go(func() error { return fn(item) })
	}
	return g.Wait()
}
