// Package input delivers the input of viewers to displays: the pointer's position, buttons, the wheel, and keys by
// their Linux code.
package input

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var errNoXTEST = errors.New(
	"input: the X server has no XTEST extension: start the server with it; until then this display can only be watched",
)

// Config configures an Injector.
type Config struct {
	// Display is the display's ID, for the log.
	Display string
	// Open opens the display: the result of XTEST or Wayland.
	Open func(ctx context.Context) (Device, error)
	// Retry is the pause before the Injector connects again. It defaults to 1 s.
	Retry time.Duration
}

// Reasons for lost input.
const (
	lostOverflow    = "overflow"
	lostUnavailable = "unavailable"
	lostUnsupported = "unsupported"
	lostRefused     = "refused"
)

// Metrics are the metrics of Injectors.
type Metrics struct {
	lost     *prometheus.CounterVec
	released prometheus.Counter
	delay    prometheus.Histogram
}

// NewMetrics returns metrics that are registered on reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_input_lost_total",
			Help: "Input of the session in control that did not reach the display, by reason.",
		}, []string{"reason"}),
		released: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wavry_host_input_released_total", Help: "Keys and buttons that the host released because the viewer did not.",
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wavry_host_input_seconds", Help: "Time from the arrival of input to the display's confirmation.",
			Buckets: []float64{.0001, .00025, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 2},
		}),
	}
	reg.MustRegister(m.lost, m.released, m.delay)
	return m
}

// Complete makes all series of closed sets exist, for the document of all metrics.
func (m *Metrics) Complete() {
	for _, r := range []string{lostOverflow, lostUnavailable, lostUnsupported, lostRefused} {
		m.lost.WithLabelValues(r)
	}
}

func (m *Metrics) lose(n int, why string) { m.lost.WithLabelValues(why).Add(float64(n)) }

// Injector delivers input to one display. Its methods, except Wait, do not wait for the display. They put commands
// into a bounded queue, which Run works off. Positions of the pointer replace each other in the queue. The methods may
// be called concurrently.
type Injector struct {
	cfg Config
	log *slog.Logger
	met *Metrics

	queue queue

	held held // what the server has pressed; only Run uses it

	mu     sync.Mutex
	err    error  // why no input reaches the display
	device Device // Run waits for its events, or for wake
}

// slowAfter is the time after which a display without an answer counts as not accepting input.
const slowAfter = time.Second

var errSlow = errors.New("input: the display does not answer at present; input waits")

// New returns an Injector, which does nothing before Run.
func New(cfg Config, log *slog.Logger, m *Metrics) *Injector {
	if cfg.Retry == 0 {
		cfg.Retry = time.Second
	}
	return &Injector{cfg: cfg, log: log, met: m, queue: newQueue()}
}

// Move moves the pointer to fractions of the display's width and height, from 0 to 1.
func (j *Injector) Move(x, y float64) { j.put(command{kind: move, x: x, y: y}) }

// MoveBy moves the pointer by pixels, to the right and down. Parts of a pixel add up. Programs that read the motion of
// the mouse, as games do, get all of it, also where the pointer is at the edge of the display.
func (j *Injector) MoveBy(dx, dy float64) { j.put(command{kind: motion, x: dx, y: dy}) }

// Button presses or releases a button: 1 is left, 2 the middle, 3 right, 8 back and 9 forward. A command without
// effect is ignored.
func (j *Injector) Button(n uint32, pressed bool) {
	if n < 1 || n > 9 || n >= wheelUp && n <= wheelRight {
		j.met.lose(1, lostUnsupported)
		return
	}
	j.put(command{kind: button, code: n, pressed: pressed})
}

// Key presses or releases a key, by its Linux code (input-event-codes.h). A command without effect is ignored:
// displays repeat held keys. letter is what the press is to type whatever the display's layout is, or 0 for the key at
// that place. locks are the viewer's, see LocksKnown.
func (j *Injector) Key(code uint32, pressed bool, letter rune, locks uint8) {
	if code < 1 || code > maxKey {
		j.met.lose(1, lostUnsupported)
		return
	}
	j.put(command{kind: key, code: code, pressed: pressed, letter: letter, locks: locks})
}

// The locks of a keyboard, for Key. Without LocksKnown the display's locks stay as they are.
const (
	LocksKnown = 1 << iota
	CapsLock
	NumLock
)

// Text types text, whatever the display's layout is.
func (j *Injector) Text(text string) { j.put(command{kind: typing, text: text}) }

// Scroll turns the wheel by a number of notches: to the right and, like REL_WHEEL of Linux, away from the user. A
// display that takes whole notches only gets them as soon as the parts add up.
func (j *Injector) Scroll(dx, dy float64) { j.put(command{kind: scroll, x: dx, y: dy}) }

// Release releases everything that is held, after all earlier commands.
func (j *Injector) Release() { j.put(command{kind: release}) }

// Wait waits until the queue has room for one more command, the display is out of reach, or ctx ends; in the last case
// it returns ctx's error. Input without Wait may make the queue drop everything.
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

// Losses counts how often all waiting input was dropped because the display was out of reach.
func (j *Injector) Losses() uint64 { return j.queue.losses() }

// Holding reports whether a key or a button is held.
func (j *Injector) Holding() bool { return j.queue.holding() }

// Err says why input does not reach the display. It is nil when input does, or was not tried yet.
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
	j.mu.Lock()
	d := j.device
	j.mu.Unlock()
	if d != nil {
		d.wake()
	}
}
