package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxQueuedLog bounds the queued log lines, in bytes: some 4000 lines, or minutes of an ordinary log.
const maxQueuedLog = 1 << 20

// logQueue is a writer that never blocks: one goroutine writes the queued lines. A pipe whose reader has stopped, or a
// paused terminal, must not stop callers, which include media, input and the API. A full queue drops new lines and
// counts them, so that the beginning of the trouble is kept. When there is room again, a line says how many are
// missing.
type logQueue struct {
	w      io.Writer
	notice func(lost uint64) []byte // the line that says how many are missing
	lost   prometheus.Counter       // in all
	wake   chan struct{}            // capacity 1: there is work
	ended  chan struct{}            // closed when the goroutine has ended

	mu      sync.Mutex // guards all following fields
	lines   [][]byte
	bytes   int
	missing uint64 // lines dropped since the last notice
	closed  bool
}

// newLogQueue returns a queue before w and starts its goroutine, which Close ends.
func newLogQueue(w io.Writer, notice func(lost uint64) []byte) *logQueue {
	q := &logQueue{
		w: w, notice: notice, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wavry_host_log_lines_lost_total",
			Help: "Log lines dropped because standard error was not read, or could not be written.",
		}),
	}
	go q.run()
	return q
}

// Write queues a line, or drops it. It never fails, because callers could not react.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes+len(line) > maxQueuedLog {
		q.missing++
		q.lost.Inc()
		return len(line), nil
	}
	q.tell()
	q.put(bytes.Clone(line))
	return len(line), nil
}

// tell queues the notice about missing lines, if any are missing. The caller holds mu.
func (q *logQueue) tell() {
	if q.missing > 0 {
		q.put(q.notice(q.missing))
		q.missing = 0
	}
}

// put queues a line. The caller holds mu.
func (q *logQueue) put(line []byte) {
	q.lines = append(q.lines, line)
	q.bytes += len(line)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run writes lines until the queue is closed and empty.
func (q *logQueue) run() {
	defer close(q.ended)
	for {
		line, closed := q.next()
		if line == nil {
			if closed {
				return
			}
			<-q.wake
			continue
		}
		if _, err := q.w.Write(line); err != nil {
			q.lost.Inc() // its reader is gone; another may come, for example after a restart of journald
		}
		q.mu.Lock()
		q.bytes -= len(line)
		q.mu.Unlock()
	}
}

// next removes the next line and returns it, or nil when there is none. It reports whether the queue is closed.
func (q *logQueue) next() ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) == 0 {
		q.tell()
	}
	if len(q.lines) == 0 {
		q.lines = nil
		return nil, q.closed
	}
	line := q.lines[0]
	q.lines[0] = nil
	q.lines = q.lines[1:]
	return line, q.closed
}

// Close waits until all lines are written, but not forever. Later lines are lost.
func (q *logQueue) Close(most time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-q.ended:
	case <-timer.C: // the running write is abandoned: the process ends
	}
}

// lostLines returns a notice in the form of the log.
func lostLines(form string) func(lost uint64) []byte {
	return func(lost uint64) []byte {
		var line bytes.Buffer
		slog.New(newHandler(form, &line, slog.LevelWarn)).Warn("log lines lost", "lines", lost)
		return line.Bytes()
	}
}
