package fleet

import (
	"sync"
	"time"

	"wavryhost/session/api/problem"
	"wavryhost/session/fleet/bus"
)

const (
	// maxSeen bounds the requests that are remembered, so that a repeated message does nothing.
	maxSeen = 16 << 10
)

// replays knows the requests of the last minutes.
type replays struct {
	mu    sync.Mutex // guards all following fields
	seen  map[string]time.Time
	swept time.Time
}

// fresh notes a request. It returns an error if the request is repeated or too old.
func (r *replays) fresh(q bus.Request, now time.Time) *problem.Error {
	if skew := now.Sub(q.Time); skew.Abs() > bus.MaxSkew {
		return problem.New(problem.BadRequest, "the request is of %s, which is %v from the host's clock; at most %v are "+
			"allowed: set the clocks", q.Time.UTC().Format(time.RFC3339), skew.Round(time.Second), bus.MaxSkew)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[string]time.Time)
	}
	if now.Sub(r.swept) > bus.MaxSkew/4 || len(r.seen) >= maxSeen {
		r.swept = now
		for id, at := range r.seen {
			if now.Sub(at) > 2*bus.MaxSkew {
				delete(r.seen, id)
			}
		}
	}
	if _, again := r.seen[q.ID]; again {
		return problem.New(problem.BadRequest, "the host has had this request already; a new one needs another ID")
	}
	if len(r.seen) >= maxSeen {
		return problem.New(problem.TooManyRequests, "too many requests in a short time").RetryAfter(bus.MaxSkew)
	}
	r.seen[q.ID] = now
	return nil
}
