package rival

import (
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/simulate"
)

// Rival is a controller to compare with.
type Rival struct {
	Name string
	New  simulate.New
}

// StandIns returns the rivals that were written from their public descriptions. They run in virtual time.
func StandIns() []Rival {
	return []Rival{{"googcc", NewGoogCC}, {"scream", NewSCReAM}}
}

// plain is what rivals have no use for: they have neither quality states nor a ladder.
type plain struct {
	cfg adapt.Config
	key bool
}

// OnSource implements adapt.Controller.
func (p *plain) OnSource(adapt.Source) {}

// OnKeyframeRequest implements adapt.Controller.
func (p *plain) OnKeyframeRequest(time.Time, adapt.KeyframeReason) { p.key = true }

// OnApplied implements adapt.Controller.
func (p *plain) OnApplied(adapt.Applied) {}

// OnLimit implements adapt.Controller.
func (p *plain) OnLimit(adapt.Limit) {}

// targets returns the targets for a rate in bits per second, paced faster by a factor.
func (p *plain) targets(rate, pacing float64) adapt.Targets {
	t := adapt.Targets{
		EncoderBitrate: min(max(int(mediaShare*rate), p.cfg.Min), p.cfg.Max),
		PacingRate:     max(int(pacing*rate), 50_000), FPS: p.cfg.FPS, ForceIDR: p.key,
	}
	p.key = false
	return t
}

// bytesAt is bytes at a moment.
type bytesAt struct {
	at    time.Time
	bytes int
}

// window sums bytes over a time.
type window struct {
	begun time.Time
	list  []bytesAt
	sum   int
}

func (w *window) add(at time.Time, bytes int) {
	if w.begun.IsZero() {
		w.begun = at
	}
	w.list = append(w.list, bytesAt{at, bytes})
	w.sum += bytes
}

// rate returns the bits per second of the time before now.
func (w *window) rate(now time.Time, over time.Duration) float64 {
	for len(w.list) > 0 && now.Sub(w.list[0].at) > over {
		w.sum -= w.list[0].bytes
		w.list = w.list[1:]
	}
	if len(w.list) < 2 {
		return 0
	}
	return float64(w.sum) * 8 / min(over, max(now.Sub(w.begun), over/5)).Seconds()
}
