package simulation

import (
	"context"
	"fmt"
	"hash/fnv"
	"runtime"
	"strings"
	"sync"

	"github.com/hagane-cloud/hagane/workflow"
)

// A goroutine at the turnstile is known by its process, by who acts in it, by the node whose lease it works under, and by where in the
// program it is. Two that wait at the same time must not be known by the same, or their order would be chance.

type actorKey struct{}

// acting returns a context in which somebody with a name acts.
func acting(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, actorKey{}, who)
}

func labelOf(ctx context.Context, p *process, what string) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return fmt.Sprintf("%s | %s | %s | %s | %s", p.name, actor, workflow.Subject(ctx), place(), what)
}

// digest tells queries apart in labels without showing secrets in them.
func digest(query string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(query))
	const shown = 48
	verb := query
	if _, from, ok := strings.Cut(query, " FROM "); ok {
		verb = from
	}
	return fmt.Sprintf("%08x %s", h.Sum32(), strings.Map(printable, verb[:min(len(verb), shown)]))
}

func printable(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

// places remembers what stacks are called.
var places sync.Map // [deep]uintptr → string

const (
	deep = 40
	skip = 3
)

// place names the functions of the project that the caller is in, innermost first.
func place() string {
	var pcs [deep]uintptr
	n := runtime.Callers(skip, pcs[:])
	if known, ok := places.Load(pcs); ok {
		return known.(string)
	}
	var names []string
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next()
		if name, ours := strings.CutPrefix(f.Function, "github.com/hagane-cloud/hagane/"); ours &&
			!strings.HasPrefix(name, "simulation.") && !strings.HasPrefix(name, "db.") {
			names = append(names, name)
		}
		if !more {
			break
		}
	}
	text := strings.Join(names, " < ")
	places.Store(pcs, text)
	return text
}
