package pipeline

import (
	"math"
	"runtime"
	"slices"
	"time"

	"wavryhost/encode"
)

// slowCapture is the time from one frame to the next while no subscriber is ready.
const slowCapture = 100 * time.Millisecond

// encodings are the encodings of a display.
type encodings struct {
	// list has MaxEncodings for each format, in the order of encode.Formats. Those with a subscriber are in use.
	list      []*Encoding
	arrangers map[encode.Format]*arranger
	limit     int // maximum number of concurrent encodings
}

// arrange moves the subscribers of a display to the encodings that suit their paths, so that a slow one does not hold
// back a fast one. The subscribers of each format are arranged separately. Pool.Sweep calls it.
func (s *encodings) arrange(now time.Time) {
	for format, a := range s.arrangers {
		s.arrangeOf(now, format, a)
	}
}

// arrangeOf arranges the subscribers of one format.
func (s *encodings) arrangeOf(now time.Time, format encode.Format, a *arranger) {
	var places []place
	var subs []*subscription
	of := s.of(format)
	for i, e := range of {
		e.mu.Lock()
		for _, sub := range e.subscriptions {
			if bits := sub.available.Load(); bits > 0 {
				places = append(places, place{
					viewer: sub.Viewer(), encoding: i, available: int(bits), settled: sub.settled.Load(),
				})
				subs = append(subs, sub)
			}
		}
		e.mu.Unlock()
	}
	for i, to := range a.decide(now, places, s.most(format)) {
		if at := places[i]; at.settled && at.encoding != to {
			subs[i].Reassign(of[to])
		}
	}
}

// of returns the encodings of a format.
func (s *encodings) of(format encode.Format) []*Encoding {
	i := slices.IndexFunc(s.list, func(e *Encoding) bool { return e.format == format })
	return s.list[i : i+MaxEncodings]
}

// most returns how many encodings of a format may be in use: the number now, and one more while the machine
// has cores for it. Encodings of other formats are not available. If a subscriber of another format comes while all
// encodings are in use, the subscribers of one format merge.
func (s *encodings) most(format encode.Format) int {
	used, others, cores, largest := 0, 0, 0.0, 0.0
	for _, e := range s.list {
		if !e.forCapture.occupied.Load() {
			continue
		}
		if e.format == format {
			used++
		} else {
			others++
		}
		if st := e.Status(); !st.hardware {
			cores, largest = cores+st.cores(), max(largest, st.cores())
		}
	}
	if cores+largest <= coreShare*float64(runtime.GOMAXPROCS(0)) {
		used++
	}
	return max(min(used, s.limit-others), 1)
}

// pick returns the encoding for a subscriber of a format that starts at a bitrate: an encoding that runs at about that
// rate, else a free one, else the nearest. It always returns one.
func (s *encodings) pick(format encode.Format, start int) *Encoding {
	const about = 0.6 // a factor of 1.5 up or down
	var nearest, free *Encoding
	distance := math.Inf(1)
	used := 0
	for _, e := range s.of(format) {
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
	if nearest == nil || distance > about && free != nil && used < s.most(format) {
		return free
	}
	return nearest
}

// stuck reports whether all encoders of an encoding with subscribers failed.
func (s *encodings) stuck() bool {
	return slices.ContainsFunc(s.list, func(e *Encoding) bool {
		return e.forCapture.occupied.Load() && e.Status().Stuck
	})
}

// active returns the number of encodings with a connected subscriber.
func (s *encodings) active() (n int) {
	for _, e := range s.list {
		if e.forCapture.active.Load() {
			n++
		}
	}
	return n
}

// watched reports whether an encoding has a connected subscriber.
func (s *encodings) watched() bool { return s.active() > 0 }

// pace returns the time from one frame to the next, which is that of the fastest encoding.
func (s *encodings) pace() time.Duration {
	fps, active, congested := int64(1), false, true
	for _, e := range s.list {
		if e.forCapture.active.Load() {
			active = true
			fps = max(fps, e.forCapture.fps.Load())
			congested = congested && e.forCapture.congested.Load()
		}
	}
	interval := time.Second / time.Duration(fps)
	if active && congested {
		interval = max(interval, slowCapture)
	}
	return interval
}
