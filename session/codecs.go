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
