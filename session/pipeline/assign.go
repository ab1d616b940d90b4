package pipeline

import (
	"math"
	"runtime"
	"slices"
	"time"

	"wavryhost/encode"
)

// arrange moves the subscribers of a display to the encodings that suit their paths, so that a slow one does not hold
// back a fast one. The subscribers of each format are arranged separately. Pool.Sweep calls it.
func (p *Pipeline) arrange(now time.Time) {
	for format, a := range p.arrangers {
		p.arrangeOf(now, format, a)
	}
}

// arrangeOf arranges the subscribers of one format.
func (p *Pipeline) arrangeOf(now time.Time, format encode.Format, a *arranger) {
	var places []place
	var subs []*subscription
	encodings := p.encodingsOf(format)
	for i, e := range encodings {
		e.mu.Lock()
		for _, s := range e.subscriptions {
			if bits := s.available.Load(); bits > 0 {
				places = append(places, place{encoding: i, available: int(bits), settled: s.settled.Load()})
				subs = append(subs, s)
			}
		}
		e.mu.Unlock()
	}
	if len(places) < 2 {
		a.since = time.Time{}
		return
	}
	for i, to := range a.decide(now, places, p.encodingLimit(format)) {
		if at := places[i]; at.settled && at.encoding != to {
			subs[i].Reassign(encodings[to])
		}
	}
}

// encodingsOf returns the encodings of a format.
func (p *Pipeline) encodingsOf(format encode.Format) []*Encoding {
	i := slices.IndexFunc(p.encodings, func(e *Encoding) bool { return e.format == format })
	return p.encodings[i : i+MaxEncodings]
}

// encodingLimit returns how many encodings of a format may be in use: the number now, and one more while the machine
// has cores for it. Encodings of other formats are not available. If a subscriber of another format comes while all
// encodings are in use, the subscribers of one format merge.
func (p *Pipeline) encodingLimit(format encode.Format) int {
	used, others, cores, most := 0, 0, 0.0, 0.0
	for _, e := range p.encodings {
		if !e.forCapture.occupied.Load() {
			continue
		}
		if e.format == format {
			used++
		} else {
			others++
		}
		if s := e.Status(); !s.hardware {
			cores, most = cores+s.cores(), max(most, s.cores())
		}
	}
	if cores+most <= coreShare*float64(runtime.GOMAXPROCS(0)) {
		used++
	}
	return max(min(used, p.limit-others), 1)
}

// Pick returns the encoding for a subscriber of a format that starts at a bitrate: an encoding that runs at about that
// rate, else a free one, else the nearest. It always returns one.
func (p *Pipeline) Pick(format encode.Format, start int) *Encoding {
	const about = 0.6 // a factor of 1.5 up or down
	var nearest, free *Encoding
	distance := math.Inf(1)
	used := 0
	for _, e := range p.encodingsOf(format) {
		if !e.forCapture.occupied.Load() {
			if free == nil {
				free = e
			}
			continue
		}
		used++
		d := 0.0 // no subscriber is connected: it will start where this one does
		if rate := e.Rate(); rate > 0 {
			d = math.Abs(math.Log2(float64(rate) / float64(max(start, 1))))
		}
		if d <= distance {
			nearest, distance = e, d
		}
	}
	if nearest == nil || distance > about && free != nil && used < p.encodingLimit(format) {
		return free
	}
	return nearest
}

// stuck reports whether all encoders of an encoding with subscribers failed.
func (p *Pipeline) stuck() bool {
	return slices.ContainsFunc(p.encodings, func(e *Encoding) bool {
		return e.forCapture.occupied.Load() && e.Status().Stuck
	})
}

// active returns the number of encodings with a connected subscriber.
func (p *Pipeline) active() (n int) {
	for _, e := range p.encodings {
		if e.forCapture.active.Load() {
			n++
		}
	}
	return n
}
