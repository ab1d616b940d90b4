package session

import (
	"context"
	"slices"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/codec"
)

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

// recode moves viewers to other codecs as the policy decides. The janitor calls it once a second.
func (p *opener) recode(ctx context.Context, now time.Time, list []*session) {
	var free float64
	for i, s := range list {
		if i == 0 {
			free = p.freeCores()
		}
		if len(s.formats) < 2 || !s.live.Load() || s.sub.moves() {
			continue
		}
		here := s.sub.feed()
		c := &s.codec
		if to := c.takeHeading(); to.Format != (encode.Format{}) {
			c.policy.Changed(now, to, here.format == to.Format)
		}
		next, change := c.policy.Next(now, here.format, p.conditions(s, here, free))
		c.set(c.policy.Choice().Reason)
		if !change {
			continue
		}
		if err := p.change(ctx, s, here, next); err != nil {
			s.log.Info("codec not changed", "from", here.format.String(), "to", next.Format.String(),
				"reason", string(next.Reason), "err", err)
			c.policy.Changed(now, next, false)
		}
	}
}

// freeCores returns the number of cores that are not busy, or -1 if that is unknown.
func (p *opener) freeCores() float64 {
	if p.conf.get().Load == nil {
		return -1
	}
	l := p.conf.get().Load()
	return float64(l.Cores) - l.CoresUsed
}

// conditions returns what decides on a viewer's codec.
func (p *opener) conditions(s *session, here *feed, free float64) codec.Conditions {
	on, t := here.on.Status(), s.adaptation.target()
	c := codec.Conditions{
		Mode:    p.conf.get().AV1,
		Formats: p.open(s.formats, here.display, s.offer), Class: adapt.ContentClass(s.class.Load()),
		BitsPerSecond: t.EncoderBitrate, Width: on.Width, Height: on.Height, FPS: t.FPS,
		FreeCores: free, Late: on.Late(),
	}
	now := time.Now()
	for _, format := range c.Formats {
		if best, ok := p.pool.Best(now, format); ok && best.Hardware {
			c.Hardware = append(c.Hardware, format)
		}
	}
	if slices.Contains(c.Formats, encode.AV1) {
		c.PerPixel = p.registry.capacity.perPixel(now, encode.AV1)
	}
	return c
}

// change begins to move a viewer to another codec. Its pictures come from the current encoding until the other one has
// a keyframe.
func (p *opener) change(ctx context.Context, s *session, here *feed, to codec.Choice) (err error) {
	_, undo, err := p.registry.depart(s, here.display, s.limits.ownCeiling(), to.Format)
	if err != nil {
		return err
	}
	defer func() { undo(err != nil) }()
	next, err := p.acquire(ctx, here.display, s.offer, to.Format, here.on.Rate())
	if err != nil {
		return err
	}
	s.codec.mu.Lock()
	s.codec.heading = to
	s.codec.mu.Unlock()
	if !s.sub.moveTo(next) {
		next.release()
		return admission.Refuse(admission.Encoders, "%s is on its way to another picture", s.id)
	}
	return nil
}
