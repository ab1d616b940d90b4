package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/platform/guard"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits of the watchdog. A hardware encoder takes up to a second to open on a busy machine. No picture takes
// encodeTimeout, and a picture that stands for that long must count as frozen within 2 s. Drivers hang, software does
// not: a device has deviceTimeout, so that viewers have a picture of another encoder within a second. Its first picture
// has the longer time, because some drivers prepare themselves then, unless it is tried again after a failure.
const (
	openTimeout   = 5 * time.Second
	encodeTimeout = 1800 * time.Millisecond
	deviceTimeout = 600 * time.Millisecond
	closeTimeout  = 2 * time.Second
	// timeoutParts are the parts of a limit that must pass one after the other. A process that was stopped sees one
	// part pass, however long it was stopped.
	timeoutParts = 4
)

// errHung means that an encoder did not return from a call in time.
var errHung = errors.New("pipeline: encoder hangs")

// guardedEncoder is an encoder and the goroutine that makes all calls on it, so that a call that never returns costs
// that goroutine and not the encode loop. The encode loop hands over one job at a time.
type guardedEncoder struct {
	profile encode.Profile
	opened  chan error  // capacity 1
	jobs    chan job    // capacity 1: the encode loop waits for each result
	results chan result // capacity 1: an abandoned goroutine can always leave its last one
	done    chan struct{}
	hung    prometheus.Gauge
	log     *slog.Logger
	guard   *guard.Guard

	// prompt reports whether its pictures have the shorter limit. Only the encode loop uses it.
	prompt bool

	mu              sync.Mutex
	exited, counted bool
}

// job is one picture to encode. With a zero rate, the encoder keeps its own.
type job struct {
	frame *capture.Frame
	order encode.Order
	rate  encode.Rate
}

type result struct {
	au  encode.AccessUnit
	err error
}

// openGuarded opens an encoder. It returns once that is done, with errHung when it takes too long, or when ctx ends.
func openGuarded(ctx context.Context, factory encode.Factory, params encode.Params, log *slog.Logger,
	hung prometheus.Gauge, g *guard.Guard,
) (*guardedEncoder, error) {
	w := &guardedEncoder{
		profile: factory.Profile(),
		opened:  make(chan error, 1), jobs: make(chan job, 1), results: make(chan result, 1), done: make(chan struct{}),
		hung: hung, log: log, guard: g,
	}
	go w.run(factory, params) // unguarded: each call of the encoder is guarded
	timeout := time.NewTimer(openTimeout)
	defer timeout.Stop()
	select {
	case err := <-w.opened:
		if err != nil {
			w.stop(closeTimeout)
			return nil, fmt.Errorf("open %s: %w", w.profile.Name, err)
		}
		return w, nil
	case <-timeout.C:
		w.stop(0)
		return nil, fmt.Errorf("open %s: %w", w.profile.Name, errHung)
	case <-ctx.Done():
		w.stop(0)
		return nil, fmt.Errorf("open %s: %w", w.profile.Name, ctx.Err())
	}
}

func (g *guardedEncoder) run(factory encode.Factory, params encode.Params) {
	defer g.exit()
	enc, err := g.open(factory, params)
	g.opened <- err
	if err != nil {
		return
	}
	for j := range g.jobs {
		g.results <- g.do(enc, j)
	}
	err = g.guard.Run(partEncoder, func() {
		if err := enc.Close(); err != nil {
			g.log.Warn("encoder not closed cleanly", "encoder", g.profile.Name, "err", err)
		}
	})
	if err != nil {
		g.log.Warn("encoder not closed", "encoder", g.profile.Name, "err", err)
	}
}

func (g *guardedEncoder) open(factory encode.Factory, params encode.Params) (enc encode.Encoder, err error) {
	defer g.guard.Catch(partEncoder, &err)
	return factory.Open(params)
}

// do encodes one picture. After a panic its frame may not be released.
func (g *guardedEncoder) do(enc encode.Encoder, j job) (r result) {
	defer g.guard.Catch(partEncoder, &r.err)
	if j.rate != (encode.Rate{}) {
		if err := enc.SetRate(j.rate); err != nil {
			if j.frame != nil {
				j.frame.Release()
			}
			return result{err: fmt.Errorf("set rate %d of %s: %w", j.rate.BitsPerSecond, g.profile.Name, err)}
		}
	}
	au, err := enc.Encode(j.frame, j.order)
	if err != nil {
		err = fmt.Errorf("encode with %s: %w", g.profile.Name, err)
	}
	return result{au: au, err: err}
}

func (g *guardedEncoder) exit() {
	g.mu.Lock()
	g.exited = true
	if g.counted {
		g.hung.Dec()
	}
	g.mu.Unlock()
	close(g.done)
}

// encode hands j over, its frame included, and waits for the picture. After an error the encoder can only be stopped.
func (g *guardedEncoder) encode(j job) (encode.AccessUnit, error) {
	limit := encodeTimeout
	if g.profile.Hardware && g.prompt {
		limit = deviceTimeout
	}
	part := time.NewTicker(limit / timeoutParts)
	defer part.Stop()
	g.jobs <- j
	for range timeoutParts {
		select {
		case r := <-g.results:
			g.prompt = true
			return r.au, r.err
		case <-part.C:
		}
	}
	return encode.AccessUnit{}, fmt.Errorf("encode with %s: %w", g.profile.Name, errHung)
}

// stop closes the encoder and waits for that at most so long. What hangs longer is abandoned, and counted until it
// returns.
func (g *guardedEncoder) stop(patience time.Duration) {
	close(g.jobs)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-g.done:
		return
	case <-timeout.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.exited {
		g.counted = true
		g.hung.Inc()
	}
}
