// Package input delivers the input of viewers to displays: the pointer's position, buttons, the wheel, and keys by
// their Linux code.
package input

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"wavryhost/platform/xproto"

	"github.com/prometheus/client_golang/prometheus"
)

var errNoXTEST = errors.New(
	"input: the X server has no XTEST extension: start the server with it; until then this display can only be watched",
)

// Config configures an Injector.
type Config struct {
	// Display is the display's ID, for the log.
	Display string
	// Monitor is the monitor that positions are on. It defaults to the whole screen.
	Monitor string
	// Dial connects to the X server. The Injector then owns the connection.
	Dial func(ctx context.Context) (*xproto.Conn, error)
	// Timeout is the time after which a server without an answer is given up, with all waiting input. It defaults to
	// 10 s: servers pause for seconds while a driver or a disk does, and then continue.
	Timeout time.Duration
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

	mu   sync.Mutex
	err  error        // why no input reaches the display
	conn *xproto.Conn // Run waits for its events, or for Wake
}

// slowAfter is the time after which a display without an answer counts as not accepting input.
const slowAfter = time.Second

var errSlow = errors.New("input: the X server does not answer at present; input waits")

// New returns an Injector, which does nothing before Run.
func New(cfg Config, log *slog.Logger, m *Metrics) *Injector {
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Retry == 0 {
		cfg.Retry = time.Second
	}
	return &Injector{cfg: cfg, log: log, met: m, queue: newQueue()}
}

// Move moves the pointer to fractions of the display's width and height, from 0 to 1.
func (j *Injector) Move(x, y float64) { j.put(command{kind: move, x: x, y: y}) }

// Button presses or releases a button: 1 is left, 2 the middle, 3 right, 8 back and 9 forward. A command without
// effect is ignored.
func (j *Injector) Button(n uint32, pressed bool) {
	if n < 1 || n > 9 || n >= wheelUp && n <= wheelRight {
		j.met.lose(1, lostUnsupported)
		return
	}
	j.put(command{kind: button, code: byte(n), pressed: pressed})
}

// Key presses or releases a key, by its Linux code (input-event-codes.h). A command without effect is ignored:
// displays repeat held keys.
func (j *Injector) Key(code uint32, pressed bool) {
	if code < 1 || code > maxKey {
		j.met.lose(1, lostUnsupported)
		return
	}
	j.put(command{kind: key, code: byte(code + keyOffset), pressed: pressed})
}

// Scroll turns the wheel by a number of notches: to the right and, like REL_WHEEL of Linux, away from the user. Parts
// of a notch add up.
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
	conn := j.conn
	j.mu.Unlock()
	if conn != nil {
		conn.Wake()
	}
}

// Run delivers input until ctx ends. It then releases what is held, and returns nil. It reconnects to a lost server,
// and first sends the releases that the server missed.
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
	s, end, err := j.connect(ctx)
	if err == nil {
		defer end()
		err = j.releaseAll(ctx, s, held)
	}
	if err != nil {
		j.log.Warn("keys may stay pressed", "display", j.cfg.Display, "held", len(held.list), "err", err)
	}
}

// fail records that the display is out of reach. Waiting input is lost, and what is pressed will be released.
func (j *Injector) fail(err error) {
	if n := j.queue.stop(); n > 0 {
		j.met.lose(n, lostUnavailable)
	}
	j.set(err)
}

// set records why no input reaches the display at present. It is nil when input does.
func (j *Injector) set(err error) {
	j.mu.Lock()
	before := j.err
	j.err = err
	j.mu.Unlock()
	switch {
	case err == nil && before != nil:
		j.log.Info("display accepts input again", "display", j.cfg.Display)
	case err != nil && (before == nil || before.Error() != err.Error()):
		j.log.Warn("display accepts no input", "display", j.cfg.Display, "err", err)
	}
}

// endTimeout bounds the wait for the server's answer once the Injector ends.
const endTimeout = 2 * time.Second

// connect opens the display. The caller must call the returned function to close it. When ctx ends, a wait for events
// ends, and after endTimeout the connection.
func (j *Injector) connect(ctx context.Context) (_ *server, end func(), err error) {
	conn, err := j.cfg.Dial(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("input: %w", err)
	}
	conn.ReplyLimit = j.cfg.Timeout
	limit := time.AfterFunc(j.cfg.Timeout, conn.Close)
	limit.Stop()
	stop := context.AfterFunc(ctx, func() {
		conn.Wake()
		limit.Reset(endTimeout)
	})
	end = func() {
		stop()
		limit.Stop()
		j.wakeable(nil)
		conn.Close()
	}
	j.wakeable(conn)
	s, err := newServer(ctx, conn, j.cfg.Monitor)
	if err != nil {
		end()
		return nil, nil, fmt.Errorf("input: open display %s: %w", j.cfg.Display, err)
	}
	return s, end, nil
}

// wakeable sets the connection that new commands wake.
func (j *Injector) wakeable(conn *xproto.Conn) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.conn = conn
}

// serve works off the queue until ctx ends or the server is lost. held is what the server has pressed.
func (j *Injector) serve(ctx context.Context, held *held) error {
	s, end, err := j.connect(ctx)
	if err != nil {
		return err
	}
	defer end()
	begun := context.WithoutCancel(ctx) // what was begun is finished
	if err := j.releaseAll(begun, s, held); err != nil {
		return err
	}
	if err := s.arrange(begun); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	j.set(nil)
	j.queue.start()
	for {
		if ctx.Err() != nil {
			return j.releaseAll(begun, s, held)
		}
		batch := j.queue.take()
		if len(batch) == 0 {
			if err := s.conn.Wait(time.Time{}); err != nil && !errors.Is(err, xproto.ErrWoken) {
				return fmt.Errorf("input: the X server is lost: %w", err)
			}
			continue
		}
		told := make(chan struct{})
		slow := time.AfterFunc(slowAfter, func() {
			defer close(told)
			j.set(errSlow)
		})
		err := j.do(begun, s, held, batch)
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

// do has the server execute the commands. Positions are on the monitor where it is at present.
func (j *Injector) do(ctx context.Context, s *server, held *held, batch []command) error {
	if err := s.arrange(ctx); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	return j.execute(ctx, s, held, batch)
}

// execute is do without positions.
func (j *Injector) execute(ctx context.Context, s *server, held *held, batch []command) error {
	before := held.list
	for _, c := range batch {
		j.apply(s, held, c)
	}
	if err := s.conn.Sync(ctx); err != nil {
		held.doubt(before, batch)
		return fmt.Errorf("input: the X server is lost: %w", err)
	}
	return nil
}

// apply queues the requests of one command.
func (j *Injector) apply(s *server, held *held, c command) {
	switch c.kind {
	case move:
		s.move(c.x, c.y)
	case scroll:
		s.turn(c.x, wheelRight, wheelLeft)
		s.turn(c.y, wheelUp, wheelDown)
	case release:
		for _, h := range held.drop() {
			s.press(h.kind, h.code, false)
			j.met.released.Inc()
		}
	default:
		held.note(c)
		s.press(c.kind, c.code, c.pressed)
	}
}

// releaseAll releases what is held.
func (j *Injector) releaseAll(ctx context.Context, s *server, held *held) error {
	if len(held.list) == 0 {
		return nil
	}
	return j.execute(ctx, s, held, []command{{kind: release}})
}

// held has the pressed keys and buttons of a display, in order. Its list is never changed in place.
type held struct{ list []command }

func (h *held) note(c command) {
	list := slices.DeleteFunc(
		slices.Clone(h.list), func(one command) bool { return one.kind == c.kind && one.code == c.code },
	)
	if c.pressed {
		list = append(list, c)
	}
	h.list = list
}

// drop returns what is held, the last one first. So a key is released before its modifier.
func (h *held) drop() []command {
	out := slices.Clone(h.list)
	slices.Reverse(out)
	h.list = nil
	return out
}

// doubt counts everything as held that was held before or was pressed since. It is unknown what the server has done;
// releasing a key that is not pressed has no effect.
func (h *held) doubt(before, batch []command) {
	h.list = before
	for _, c := range batch {
		if (c.kind == key || c.kind == button) && c.pressed {
			h.note(c)
		}
	}
}
