package inject

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Engine plays a script for one BMC. All protocols of the BMC share its engine, so that they restart
// together. A nil *Engine behaves well. Its methods may be called by many goroutines.
type Engine struct {
	script *Script
	log    *slog.Logger
	done   chan struct{} // closed by Close

	mu      sync.Mutex
	counts  []count
	back    time.Time // until then the BMC is away
	dead    bool
	closed  bool
	restart []func()
	changed time.Time // of the last write
	frozen  map[string]memory
	timers  map[*time.Timer]struct{}
	running sync.WaitGroup

	calm   bool
	lies   int // answers that told something else than the truth
	logins int // attempts to log in whose answer the client never saw whole
}

// Calm stops or resumes the playing of the script. A BMC that is away stays so until it is back.
func (e *Engine) Calm(calm bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calm = calm
}

// Lies counts the answers that told something else than the truth: no reading back can see through them.
func (e *Engine) Lies() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lies
}

// LostLogins counts the attempts to log in whose answer was swallowed or damaged: the client can not end what it
// may have begun.
func (e *Engine) LostLogins() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.logins
}

// count is what an engine remembers of a rule.
type count struct {
	seen, struck int
	dice         *rand.Rand
}

// memory is what a read showed, and when.
type memory struct {
	at   time.Time
	text []byte
}

// NewEngine returns an engine that plays a script; nil plays none, and only keeps track of restarts. Every rule draws from the
// seed by itself: the same exchanges in the same order meet the same faults. The caller closes it.
func NewEngine(s *Script, seed uint64, log *slog.Logger) *Engine {
	if s == nil {
		s = &Script{}
	}
	e := &Engine{script: s, log: log, done: make(chan struct{}), counts: make([]count, len(s.rules))}
	for i, r := range s.rules {
		if r.chance > 1 {
			e.counts[i].dice = rand.New(rand.NewPCG(seed, uint64(i)))
		}
	}
	return e
}

// Close ends hanging exchanges and changes that were to undo themselves, and waits for those that are at it.
func (e *Engine) Close() {
	if e == nil {
		return
	}
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.done)
	}
	for t := range e.timers {
		if t.Stop() {
			e.running.Done()
		}
	}
	e.timers = nil
	e.mu.Unlock()
	e.running.Wait()
}

// Decide says what happens to an exchange, and counts it. A BMC that is away or dead drops everything but what a
// rule "while booting" answers.
func (e *Engine) Decide(x Exchange) Decision {
	if e == nil {
		return Decision{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var d Decision
	booting := time.Now().Before(e.back)
	if e.dead {
		return Decision{Drop: true}
	}
	if e.calm && !booting {
		return d
	}
	for i, r := range e.script.rules {
		if !r.matches(x, booting) || !e.counts[i].strikes(r) {
			continue
		}
		level := slog.LevelInfo
		if r.effect.Stale > 0 {
			level = slog.LevelDebug // Stale tells when an old answer is given
		}
		e.log.Log(context.Background(), level, "a fault was injected", "rule", r.text, "line", r.line, "protocol", x.Protocol, "method", x.Method, "target", x.Target)
		d.join(r.effect)
	}
	if booting && d.Status == 0 && d.Code == "" {
		return Decision{Drop: true, Slow: d.Slow}
	}
	if d.Die {
		e.dead = true
	}
	if d.Power != "" || d.Revert > 0 {
		e.lies++
	}
	if (d.LosesAnswer() || d.Garble != "" || d.Status != 0) && x.Method == "POST" && strings.Contains(x.Target, "Sessions") {
		e.logins++
	}
	return d
}

// strikes counts an exchange that a rule is about, and says whether the rule strikes.
func (c *count) strikes(r rule) bool {
	c.seen++
	switch {
	case c.seen <= r.after:
		return false
	case r.times > 0 && c.struck >= r.times:
		return false
	case r.every > 1 && (c.seen-r.after)%r.every != 0:
		return false
	case c.dice != nil && c.dice.IntN(r.chance) != 0:
		return false
	}
	c.struck++
	return true
}

// OnRestart registers what a simulator does when its BMC restarts: it forgets sessions. It must not call the engine.
func (e *Engine) OnRestart(f func()) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.restart = append(e.restart, f)
}

// Restart restarts the BMC: it forgets its sessions and is away for a while.
func (e *Engine) Restart(away time.Duration) {
	if e == nil {
		return
	}
	e.mu.Lock()
	e.back = time.Now().Add(away)
	todo := e.restart
	e.mu.Unlock()
	e.log.Info("the BMC restarts", "away", away)
	for _, f := range todo {
		f()
	}
}

// Away reports whether the BMC is restarting or dead.
func (e *Engine) Away() bool {
	if e == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dead || time.Now().Before(e.back)
}

// Wait waits for a duration; false means that ctx or the engine ended before. 0 or less is no wait.
func (e *Engine) Wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-e.done:
	}
	return false
}

// Hang waits until the client gave up (ctx) or the engine was closed.
func (e *Engine) Hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-e.done:
	}
}

// After calls f after a duration, unless the engine is closed before.
func (e *Engine) After(d time.Duration, f func()) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	if e.timers == nil {
		e.timers = make(map[*time.Timer]struct{})
	}
	e.running.Add(1)
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		defer e.running.Done()
		e.mu.Lock()
		delete(e.timers, t) // t is set: After holds the lock until then
		e.lies++            // what it showed until now is no longer so, and nobody asked for that
		e.mu.Unlock()
		f()
	})
	e.timers[t] = struct{}{}
}

// Changed notes that a write was carried out: from now on stale reads show what was before.
func (e *Engine) Changed() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed = time.Now()
}

// Stale returns what a read shows that is stale for d after a change: what it showed before the change while d has not
// passed, and otherwise fresh, which it remembers. key says what is read.
func (e *Engine) Stale(key string, d time.Duration, fresh []byte) []byte {
	if e == nil {
		return fresh
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	old, ok := e.frozen[key]
	if ok && old.at.Before(e.changed) && time.Since(e.changed) < d {
		e.log.Info("a fault was injected", "rule", "stale", "of", key)
		e.lies++
		return old.text
	}
	if e.frozen == nil {
		e.frozen = make(map[string]memory)
	}
	e.frozen[key] = memory{at: time.Now(), text: fresh}
	return fresh
}

// Play waits as a decision says, and restarts or buries the BMC; false means that there is no answer to give. It is
// for protocols that HTTP does not serve. With Done the caller carries the command out before.
func (e *Engine) Play(ctx context.Context, d Decision) (answer bool) {
	if e == nil {
		return true
	}
	if !e.Wait(ctx, d.Slow) {
		return false
	}
	if d.Restart > 0 {
		e.Restart(d.Restart)
	}
	return !d.LosesAnswer()
}
