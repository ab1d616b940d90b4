package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/session/progress"
)

const (
	// loopInterval is the interval for looking at the loops, and for a request to the daemon's own API.
	loopInterval = time.Second
	// asleep is the interval after which the process itself was stopped or starved: its loops had no chance.
	asleep = 3 * loopInterval
)

// loops watches the loops of the daemon. A loop that stalls is an event, and is logged and shown by a metric. The
// service manager gets no sign of life as long as one does, and restarts the daemon after its time.
type loops struct {
	board  *progress.Board
	log    *slog.Logger
	events loopEvents
	stall  *prometheus.GaugeVec

	mu      sync.Mutex // guards stalled
	stalled map[string]bool
}

// loopEvents makes it known that loops of a kind stall and progress again, and returns the ID of the event.
type loopEvents interface {
	LoopStalled(kind string, err error) uint64
	LoopResumed(kind string) uint64
}

func newLoops(reg prometheus.Registerer, log *slog.Logger) *loops {
	l := &loops{
		board: progress.New(), log: log, stalled: make(map[string]bool),
		stall: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wavry_host_loop_stalled_seconds",
			Help: "How long a loop (api, capture, encode, gateway, send, sessions) stalls; absent while it progresses.",
		}, []string{"loop"}),
	}
	reg.MustRegister(l.stall)
	return l
}

// progressing reports whether no loop stalls.
func (l *loops) progressing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.stalled) == 0
}

// run looks at the loops until ctx ends, and reports to events. It asks the API for the daemon's health, as a client
// does.
func (l *loops) run(ctx context.Context, api http.Handler, events loopEvents) error {
	l.events = events
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { l.ask(ctx, api) })
	tick := time.NewTicker(loopInterval)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(last) < asleep {
			l.look(now)
		}
		last = now
	}
}

// ask makes requests of the API, one after the other, until ctx ends.
func (l *loops) ask(ctx context.Context, api http.Handler) {
	steps := l.board.Loop(progress.API, "")
	defer steps.Close()
	tick := time.NewTicker(loopInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		steps.Step(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/healthz", http.NoBody)
			if err != nil {
				return // the address is a constant
			}
			r.RemoteAddr = localAddress
			api.ServeHTTP(unread{}, r)
		})
	}
}

// unread is an answer that nobody reads.
type unread http.Header

func (u unread) Header() http.Header         { return http.Header(u) }
func (u unread) Write(p []byte) (int, error) { return len(p), nil }
func (u unread) WriteHeader(int)             {}

// look notes which loops stall.
func (l *loops) look(now time.Time) {
	longest := l.board.Longest(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range progress.Kinds() {
		took := longest[kind]
		if took <= progress.Limit {
			if l.stalled[kind] {
				delete(l.stalled, kind)
				l.stall.DeleteLabelValues(kind)
				l.log.Warn("loop progresses again", "event", l.events.LoopResumed(kind), "loop", kind)
			}
			continue
		}
		l.stall.WithLabelValues(kind).Set(took.Seconds())
		if !l.stalled[kind] {
			l.stalled[kind] = true
			event := l.events.LoopStalled(kind, fmt.Errorf("a step of the loop takes longer than %v", progress.Limit))
			l.log.Error("loop stalls: the service manager restarts the daemon unless it continues", "event", event,
				"loop", kind, "seconds", took.Seconds(), "remedy", "docs/operate/runbooks/host-degraded.md")
		}
	}
}
