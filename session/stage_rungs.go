package session

import (
	"math"
	"runtime"
	"slices"
	"time"

	"wavryhost/encode"
)

// arrange moves the viewers of a display to the rungs that suit their paths, so that a slow one does not hold back a fast one. The
// viewers of each codec are arranged by themselves, as none can move to a rung of another. The janitor calls it.
func (s *stage) arrange(now time.Time) {
	for codec, a := range s.arrangers {
		s.arrangeOf(now, codec, a)
	}
}

func (s *stage) arrangeOf(now time.Time, codec string, a *arranger) {
	var places []place
	var members []*member
	rungs := s.rungsOf(codec)
	for i, r := range rungs {
		r.mu.Lock()
		for _, m := range r.members {
			if wish := m.wish.Load(); wish > 0 {
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
	for i, to := range a.decide(now, places, s.rungLimit(codec)) {
		if p := places[i]; p.settled && p.rung != to {
			members[i].move(rungs[to])
		}
	}
}

// rungsOf returns the rungs of a codec.
func (s *stage) rungsOf(codec string) []*rung {
	i := slices.IndexFunc(s.rungs, func(r *rung) bool { return r.codec == codec })
	return s.rungs[i : i+maxRungs]
}

// rungLimit returns how many rungs of a codec may be in use: those that are, and one more while the machine has cores for it. What
// viewers of other codecs are on is not to be had; where they come when all rungs are in use, those of one codec meet.
func (s *stage) rungLimit(codec string) int {
	used, others, share, dearest := 0, 0, 0.0, 0.0
	for _, r := range s.rungs {
		if !r.occupied.Load() {
			continue
		}
		if r.codec == codec {
			used++
		} else {
			others++
		}
		if v := r.see(); !v.hardware {
			share, dearest = share+v.cores(), max(dearest, v.cores())
		}
	}
	if share+dearest <= coreShare*float64(runtime.GOMAXPROCS(0)) {
		used++
	}
	return max(min(used, s.limit-others), 1)
}

// seatFor returns the rung for a viewer of a codec that begins at a rate, in bits per second: one that runs at about that rate, else a free
// one, else the nearest. It always returns one.
func (s *stage) seatFor(codec string, start int) *rung {
	const about = 0.6 // a factor of 1.5 up or down
	var nearest, free *rung
	off := math.Inf(1)
	used := 0
	for _, r := range s.rungsOf(codec) {
		if !r.occupied.Load() {
			if free == nil {
				free = r
			}
			continue
		}
		used++
		d := 0.0 // nobody is connected yet: it will begin where this one does
		if rate := r.watchedRate(); rate > 0 {
			d = math.Abs(math.Log2(float64(rate) / float64(max(start, 1))))
		}
		if d <= off {
			nearest, off = r, d
		}
	}
	if nearest == nil || off > about && free != nil && used < s.rungLimit(codec) {
		return free
	}
	return nearest
}

// stuck tells whether a rung with viewers has no encoder that works.
func (s *stage) stuck() bool {
	return slices.ContainsFunc(s.rungs, func(r *rung) bool { return r.occupied.Load() && r.see().stuck })
}

// encodes returns how many rungs are in use.
func (s *stage) encodes() int {
	n := 0
	for _, r := range s.rungs {
		if r.active.Load() {
			n++
		}
	}
	return n
}

// cost is what the display's encodes take, in cores.
func (s *stage) cost() (cores float64) {
	for _, r := range s.rungs {
		if r.active.Load() {
			cores += r.see().cores()
		}
	}
	return cores
}

// lateShare is the part of a frame's time in encoding from which on pictures are late.
const lateShare = 0.7

// late tells whether the pictures of an encode take nearly all the time that they have.
func (s *stage) late() bool {
	return slices.ContainsFunc(s.rungs, func(r *rung) bool {
		v := r.see()
		return r.active.Load() && v.took.Seconds()*float64(v.fps) > lateShare
	})
}

// late tells whether the pictures of any display are late.
func (s *stages) late() bool {
	for _, st := range s.live() {
		if st.late() {
			return true
		}
	}
	return false
}

// live returns the open stages.
func (s *stages) live() (list []*openStage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		list = append(list, st)
	}
	return list
}

// pace is what the encodes of one encoder show of it.
type pace struct {
	// perPixel is what a pixel takes to convert and encode in the dearest of them, in seconds.
	perPixel float64
	// pixelRate is what they encode together, in pixels a second.
	pixelRate float64
}

// paces returns what the encodes that run show, by encoder.
func (s *stages) paces() map[string]pace {
	by := make(map[string]pace)
	for _, st := range s.live() {
		for _, r := range st.rungs {
			v := r.see()
			pixels := float64(v.width * v.height)
			if !r.active.Load() || v.took == 0 || pixels == 0 {
				continue
			}
			p := by[v.encoder]
			p.perPixel = max(p.perPixel, v.took.Seconds()/pixels)
			p.pixelRate += pixels * float64(v.fps)
			by[v.encoder] = p
		}
	}
	return by
}

// encodesOn returns how many encodes of an encoder each display with viewers of its codec has, or will have once they are connected.
func (s *stages) encodesOn(encoder encode.Profile) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := make(map[string]int)
	for id, st := range s.open {
		begun := false
		for _, r := range st.rungsOf(encoder.Codec) {
			if v := r.see(); v.encoder != "" {
				begun = true
				if v.encoder == encoder.Name {
					by[id]++
				}
			}
		}
		if !begun && st.codecs[encoder.Codec] > 0 {
			by[id] = 1
		}
	}
	return by
}
