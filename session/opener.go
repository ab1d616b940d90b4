package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/codec"
	"wavryhost/session/floor"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/pointer"
	"wavryhost/session/relay"
)

// opener opens sessions: it admits an offer, makes all that the session holds, and answers.
type opener struct {
	conf *live
	log  *slog.Logger
	met  *Metrics
	// apart are the metrics of probes, which nobody reads.
	apart    *Metrics
	emit     func(Event) uint64
	registry *registry
	catalog  *catalog
	floor    *floor.Control
	pool     *pipeline.Pool
	pointers *pointer.Hub
	watched  *watched
	relays   *relay.Watch
	network  *peer.Network
	// crowded reports whether pictures are late because of the host's load while load shedding can do something about
	// it.
	crowded func() bool
	// settle is the time after which the route of media counts although the viewer has not sent its address.
	settle time.Duration
}

// common returns the formats of a host that a viewer takes, the host's preferred one first.
func common(takes, has []encode.Format) []encode.Format {
	return slices.DeleteFunc(slices.Clone(has), func(f encode.Format) bool { return !slices.Contains(takes, f) })
}

// negotiated returns the formats of a session that begins with one of the common ones: that one, and AV1.
// Sessions change to no other.
func negotiated(common []encode.Format, first encode.Format, mode codec.Mode) []encode.Format {
	if first == encode.AV1 || mode == codec.Never || !slices.Contains(common, encode.AV1) {
		return []encode.Format{first}
	}
	return []encode.Format{first, encode.AV1}
}

// choose returns the format that a viewer begins with: the host's preferred one of the formats, unless its
// display may have no more encodings and one of another format runs. The content and the rate are not known yet.
func (p *opener) choose(formats []encode.Format, d Display, o Offer) encode.Format {
	if open := p.open(formats, d, o); len(open) > 0 {
		return open[0]
	}
	return formats[0] // which will be refused in words
}

// open returns the formats in which a viewer may watch a display.
func (p *opener) open(formats []encode.Format, d Display, o Offer) []encode.Format {
	return slices.DeleteFunc(slices.Clone(formats), func(f encode.Format) bool {
		return !p.pool.Admits(d.ID, cursorFor(d, o), f)
	})
}

// cursorFor returns where the pointer of a display goes for a viewer's offer, if it can be had apart.
func cursorFor(d Display, o Offer) capture.CursorMode {
	if o.DrawsPointer && d.Pointer != nil {
		return capture.CursorHidden
	}
	return capture.CursorEmbedded
}

// acquire returns a feed of a display for the viewer of an offer in a format, at the encoding that suits a bitrate to
// start at. A pointer that cannot be had apart is in the picture. A probe sees what others see.
func (p *opener) acquire(ctx context.Context, d Display, o Offer, format encode.Format, start int) (*feed, error) {
	unhold, err := d.hold(ctx)
	if err != nil {
		return nil, err
	}
	d.choice = choice{}
	f := &feed{display: d, format: format, ceiling: p.conf.get().rule(d.ID).MaxBitrate}
	cursor := cursorFor(d, o)
	if cursor == capture.CursorHidden {
		var err error
		if f.pointer, err = p.pointers.Open(ctx, d.ID, d.Pointer); err != nil {
			p.log.Debug("pointer stays in the picture", "display", d.ID, "err", err)
			cursor = capture.CursorEmbedded
		}
	}
	if o.Probe && !p.pool.Watched(d.ID, cursor) && p.pool.Watched(d.ID, capture.CursorHidden) {
		cursor = capture.CursorHidden
	}
	closePointer := func() {
		if f.pointer != nil {
			f.pointer.Close()
		}
	}
	p.watched.add(d)
	source, err := p.pool.Acquire(ctx, pipeline.Display{ID: d.ID, Cursor: cursor, Open: d.Open}, format)
	if err != nil {
		p.watched.remove(d.ID)
		closePointer()
		unhold()
		return nil, refusedByPool(err)
	}
	f.source, f.on = source, source.Pick(format, start)
	f.release = func() {
		p.watched.remove(d.ID)
		p.pool.Release(source, format)
		closePointer()
		if d.Hold != nil { // its server may end, and another one take its place
			p.pool.Vacate(d.ID)
		}
		unhold()
	}
	return f, nil
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
