package session

import (
	"context"
	"errors"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/pipeline"
)

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
