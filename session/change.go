package session

import (
	"cmp"
	"context"
	"fmt"
)

// Change changes a session that runs. It is checked whole before anything of it is done. Another display is shown from
// its first keyframe on; until then the old one is.
func (m *Manager) Change(ctx context.Context, id string, c Change) (Snapshot, error) {
	h, err := m.registry.find(id)
	if err != nil {
		return Snapshot{}, err
	}
	if err := m.conf.get().checkChange(c); err != nil {
		return Snapshot{}, err
	}
	if c.Display != nil {
		if err := m.opener.show(ctx, h, *c.Display); err != nil {
			return Snapshot{}, err
		}
	}
	h.limits.set(func(now *limits) {
		if c.MaxBitrate != nil {
			now.ceiling = *c.MaxBitrate
		}
		if c.Weight != nil {
			now.weight = *c.Weight
		}
	})
	h.sub.nudge()
	one := m.host.show(h)
	event := h.emit(Event{Kind: EventChanged, Session: h.id, Display: one.Display})
	attrs := []any{"event", event, "max_bitrate", one.MaxBitrate, "weight", one.Weight}
	if c.Display != nil {
		attrs = append(attrs, "display", *c.Display)
	}
	h.log.Info("session changed", attrs...)
	return one, nil
}

// show begins to move a session to another display.
func (p *opener) show(ctx context.Context, h *session, display string) (err error) {
	d, err := p.catalog.find(ctx, display)
	here := h.sub.feed().display
	if err != nil || d.ID == here.ID || len(d.members) > 0 && d.ID == here.Group {
		return err
	}
	d, undo, err := p.registry.depart(h, d, h.limits.ownCeiling(), h.sub.feed().format)
	if err != nil {
		return err
	}
	defer func() { undo(err != nil) }()
	start := cmp.Or(h.sub.feed().on.Rate(), p.conf.get().start()) // its own encoding has no rate before it is connected
	next, err := p.acquire(ctx, d, h.offer, h.sub.feed().format, start)
	if err != nil {
		return err
	}
	if !h.sub.moveTo(next) {
		next.release()
		return fmt.Errorf("%w: it is on its way to another picture; ask again", ErrBadChange)
	}
	return nil
}
