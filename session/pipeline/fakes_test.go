package pipeline

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
	"wavryhost/capture/capturetest"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/progress"
)

var errTest = errors.New("test error")

// spot is a small part of a picture.
var spot = image.Rect(10, 10, 20, 20)

// move changes the screen at 200 Hz for d.
func move(s *capturetest.Screen, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.Touch(spot)
		time.Sleep(5 * time.Millisecond)
	}
}

// display returns a screen as a display with ID test.
func display(s *capturetest.Screen) Display { return Display{ID: "test", Open: s.Open} }

// unlimited is the limit of hardware that has none.
func unlimited() int { return 0 }

// encoderOf returns a fake encoder of a format.
func encoderOf(format encode.Format, change func(*encodetest.Config)) *encodetest.Fake {
	cfg := encodetest.Config{Profile: encode.Profile{Name: "fake " + format.String(), Format: format}}
	if change != nil {
		change(&cfg)
	}
	return encodetest.New(cfg)
}

// fakeViewer is a Subscriber.
type fakeViewer struct {
	mu      sync.Mutex
	demand  Demand
	units   []encode.AccessUnit
	at      []time.Time
	dirty   []float64
	missed  int
	needs   []adapt.KeyframeReason
	applies []adapt.Applied
	fail    error
	on      *Encoding
	moves   int
}

var _ Subscriber = (*fakeViewer)(nil)

// newFakeViewer returns a viewer that is connected and ready.
func newFakeViewer() *fakeViewer {
	return &fakeViewer{demand: Demand{Live: true, Ready: true, BitsPerSecond: 2_000_000, FPS: 60, Scale: 1}}
}

// subscribe puts the viewer on an encoding, from where it can be moved.
func (v *fakeViewer) subscribe(to *Encoding) {
	v.on = to
	to.Subscribe(v)
}

// encoding returns the encoding that the viewer is on.
func (v *fakeViewer) encoding() *Encoding {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.on
}

func (v *fakeViewer) Viewer() any { return v }

func (v *fakeViewer) Demand(time.Time) Demand {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.demand
}

// RequestKeyframe grants the keyframe at once, like a controller that can afford it.
func (v *fakeViewer) RequestKeyframe(_ time.Time, why adapt.KeyframeReason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.needs = append(v.needs, why)
	v.demand.Keyframe = true
}

func (v *fakeViewer) Deliver(au encode.AccessUnit, p Picture) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		return v.fail
	}
	if au.Key {
		v.demand.Keyframe = false
	}
	v.units = append(v.units, au)
	v.at = append(v.at, time.Now())
	v.dirty = append(v.dirty, p.Dirty)
	return nil
}

func (v *fakeViewer) Missed() {
	v.mu.Lock()
	v.missed++
	v.mu.Unlock()
}

// Reassign moves the viewer at once.
func (v *fakeViewer) Reassign(to *Encoding) {
	v.mu.Lock()
	v.on.Unsubscribe(v)
	v.on = to
	v.moves++
	v.mu.Unlock()
	to.Subscribe(v)
}

func (v *fakeViewer) Applied(a adapt.Applied) {
	v.mu.Lock()
	v.applies = append(v.applies, a)
	v.mu.Unlock()
}

// set changes the demand.
func (v *fakeViewer) set(change func(*Demand)) {
	v.mu.Lock()
	change(&v.demand)
	v.mu.Unlock()
}

// got returns the number of pictures so far, and how many of them are keyframes.
func (v *fakeViewer) got() (pictures, keys int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, au := range v.units {
		if au.Key {
			keys++
		}
	}
	return len(v.units), keys
}

// pictures returns what was delivered from the n-th picture on.
func (v *fakeViewer) pictures(n int) []encode.AccessUnit {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.units[n:])
}

// sentAt returns when the n-th picture was delivered.
func (v *fakeViewer) sentAt(n int) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at[n]
}

// dirtyAt returns the changed part of the n-th picture.
func (v *fakeViewer) dirtyAt(n int) float64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.dirty[n]
}

// misses returns how many pictures went to others only.
func (v *fakeViewer) misses() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.missed
}

// asked returns the keyframe requests.
func (v *fakeViewer) asked() []adapt.KeyframeReason {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.needs)
}

// last returns what was applied last.
func (v *fakeViewer) last() (a adapt.Applied) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.applies); n > 0 {
		a = v.applies[n-1]
	}
	return a
}

// decodable fails the test if the first picture is no keyframe.
func (v *fakeViewer) decodable(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.units) > 0 && !v.units[0].Key {
		t.Error("the first picture is no keyframe")
	}
}

// kind is a method of Observer.
type kind string

const (
	displayLost     kind = "DisplayLost"
	displayBack     kind = "DisplayBack"
	displayPolled   kind = "DisplayPolled"
	encoderReplaced kind = "EncoderReplaced"
)

// happening is a call of an Observer.
type happening struct {
	kind     kind
	lost     LostReason
	err      error
	fallback Fallback
}

// observer is an Observer that records its calls.
type observer struct {
	mu     sync.Mutex
	events []happening
}

var _ Observer = (*observer)(nil)

func (o *observer) note(h happening) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, h)
	return uint64(len(o.events))
}

func (o *observer) DisplayLost(_ string, why LostReason, err error) uint64 {
	return o.note(happening{kind: displayLost, lost: why, err: err})
}

func (o *observer) DisplayBack(string) uint64 { return o.note(happening{kind: displayBack}) }

func (o *observer) DisplayPolled(string) uint64 { return o.note(happening{kind: displayPolled}) }

func (o *observer) EncoderReplaced(_ string, f Fallback) uint64 {
	return o.note(happening{kind: encoderReplaced, fallback: f})
}

// all returns what happened so far.
func (o *observer) all() []happening {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.events)
}

// kinds returns the kinds of what happened so far.
func (o *observer) kinds() (kinds []kind) {
	for _, h := range o.all() {
		kinds = append(kinds, h.kind)
	}
	return kinds
}

// rig is a Pipeline with a fake display, fake encoders, an observer and a registry.
type rig struct {
	*Pipeline
	*observer
	screen *capturetest.Screen
	reg    *prometheus.Registry
	met    *Metrics
	cancel context.CancelFunc
	done   chan struct{}
}

// testConfig is a Config without limits.
func testConfig(fps int) Config {
	return Config{
		Encodings: MaxEncodings, Linger: 2 * time.Second,
		Limits: func(string) DisplayLimits { return DisplayLimits{FPS: fps} },
	}
}

// testDeps returns what a Pool or Pipeline reports to.
func testDeps() (Deps, *observer, *prometheus.Registry) {
	reg, o := prometheus.NewRegistry(), &observer{}
	return Deps{Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(reg), Observer: o}, o, reg
}

// newTestPipeline returns a Pipeline that does not run, without encoders.
func newTestPipeline() *Pipeline {
	deps, _, _ := testDeps()
	return newPipeline(Display{ID: "test"}, encode.H264, testConfig(60), deps, newEncoderPool(nil, unlimited))
}

// openRig runs a Pipeline with a frame rate limit. Its encoder defaults to a fake one.
func openRig(t *testing.T, fps int, encoders ...encode.Factory) *rig {
	t.Helper()
	return openRigOn(t, nil, fps, encoders...)
}

// openRigOn is openRig with a board of loops.
func openRigOn(t *testing.T, board *progress.Board, fps int, encoders ...encode.Factory) *rig {
	t.Helper()
	if len(encoders) == 0 {
		encoders = []encode.Factory{encodetest.New(encodetest.Config{})}
	}
	screen := capturetest.NewScreen(640, 480)
	return runRig(t, display(screen), screen, board, fps, encoders...)
}

// runRig runs a Pipeline of a display that a screen is behind.
func runRig(
	t *testing.T, d Display, screen *capturetest.Screen, board *progress.Board, fps int, encoders ...encode.Factory,
) *rig {
	t.Helper()
	deps, o, reg := testDeps()
	deps.Progress = board
	r := &rig{screen: screen, reg: reg, met: deps.Metrics, observer: o, done: make(chan struct{})}
	r.Pipeline = newPipeline(d, encode.H264, testConfig(fps), deps, newEncoderPool(encoders, unlimited))
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
	<-r.display.opened
	synctest.Wait()
	return r
}

// live changes the screen for d, and moves the viewers to the encodings that suit them meanwhile, like Pool.Sweep.
func (r *rig) live(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		move(r.screen, 100*time.Millisecond)
		r.encodings.arrange(time.Now())
	}
}

// close ends the pipeline and checks that every frame came back.
func (r *rig) close(t *testing.T) {
	t.Helper()
	r.cancel()
	<-r.done
	if n := r.screen.Source().Leaked(); n != 0 {
		t.Errorf("%d frames are not released", n)
	}
	problems, err := testutil.GatherAndLint(r.reg)
	if err != nil {
		t.Errorf("gather metrics: %v", err)
	}
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
}

// dropped returns how many frames were dropped for a reason.
func (r *rig) dropped(d Drop) int {
	return int(testutil.ToFloat64(r.met.dropped.WithLabelValues(drops[d].stage, drops[d].reason)))
}

// count returns how many frames were counted at a stage.
func (r *rig) count(s frameStage) int {
	return int(testutil.ToFloat64(r.met.frames.WithLabelValues(s.String())))
}

// hangingFactory opens nothing before release is closed.
type hangingFactory struct{ release chan struct{} }

func (f hangingFactory) Profile() encode.Profile { return encode.Profile{Name: "hangs"} }

func (f hangingFactory) Open(encode.Params) (encode.Encoder, error) {
	<-f.release
	return nil, encode.ErrNoEncoder
}
