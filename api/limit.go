package api

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/hagane-cloud/hagane/fault"
)

// Rate is how many requests a second are answered in the long run, and how many at once. The zero value allows all.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Limits keep one caller from taking the whole service. They are far above what clients do: Terraform logs in a few
// times at each run, a controller lists a few times a second.
type Limits struct {
	User    Rate // of one user, over all addresses
	Address Rate // of one address, over all users
	Guests  Rate // of one address without a token, for what checks passwords: each costs 50 ms of processor time
}

// DefaultLimits are those of hagane serve.
var DefaultLimits = Limits{User: Rate{200, 2000}, Address: Rate{500, 5000}, Guests: Rate{20, 600}}

// limiter keeps the buckets of callers.
type limiter struct {
	rate Rate
	now  func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time
}

type bucket struct {
	*rate.Limiter
	used time.Time
}

func newLimiter(r Rate, now func() time.Time) *limiter {
	return &limiter{rate: r, now: now, buckets: map[string]*bucket{}, swept: now()}
}

// most bounds the callers that are remembered; sweep is how often full buckets are dropped.
const (
	most  = 100_000
	sweep = time.Minute
)

// take counts a request of a caller; wait is how long it must wait when there were too many.
func (l *limiter) take(who string) (wait time.Duration) {
	if l == nil || l.rate.PerSecond == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.swept) > sweep || len(l.buckets) >= most {
		l.sweep(now)
	}
	b := l.buckets[who]
	if b == nil {
		b = &bucket{Limiter: rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)}
		l.buckets[who] = b
	}
	b.used = now
	r := b.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// sweep drops the buckets that have filled up again: they say no more than a new one.
func (l *limiter) sweep(now time.Time) {
	full := time.Duration(float64(l.rate.Burst) / l.rate.PerSecond * float64(time.Second))
	for who, b := range l.buckets {
		if now.Sub(b.used) > full {
			delete(l.buckets, who)
		}
	}
	if len(l.buckets) >= most {
		clear(l.buckets) // everyone starts anew: better than to run out of memory
	}
	l.swept = now
}

// tooMany is the fault of a request over a limit, and the seconds after which it may be made again.
func tooMany(wait time.Duration) (seconds int, err error) {
	seconds = int(math.Ceil(wait.Seconds()))
	return seconds, fault.Errorf(fault.TooMany, "too many requests; try again in %d s", seconds)
}
