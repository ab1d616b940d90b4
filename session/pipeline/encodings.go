package pipeline

import (
	"math"
	"runtime"
	"slices"
	"time"
)

// arrange moves the viewers of a display to the encodings that suit their paths, so that a slow one does not hold back
// a fast one. The viewers of each codec are arranged by themselves, as none can move to a rung of another. The janitor
// calls it.
func (p *Pipeline) arrange(now time.Time) {
	for codec, a := range p.arrangers {
		p.arrangeOf(now, codec, a)
	}
}

func (p *Pipeline) arrangeOf(now time.Time, codec string, a *arranger) {
	var places []place
	var members []*subscription
	encodings := p.encodingsOf(codec)
	for i, r := range encodings {
		r.mu.Lock()
		for _, m := range r.subscriptions {
			if wish := m.available.Load(); wish > 0 {
				places = append(places, place{rung: i, wish: int(wish), settled: m.settled.Load()})
				members = append(members, m)
			}
		}
		r.mu.Unlock()
	}
	if len(places) < 2 {
		a.since = time.Time{}
		return
	}
	for i, to := range a.decide(now, places, p.encodingLimit(codec)) {
		if at := places[i]; at.settled && at.rung != to {
			members[i].Reassign(encodings[to])
		}
	}
}

// encodingsOf returns the encodings of a codec.
func (p *Pipeline) encodingsOf(codec string) []*Encoding {
	i := slices.IndexFunc(p.encodings, func(r *Encoding) bool { return r.codec == codec })
	return p.encodings[i : i+MaxEncodings]
}

// encodingLimit returns how many encodings of a codec may be in use: those that are, and one more while the machine
// has cores for it. What viewers of other codecs are on is not to be had; where they come when all encodings are in
// use, those of one codec meet.
func (p *Pipeline) encodingLimit(codec string) int {
	used, others, share, dearest := 0, 0, 0.0, 0.0
	for _, r := range p.encodings {
		if !r.occupied.Load() {
			continue
		}
		if r.codec == codec {
			used++
		} else {
			others++
		}
		if v := r.Status(); !v.hardware {
			share, dearest = share+v.cores(), max(dearest, v.cores())
		}
	}
	if share+dearest <= coreShare*float64(runtime.GOMAXPROCS(0)) {
		used++
	}
	return max(min(used, p.limit-others), 1)
}

// Pick returns the rung for a viewer of a codec that begins at a rate, in bits per second: one that runs at about that
// rate, else a free one, else the nearest. It always returns one.
func (p *Pipeline) Pick(codec string, start int) *Encoding {
	const about = 0.6 // a factor of 1.5 up or down
	var nearest, free *Encoding
	off := math.Inf(1)
	used := 0
	for _, r := range p.encodingsOf(codec) {
		if !r.occupied.Load() {
			if free == nil {
				free = r
			}
			continue
		}
		used++
		d := 0.0 // nobody is connected yet: it will begin where this one does
		if rate := r.Rate(); rate > 0 {
			d = math.Abs(math.Log2(float64(rate) / float64(max(start, 1))))
		}
		if d <= off {
			nearest, off = r, d
		}
	}
	if nearest == nil || off > about && free != nil && used < p.encodingLimit(codec) {
		return free
	}
	return nearest
}
