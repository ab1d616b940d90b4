// Package input gives displays what people do with mouse and keyboard: the pointer's position, buttons, the wheel, and keys by their
// Linux code.
//
// It speaks the few requests of the X protocol's XTEST extension itself. The client library that is at hand, xgb with its package
// xtest, keeps tables of extensions for the whole process, which two connections race on, has its own idea of where the authority file
// is, and has no deadline for a server that hangs.
package input

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var errNoXTEST = errors.New("input: the X server has no XTEST extension: start it with that, or this display can be watched only")

// Screen is a screen of an X server.
type Screen struct {
	Root          uint32
	Width, Height int
	// Several says that the server has more screens, which share one pointer.
	Several bool
}

// Config says where input goes.
type Config struct {
	// Display is the display's id, for the log.
	Display string
	// Dial connects to the X server and greets it: the connection is the Injector's from then on.
	Dial func(ctx context.Context) (net.Conn, Screen, error)
	// Timeout is how long the server may take to answer before it is given up, with all that waits for it. It defaults to 10 s: servers stand
	// still for seconds while a driver or a disk does, and go on then.
	Timeout time.Duration
	// Retry is how long the Injector waits before it connects again. It defaults to 1 s.
	Retry time.Duration
}

// Why input is lost.
const (
	lostOverflow    = "overflow"
	lostUnavailable = "unavailable"
	lostUnsupported = "unsupported"
	lostRefused     = "refused"
)

// Metrics are what Injectors count.
type Metrics struct {
	lost     *prometheus.CounterVec
	released prometheus.Counter
	delay    prometheus.Histogram
}

// NewMetrics returns metrics that are registered on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_input_lost_total", Help: "Input of whoever has control that did not reach the display, by why.",
		}, []string{"reason"}),
		released: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wavry_host_input_released_total", Help: "Keys and buttons that the host released because nobody else did.",
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wavry_host_input_seconds", Help: "Time from the arrival of input to the display's word that it has taken it.",
			Buckets: []float64{.0001, .00025, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 2},
		}),
	}
	reg.MustRegister(m.lost, m.released, m.delay)
	for _, r := range []string{lostOverflow, lostUnavailable, lostUnsupported, lostRefused} {
		m.lost.WithLabelValues(r)
	}
	return m
}

func (m *Metrics) lose(n int, why string) { m.lost.WithLabelValues(why).Add(float64(n)) }

// Injector gives one display its input. Its methods but Wait do not wait for the display: what they are told goes into a queue of limited
// length, in which positions of the pointer replace each other, and which Run works off. They may be called by several goroutines.
type Injector struct {
	cfg Config
	log *slog.Logger
	met *Metrics

	queue queue
	ready chan struct{} // has room for one token: there is something in the queue

	held held // what the server has pressed; Run's alone

	mu  sync.Mutex
	err error // why nothing reaches the display
}

// slowAfter is how long a server may take to answer before the display counts as one that takes no input at present.
const slowAfter = time.Second

var errSlow = errors.New("input: the X server does not answer at present; what was typed waits")

// New returns an Injector, which does nothing before Run.
func New(cfg Config, log *slog.Logger, m *Metrics) *Injector {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Retry == 0 {
		cfg.Retry = time.Second
	}
	return &Injector{cfg: cfg, log: log, met: m, ready: make(chan struct{}, 1), queue: newQueue()}
}

// Move puts the pointer somewhere, in fractions of the display's width and height, from 0 to 1.
func (j *Injector) Move(x, y float64) { j.put(command{kind: move, x: x, y: y}) }

// Button presses or releases a button: 1 is left, 2 the middle, 3 right, 8 back and 9 forward. What is so already is left alone.
func (j *Injector) Button(n uint32, pressed bool) {
	if n < 1 || n > 9 || n >= wheelUp && n <= wheelRight {
		j.met.lose(1, lostUnsupported)
		return
	}
	j.put(command{kind: button, code: byte(n), pressed: pressed})
}

// Key presses or releases a key, named by its code of Linux (input-event-codes.h). What is so already is left alone: displays repeat keys
// that stay down by themselves.
func (j *Injector) Key(code uint32, pressed bool) {
	if code < 1 || code > maxKey {
		j.met.lose(1, lostUnsupported)
		return
	}
	j.put(command{kind: key, code: byte(code + keyOffset), pressed: pressed})
}

// Scroll turns the wheel by so many notches: to the right and, as REL_WHEEL of Linux has it, away from the user. Parts of a notch add up.
func (j *Injector) Scroll(dx, dy float64) { j.put(command{kind: scroll, x: dx, y: dy}) }

// Release releases everything that is held, once what came before is done.
func (j *Injector) Release() { j.put(command{kind: release}) }

// Wait waits until there is room for one more command, or the display is out of reach, or ctx ends: then it returns its error. Whoever gives
// input without it may lose all that waits.
func (j *Injector) Wait(ctx context.Context) error {
	for {
		more := j.queue.room()
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Losses returns how often all that waited was given up, because the display was out of reach. It grows.
func (j *Injector) Losses() uint64 { return j.queue.losses() }

// Holding tells whether a key or a button is held.
func (j *Injector) Holding() bool { return j.queue.holding() }

// Err tells why input does not reach the display; nil when it does, or was not tried yet.
func (j *Injector) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

func (j *Injector) put(c command) {
	c.at = time.Now()
	lost, why := j.queue.put(c)
	if lost > 0 {
		j.met.lose(lost, why)
	}
	select {
	case j.ready <- struct{}{}:
	default:
	}
}

// Run gives the display its input until ctx ends; then it releases what is held, and returns nil. A server that is lost is connected to
// again, and gets first the releases that it missed.
func (j *Injector) Run(ctx context.Context) error {
	for {
		err := j.serve(ctx, &j.held)
		if ctx.Err() == nil {
			j.fail(err)
			wait := time.NewTimer(j.cfg.Retry)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
			}
		}
		if ctx.Err() != nil {
			j.last(ctx, &j.held)
			return nil //nolint:nilerr // it was asked to end
		}
	}
}

// last is the last attempt to leave nothing pressed.
func (j *Injector) last(ctx context.Context, held *held) {
	if len(held.list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(j.cfg.Timeout, endTimeout))
	defer cancel()
	s, err := j.connect(ctx)
	if err == nil {
		defer s.close()
		err = j.releaseAll(s, held)
	}
	if err != nil {
		j.log.Warn("keys may stay pressed", "display", j.cfg.Display, "held", len(held.list), "err", err)
	}
}

// fail notes that the display is out of reach: what was to come is lost, and what is pressed will be released.
func (j *Injector) fail(err error) {
	if n := j.queue.stop(); n > 0 {
		j.met.lose(n, lostUnavailable)
	}
	j.set(err)
}

// set notes why nothing reaches the display at present, nil when it does.
func (j *Injector) set(err error) {
	j.mu.Lock()
	before := j.err
	j.err = err
	j.mu.Unlock()
	switch {
	case err == nil && before != nil:
		j.log.Info("display takes input again", "display", j.cfg.Display)
	case err != nil && (before == nil || before.Error() != err.Error()):
		j.log.Warn("display takes no input", "display", j.cfg.Display, "err", err)
	}
}

func (j *Injector) connect(ctx context.Context) (*server, error) {
	nc, screen, err := j.cfg.Dial(ctx)
	if err != nil {
		return nil, err
	}
	s, err := newServer(nc, screen, j.cfg.Timeout, ctx.Done())
	if err != nil {
		return nil, fmt.Errorf("open display %s for input: %w", j.cfg.Display, err)
	}
	return s, nil
}

// serve works the queue off until ctx ends or the server is lost. held is what the server has pressed.
func (j *Injector) serve(ctx context.Context, held *held) error {
	s, err := j.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := j.releaseAll(s, held); err != nil {
		return err
	}
	j.set(nil)
	j.queue.start()
	for {
		select {
		case <-ctx.Done():
			return j.releaseAll(s, held)
		case <-s.dead:
			return errClosed
		case <-j.ready:
		}
		batch := j.queue.take()
		if len(batch) == 0 {
			continue
		}
		told := make(chan struct{})
		slow := time.AfterFunc(slowAfter, func() {
			defer close(told)
			j.set(errSlow)
		})
		err := j.do(s, held, batch)
		if !slow.Stop() {
			<-told
			if err == nil {
				j.set(nil)
			}
		}
		if err != nil {
			j.met.lose(len(batch), lostUnavailable)
			return err
		}
		if n := s.refused(); n > 0 {
			j.met.lose(n, lostRefused)
		}
		j.met.delay.Observe(time.Since(batch[0].at).Seconds())
	}
}

// do has the server do what was put.
func (j *Injector) do(s *server, held *held, batch []command) error {
	if err := s.current(); err != nil {
		return err
	}
	before := held.list
	for _, c := range batch {
		j.apply(s, held, c)
	}
	err := s.flush()
	if err != nil {
		held.doubt(before, batch)
	}
	return err
}

// apply puts one command in line for the server.
func (j *Injector) apply(s *server, held *held, c command) {
	switch c.kind {
	case move:
		s.move(c.x, c.y)
	case scroll:
		s.turn(c.x, wheelRight, wheelLeft)
		s.turn(c.y, wheelUp, wheelDown)
	case release:
		for _, h := range held.drop() {
			s.fake(h.kind, h.code, false)
			j.met.released.Inc()
		}
	default:
		held.note(c)
		s.fake(c.kind, c.code, c.pressed)
	}
}

// releaseAll releases what is held.
func (j *Injector) releaseAll(s *server, held *held) error {
	if len(held.list) == 0 {
		return nil
	}
	return j.do(s, held, []command{{kind: release}})
}

// held is what a display has pressed, in order. Its list is never changed in place.
type held struct{ list []command }

func (h *held) note(c command) {
	list := slices.DeleteFunc(slices.Clone(h.list), func(one command) bool { return one.kind == c.kind && one.code == c.code })
	if c.pressed {
		list = append(list, c)
	}
	h.list = list
}

// drop returns what is held, the last one first: a key with a modifier is let go before the modifier is.
func (h *held) drop() []command {
	out := slices.Clone(h.list)
	slices.Reverse(out)
	h.list = nil
	return out
}

// doubt takes everything for held that was before or was pressed since: nobody knows what the server has done of it, and to release a key
// that is not pressed does nothing.
func (h *held) doubt(before, batch []command) {
	h.list = before
	for _, c := range batch {
		if (c.kind == key || c.kind == button) && c.pressed {
			h.note(c)
		}
	}
}
