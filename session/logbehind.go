package session

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// logsWaiting is how many log records may wait to be written; what comes beyond is left out, and counted in a record of its own.
	logsWaiting = 1024
	// logsAtEnd is how long the end of a Manager waits for what is not written yet.
	logsAtEnd = time.Second
)

// logBehind writes log records in a goroutine of its own. Whoever logs has pictures to send, or holds a lock that others need for that, and must
// not wait for a log that nobody reads.
type logBehind struct {
	mu      sync.Mutex
	waiting []func()
	lost    int
	ended   bool
	more    chan struct{} // has room for one token
}

func newLogBehind() *logBehind { return &logBehind{more: make(chan struct{}, 1)} }

// put adds a record. It does not wait.
func (l *logBehind) put(write func()) {
	l.mu.Lock()
	switch {
	case l.ended:
	case len(l.waiting) >= logsWaiting:
		l.lost++
	default:
		l.waiting = append(l.waiting, write)
	}
	l.mu.Unlock()
	l.wake()
}

func (l *logBehind) wake() {
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// run writes records until end was called and all is written.
func (l *logBehind) run(log *slog.Logger) {
	for range l.more {
		l.mu.Lock()
		list, lost, ended := l.waiting, l.lost, l.ended
		l.waiting, l.lost = nil, 0
		l.mu.Unlock()
		for _, write := range list {
			write()
		}
		if lost > 0 {
			log.Warn("log records left out: nobody took them", "records", lost)
		}
		if ended {
			return
		}
	}
}

// end makes run return.
func (l *logBehind) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.wake()
}

// behind is a handler whose records are written by a logBehind.
type behind struct {
	slog.Handler
	queue *logBehind
}

// Handle never waits.
func (b behind) Handle(ctx context.Context, r slog.Record) error {
	ctx, r = context.WithoutCancel(ctx), r.Clone()
	b.queue.put(func() { _ = b.Handler.Handle(ctx, r) }) // who logs hears of no error either
	return nil
}

// WithAttrs is as the handler's own.
func (b behind) WithAttrs(attrs []slog.Attr) slog.Handler {
	return behind{b.Handler.WithAttrs(attrs), b.queue}
}

// WithGroup is as the handler's own.
func (b behind) WithGroup(name string) slog.Handler {
	return behind{b.Handler.WithGroup(name), b.queue}
}
