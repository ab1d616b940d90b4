package session

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"wavryhost/session/admission"
	"wavryhost/session/lockorder"
	"wavryhost/session/pipeline"
)

// watched holds the displays that are in use. They stay listed when they are no longer found.
type watched struct {
	mu  lockorder.Mutex[watchedLock]
	use map[string]*displayUse
}

type displayUse struct {
	display Display
	users   int
}

// add notes one more user of a display.
func (w *watched) add(d Display) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.use == nil {
		w.use = make(map[string]*displayUse)
	}
	if w.use[d.ID] == nil {
		w.use[d.ID] = &displayUse{display: d}
	}
	w.use[d.ID].users++
}

// remove notes one user less of a display.
func (w *watched) remove(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.use[id].users--; w.use[id].users == 0 {
		delete(w.use, id)
	}
}

// list returns the displays in use, by ID.
func (w *watched) list() (list []Display) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range w.use {
		list = append(list, u.display)
	}
	slices.SortFunc(list, func(a, b Display) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// acquire returns a feed of a display for a viewer of a codec, at the encoding that suits a bitrate to start at.
func (p *opener) acquire(ctx context.Context, d Display, codec string, start int) (*feed, error) {
	p.watched.add(d)
	source, err := p.pool.Acquire(ctx, pipeline.Display{ID: d.ID, Open: d.Open}, codec)
	if err != nil {
		p.watched.remove(d.ID)
		return nil, refusedByPool(err)
	}
	return &feed{
		display: d, source: source, on: source.Pick(codec, start), ceiling: p.conf.get().rule(d.ID).MaxBitrate,
		release: func() {
			p.watched.remove(d.ID)
			p.pool.Release(source, codec)
		},
	}, nil
}

// refusedByPool returns the Manager's error for an error of Pool.Acquire.
func refusedByPool(err error) error {
	if errors.Is(err, pipeline.ErrClosed) {
		return ErrDraining
	}
	if limit, ok := errors.AsType[*pipeline.LimitError](err); ok {
		return admission.Refuse(admission.Encoders, "%s", limit.Error())
	}
	return err
}

// poolConfig returns the settings of the pool.
func (c *Config) poolConfig() pipeline.Config {
	return pipeline.Config{
		Encodings: c.MaxEncodings, HardwareEncodings: c.EncodeLimit, Linger: c.Linger,
		Limits: func(display string) pipeline.DisplayLimits {
			r := c.rule(display)
			return pipeline.DisplayLimits{FPS: c.fps(display), MaxWidth: r.MaxWidth, MaxHeight: r.MaxHeight}
		},
	}
}

// displayEvents makes events of what happens to displays.
type displayEvents struct{ emit func(Event) uint64 }

var _ pipeline.Observer = displayEvents{}

// DisplayLost implements pipeline.Observer.
func (e displayEvents) DisplayLost(display string, why pipeline.LostReason, err error) uint64 {
	return e.emit(Event{Kind: EventDisplayLost, Display: display, Reason: why.String(), Err: err})
}

// DisplayBack implements pipeline.Observer.
func (e displayEvents) DisplayBack(display string) uint64 {
	return e.emit(Event{Kind: EventDisplayBack, Display: display})
}

// EncoderReplaced implements pipeline.Observer.
func (e displayEvents) EncoderReplaced(display string, f pipeline.Fallback) uint64 {
	return e.emit(Event{
		Kind: EventEncoderFallback, Display: display, Reason: f.Reason.String(), From: f.From, To: f.To, Err: f.Err,
	})
}
