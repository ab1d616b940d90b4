package session

import (
	"context"
	"errors"
	"image"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// screen is a display for tests. Each Open gives another source of it.
type screen struct {
	mu      sync.Mutex
	width   int
	height  int
	openErr error
	opens   int
	source  *screenSource
	// hung, when not nil, is what every call waits for that asks the display, whatever becomes of its context.
	hung  chan struct{}
	heard time.Time // when hung was set
}

// screenSource obeys capture.Source's contract, at most three frames out included.
type screenSource struct {
	screen *screen

	mu       sync.Mutex
	damage   []image.Rectangle
	seq      uint64
	captured []time.Time
	err      error
	changed  chan struct{}
	out      int
	closed   bool
	slots    chan struct{}
}

func newScreen(w, h int) *screen { return &screen{width: w, height: h} }

// hang makes the display answer nothing, until what it returns is called.
func (s *screen) hang() (goOn func()) {
	s.mu.Lock()
	s.hung, s.heard = make(chan struct{}), time.Now()
	hung, source := s.hung, s.source
	s.mu.Unlock()
	if source != nil {
		source.hint() // so that Next asks the display
	}
	return func() {
		s.mu.Lock()
		s.hung = nil
		s.mu.Unlock()
		close(hung)
	}
}

// answer waits while the display hangs.
func (s *screen) answer() {
	s.mu.Lock()
	hung := s.hung
	s.mu.Unlock()
	if hung != nil {
		<-hung
	}
}

func (s *screen) Open(context.Context) (capture.Source, error) {
	s.answer()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	if s.openErr != nil {
		return nil, s.openErr
	}
	s.source = &screenSource{screen: s, changed: make(chan struct{}, 1), slots: make(chan struct{}, 3)}
	s.source.damage = []image.Rectangle{image.Rect(0, 0, s.width, s.height)}
	return s.source, nil
}

func (s *screen) display() Display {
	return Display{ID: "test", Name: "Test", Backend: "fake", Width: s.width, Height: s.height, Open: s.Open}
}

func (s *screen) now() *screenSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source
}

func (s *screen) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

// touch changes a part of the picture.
func (s *screen) touch(r image.Rectangle) { s.now().touch(r) }

// lose makes the display go away until err is nil.
func (s *screen) lose(err error) {
	s.mu.Lock()
	s.openErr = err
	source := s.source
	s.mu.Unlock()
	if err != nil {
		source.fail(err)
	}
}

func (s *screen) resize(w, h int) {
	s.mu.Lock()
	s.width, s.height = w, h
	source := s.source
	s.mu.Unlock()
	source.touch(image.Rect(0, 0, w, h))
}

func (s *screenSource) touch(r image.Rectangle) {
	s.mu.Lock()
	s.damage = capture.MergeDamage(s.damage, []image.Rectangle{r})
	s.mu.Unlock()
	s.hint()
}

func (s *screenSource) fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.hint()
}

func (s *screenSource) hint() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *screenSource) Next(ctx context.Context) (*capture.Frame, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		s.screen.answer()
		s.mu.Lock()
		if err := s.err; err != nil {
			s.mu.Unlock()
			<-s.slots
			return nil, err
		}
		if len(s.damage) > 0 {
			defer s.mu.Unlock()
			return s.frame(), nil
		}
		s.mu.Unlock()
		select {
		case <-s.changed:
		case <-ctx.Done():
			<-s.slots
			return nil, ctx.Err()
		}
	}
}

func (s *screenSource) frame() *capture.Frame {
	s.screen.mu.Lock()
	w, h := s.screen.width, s.screen.height
	s.screen.mu.Unlock()
	s.out++
	f := capture.NewFrame(func(*capture.Frame) {
		s.mu.Lock()
		s.out--
		s.mu.Unlock()
		<-s.slots
	})
	s.seq++
	f.Pix, f.Stride, f.Width, f.Height = make([]byte, 4*w*h), 4*w, w, h
	f.Damage, f.Time, f.Seq, f.Took = s.damage, time.Now(), s.seq, time.Millisecond
	s.damage = nil
	s.captured = append(s.captured, f.Time)
	return f
}

func (s *screenSource) Alive() time.Time {
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	if s.screen.hung != nil {
		return s.screen.heard
	}
	return time.Now()
}

func (s *screenSource) Refresh() {
	s.screen.mu.Lock()
	r := image.Rect(0, 0, s.screen.width, s.screen.height)
	s.screen.mu.Unlock()
	s.touch(r)
}

func (s *screenSource) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.fail(capture.ErrClosed)
	return nil
}

// times returns when frames were captured.
func (s *screenSource) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.captured...)
}

// leaked returns how many frames are not released.
func (s *screenSource) leaked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out
}

// spectator is a watcher for tests.
type spectator struct {
	mu      sync.Mutex
	wish    ask
	units   []encode.AccessUnit
	at      []time.Time
	dirty   []float64
	missed  int
	needs   []adapt.KeyframeReason
	applies []adapt.Applied
	fail    error
	on      *rung
	moves   int
}

func newSpectator() *spectator {
	return &spectator{wish: ask{live: true, ready: true, bitrate: 2_000_000, fps: 60, scale: 1}}
}

func (s *spectator) ask(time.Time) ask {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wish
}

func (s *spectator) move(to *rung) {
	s.mu.Lock()
	s.on.leave(s)
	s.on = to
	s.moves++
	s.mu.Unlock()
	to.join(s)
}

func (s *spectator) rung() *rung {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on
}

// sit puts the spectator on a rung, from where it can be moved.
func (s *spectator) sit(on *rung) {
	s.on = on
	on.join(s)
}

// need grants the keyframe at once, as a controller does that can afford it.
func (s *spectator) need(_ time.Time, why adapt.KeyframeReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.needs = append(s.needs, why)
	s.wish.key = true
}

func (s *spectator) take(au encode.AccessUnit, what shown) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if au.Key {
		s.wish.key = false
	}
	s.units = append(s.units, au)
	s.at = append(s.at, time.Now())
	s.dirty = append(s.dirty, what.dirty)
	return nil
}

func (s *spectator) miss() {
	s.mu.Lock()
	s.missed++
	s.mu.Unlock()
}

func (s *spectator) applied(a adapt.Applied) {
	s.mu.Lock()
	s.applies = append(s.applies, a)
	s.mu.Unlock()
}

func (s *spectator) set(change func(*ask)) {
	s.mu.Lock()
	change(&s.wish)
	s.mu.Unlock()
}

// got returns the pictures so far, and how many of them are keyframes.
func (s *spectator) got() (pictures, keys int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, au := range s.units {
		if au.Key {
			keys++
		}
	}
	return len(s.units), keys
}

// pictures returns what was handed over from the n-th picture on.
func (s *spectator) pictures(n int) []encode.AccessUnit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.units[n:])
}

func (s *spectator) sentAt(n int) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[n]
}

func (s *spectator) dirtyAt(n int) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirty[n]
}

func (s *spectator) misses() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missed
}

func (s *spectator) asked() []adapt.KeyframeReason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.needs)
}

// last returns what was applied last.
func (s *spectator) last() (a adapt.Applied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.applies); n > 0 {
		a = s.applies[n-1]
	}
	return a
}

// decodable fails the test when a picture was handed over that has no reference.
func (s *spectator) decodable(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.units) > 0 && !s.units[0].Key {
		t.Error("the first picture is no keyframe")
	}
}

// theater is a stage with a fake display, fake encoders and a registry.
type theater struct {
	*stage
	screen *screen
	reg    *prometheus.Registry
	met    *Metrics
	events []Event
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

var errTest = errors.New("test error")

func openTheater(t *testing.T, cfg Config, encoders ...encode.Factory) *theater {
	t.Helper()
	if len(encoders) == 0 {
		encoders = []encode.Factory{encodetest.New(encodetest.Config{})}
	}
	cfg = cfg.withDefaults()
	reg := prometheus.NewRegistry()
	th := &theater{screen: newScreen(640, 480), reg: reg, met: NewMetrics(reg), done: make(chan struct{})}
	log := slog.New(slog.DiscardHandler)
	th.stage = newStage(th.screen.display(), cfg, log, th.met, newRoster(encoders, func() int { return cfg.EncodeLimit }), func(e Event) uint64 {
		th.mu.Lock()
		defer th.mu.Unlock()
		th.events = append(th.events, e)
		return uint64(len(th.events))
	})
	ctx, cancel := context.WithCancel(t.Context())
	th.cancel = cancel
	go func() {
		defer close(th.done)
		th.run(ctx)
	}()
	<-th.opened
	synctest.Wait()
	return th
}

// live changes the screen for d, and moves the viewers to the rungs that suit them meanwhile, as the janitor does.
func (th *theater) live(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		move(th.screen, 100*time.Millisecond)
		th.arrange(time.Now())
	}
}

// close ends the stage and checks that every frame came back.
func (th *theater) close(t *testing.T) {
	t.Helper()
	th.cancel()
	<-th.done
	if n := th.screen.now().leaked(); n != 0 {
		t.Errorf("%d frames are not released", n)
	}
	lint(t, th.reg)
}

// lint checks the metrics' names and help texts.
func lint(t *testing.T, reg prometheus.Gatherer) {
	t.Helper()
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Errorf("gather metrics: %v", err)
	}
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
}

func (th *theater) kinds() []EventKind {
	th.mu.Lock()
	defer th.mu.Unlock()
	var kinds []EventKind
	for _, e := range th.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (th *theater) dropped(d drop) int {
	return int(testutil.ToFloat64(th.met.dropped.WithLabelValues(d.stage, d.reason)))
}

func (th *theater) count(kind string) int {
	return int(testutil.ToFloat64(th.met.frames.WithLabelValues(kind)))
}

// hangingFactory opens nothing before release is closed.
type hangingFactory struct{ release chan struct{} }

func (f hangingFactory) Profile() encode.Profile { return encode.Profile{Name: "hangs"} }

func (f hangingFactory) Open(encode.Params) (encode.Encoder, error) {
	<-f.release
	return nil, encode.ErrNoEncoder
}
