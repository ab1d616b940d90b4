package pipeline

import (
	"cmp"
	"context"
	"image"
	"sync"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
)

// Pipeline is the capture of one view of a display and its encodings.
type Pipeline struct {
	view      view
	display   *displayState
	encodings *encodings
	capture   *captureLoop
	// first is the format of the first user.
	first encode.Format
	// limits are the limits that the display had when it was opened.
	limits DisplayLimits
	// freed is closed when nothing of the pipeline is left, including calls of the capture driver that hung.
	freed chan struct{}

	// The Pool's mutex guards these. cancel ends run.
	cancel context.CancelFunc
	use    usage
}

func newPipeline(d Display, first encode.Format, cfg Config, deps Deps, encoders *encoderPool) *Pipeline {
	log, met, limits := deps.Log.With("display", d.ID), deps.Metrics, cfg.Limits(d.ID)
	p := &Pipeline{
		view: view{d.ID, d.Cursor},
		display: &displayState{
			id: d.ID, log: log, met: met, observer: deps.Observer, opened: make(chan struct{}),
		},
		encodings: &encodings{arrangers: make(map[encode.Format]*arranger), limit: cfg.Encodings},
		first:     first, limits: limits, freed: make(chan struct{}),
		use: usage{formats: make(map[encode.Format]int)},
	}
	p.capture = &captureLoop{
		open: d.Open, demand: capture.Demand{FPS: limits.FPS, Cursor: d.Cursor}, display: p.display,
		surfaces:  func() encode.Surfaces { return p.encodings.surfaces(time.Now(), first) },
		encodings: p.encodings, met: met, guard: deps.guard(log), progress: deps.Progress, kick: make(chan struct{}, 1),
	}
	hooks := encodingHooks{
		wake: p.capture.wake, refresh: p.display.refresh, rebuild: p.display.renew, suit: p.suit,
		fallback: p.fallback, progress: deps.Progress, display: d.ID,
	}
	for _, format := range encode.Formats() {
		p.encodings.arrangers[format] = newArranger()
		for i := range MaxEncodings {
			log := log.With("codec", format.String(), "encoding", i+1)
			p.encodings.list = append(p.encodings.list,
				newEncoding(i+1, format, log, met, encoders, limits, hooks, deps.guard(log)))
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
	for _, e := range p.encodings.list {
		encodings.Go(func() { e.run(encoding) }) // unguarded: each of its steps is guarded
	}
	captured := make(chan struct{})
	go func() { // unguarded: once, which calls the driver, is guarded
		defer close(captured)
		p.capture.run(ctx)
	}()
	returned := p.display.watch(ctx, end, captured)
	cancel()
	encodings.Wait()
	p.display.become(Idle)
	if returned {
		close(p.freed)
		return
	}
	p.display.met.hungCaptures.Inc()
	p.display.log.Error("capture driver hangs and was abandoned")
	go func() { // unguarded: it waits and counts
		<-captured
		p.display.met.hungCaptures.Dec()
		close(p.freed)
	}()
}

// fallback reports that an encoder is replaced.
func (p *Pipeline) fallback(f Fallback) {
	to, reason := cmp.Or(f.To, "none"), f.Reason.String()
	p.display.met.fallbacks.WithLabelValues(f.Format.String(), cmp.Or(f.From, "none"), to, reason).Inc()
	event := p.display.observer.EncoderReplaced(p.display.id, f)
	p.display.log.Warn("encoder replaced", "event", event, "codec", f.Format.String(), "from", f.From, "to", to,
		"reason", reason, "err", f.Err)
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
	state, reason, size := p.display.status()
	return Status{State: state, Reason: reason, Width: size.X, Height: size.Y, Encodings: p.encodings.active()}
}

// Pick returns the encoding for a subscriber of a format that starts at a bitrate. It always returns one.
func (p *Pipeline) Pick(format encode.Format, start int) *Encoding {
	return p.encodings.pick(format, start)
}

// Size returns the size of the largest encoding.
func (p *Pipeline) Size() image.Point {
	s := p.Status()
	return p.limits.Size(image.Pt(s.Width, s.Height))
}
