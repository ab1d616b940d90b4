package pipeline

import (
	"cmp"
	"context"
	"image"
	"log/slog"
	"sync"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/guard"
	"wavryhost/session/lockorder"
)

// Pipeline is the capture of one display and its encodings.
//
//	opening ──first frame──▶ live ◀──frame, answer── lost
//	   │ error, openLimit      └──error, hungAfter────▲
//	   ▼
//	 closed
type Pipeline struct {
	display  Display
	log      *slog.Logger
	met      *Metrics
	observer Observer
	guard    *guard.Guard
	// limits are the limits that the display had when it was opened. limit is the maximum number of concurrent
	// encodings.
	limits DisplayLimits
	limit  int
	// encodings has MaxEncodings for each format, in the order of encode.Formats. Those with a subscriber are in use.
	encodings []*Encoding
	arrangers map[encode.Format]*arranger // by codec
	// kick has room for one token: the capture loop should look at its encodings again.
	kick chan struct{}
	// opened is closed when the first frame was captured or openErr is set.
	opened  chan struct{}
	openErr error
	// freed is closed when nothing of the pipeline is left, including calls of the capture driver that hung.
	freed chan struct{}

	// The Pool's mutex guards these. cancel ends run.
	cancel context.CancelFunc
	use    usage

	mu      lockorder.Mutex[pipelineLock]
	source  capture.Source
	rebuild context.CancelCauseFunc
	state   State
	reason  string      // why the display is lost, for people
	calling time.Time   // the capture driver is in a call since then; zero while it is not
	hung    bool        // the display is lost because it does not answer
	back    time.Time   // when a lost display that is open again counts as back; zero while it is not open
	size    image.Point // of the frames
}

func newPipeline(d Display, cfg Config, deps Deps, encoders *encoderPool) *Pipeline {
	p := &Pipeline{
		display: d, log: deps.Log.With("display", d.ID), met: deps.Metrics, observer: deps.Observer,
		limit: cfg.Encodings, limits: cfg.Limits(d.ID), arrangers: make(map[encode.Format]*arranger),
		kick: make(chan struct{}, 1), opened: make(chan struct{}), freed: make(chan struct{}),
		use: usage{formats: make(map[encode.Format]int)},
	}
	p.guard = deps.guard(p.log)
	hooks := encodingHooks{
		wake: p.wake, refresh: p.refresh, rebuild: p.renew, fallback: p.fallback, progress: deps.Progress,
	}
	for _, format := range encode.Formats() {
		p.arrangers[format] = &arranger{}
		for i := range MaxEncodings {
			log := p.log.With("codec", format.String(), "encoding", i+1)
			p.encodings = append(p.encodings,
				newEncoding(i+1, format, log, p.met, encoders, p.limits, hooks, deps.guard(log)))
		}
	}
	return p
}

// run captures and encodes until ctx ends or the display cannot be opened at first. It waits for all that it started,
// except for a call of the capture driver that hangs. Such a call is abandoned, and counted until it returns.
func (p *Pipeline) run(ctx context.Context) {
	var encodings sync.WaitGroup
	ctx, end := context.WithCancel(ctx)
	defer end()
	// The encodings end after the capture loop, so that they release its last frame, too.
	encoding, cancel := context.WithCancel(context.WithoutCancel(ctx))
	for _, e := range p.encodings {
		encodings.Go(func() { e.run(encoding) }) // unguarded: each of its steps is guarded
	}
	captured := make(chan struct{})
	go func() { // unguarded: captureOnce, which calls the driver, is guarded
		defer close(captured)
		p.capture(ctx)
	}()
	returned := p.watch(ctx, end, captured)
	cancel()
	encodings.Wait()
	p.become(Idle)
	if returned {
		close(p.freed)
		return
	}
	p.met.hungCaptures.Inc()
	p.log.Error("capture driver hangs and was abandoned")
	go func() { // unguarded: it waits and counts
		<-captured
		p.met.hungCaptures.Dec()
		close(p.freed)
	}()
}

// wake makes the capture loop look at its encodings again.
func (p *Pipeline) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// refresh asks for the whole picture. A lost display gives it without a request once it is back.
func (p *Pipeline) refresh() {
	p.mu.Lock()
	source := p.source
	p.mu.Unlock()
	if source != nil {
		source.Refresh()
	}
}

// renew asks for another source of the same display.
func (p *Pipeline) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rebuild != nil {
		p.rebuild(errRebuild)
	}
}

// fallback reports that an encoder is replaced.
func (p *Pipeline) fallback(f Fallback) {
	to, reason := cmp.Or(f.To, "none"), f.Reason.String()
	p.met.fallbacks.WithLabelValues(f.Format.String(), cmp.Or(f.From, "none"), to, reason).Inc()
	event := p.observer.EncoderReplaced(p.display.ID, f)
	p.log.Warn("encoder replaced", "event", event, "codec", f.Format.String(), "from", f.From, "to", to, "reason", reason,
		"err", f.Err)
}

// Status is the status of a display.
type Status struct {
	State State
	// Reason is why it is lost, for people.
	Reason string
	// Width and Height are its size in pixels, 0 before the first picture.
	Width, Height int
	// Encodings is the number of encodings with connected subscribers.
	Encodings int
}

// Status returns the display's status.
func (p *Pipeline) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Status{State: p.state, Reason: p.reason, Width: p.size.X, Height: p.size.Y, Encodings: p.active()}
}

// Size returns the size of the largest encoding.
func (p *Pipeline) Size() image.Point {
	s := p.Status()
	return p.limits.Size(image.Pt(s.Width, s.Height))
}
