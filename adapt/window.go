package adapt

import "time"

// windowMin is the smallest duration of the last baseWindow seconds, by buckets of one second.
type windowMin struct {
	buckets [baseWindow]time.Duration
	second  [baseWindow]int64
	any     bool
	newest  int64
	least   time.Duration // of the buckets
}

func (w *windowMin) add(at time.Time, d time.Duration) {
	s := at.Unix()
	i := ((s % baseWindow) + baseWindow) % baseWindow
	if !w.any || w.second[i] != s || d < w.buckets[i] {
		w.buckets[i], w.second[i] = d, s
	}
	if w.any && s == w.newest {
		w.least = min(w.least, d)
		return
	}
	if !w.any || s > w.newest {
		w.newest = s
	}
	w.any = true
	w.least = d
	for i, s := range w.second {
		if s > w.newest-baseWindow && s <= w.newest && s != 0 {
			w.least = min(w.least, w.buckets[i])
		}
	}
}

// reset forgets everything but d.
func (w *windowMin) reset(at time.Time, d time.Duration) {
	*w = windowMin{}
	w.add(at, d)
}

func (w *windowMin) get() time.Duration { return w.least }

// sample is what happened in one slot of samples.
type sample struct {
	bytes, packets, lost int
	// runs are the lost packets after the second of an uninterrupted run of them, events how many runs there were, those of one
	// packet among them.
	runs, events int
}

// apart returns the fraction lost with each run of lost packets counted as two at most: what radio links lose in a burst is one event,
// while a full queue or a policer lets packets through all the time.
func (s sample) apart() float64 {
	runs := min(s.runs, s.lost)
	return max(0, float64(s.lost-runs)/float64(max(1, s.packets-runs)))
}

// slot is the grain of samples, slots how many are kept: rateWindow, and one that is being filled.
const (
	slot  = 50 * time.Millisecond
	slots = int(rateWindow/slot) + 1
)

// samples sums what happened lately, in slots of 50 ms.
type samples struct {
	ring  [slots]sample
	index [slots]int64
	first time.Time
}

// ringIndex is where a slot is kept.
func ringIndex(n int64) int {
	i := int(n % int64(slots))
	if i < 0 { // before 1970
		i += slots
	}
	return i
}

func (s *samples) empty() bool { return s.first.IsZero() }

func (s *samples) add(at time.Time, v sample) {
	if s.first.IsZero() {
		s.first = at
	}
	n := at.UnixNano() / int64(slot)
	i := ringIndex(n)
	if s.index[i] != n {
		s.ring[i], s.index[i] = sample{}, n
	}
	s.ring[i].bytes += v.bytes
	s.ring[i].packets += v.packets
	s.ring[i].lost += v.lost
	s.ring[i].runs += v.runs
	s.ring[i].events += v.events
}

// sum returns what happened within the window before now, which is at most rateWindow, and how long that is: less in the
// beginning.
func (s *samples) sum(now time.Time, window time.Duration) (total sample, over time.Duration) {
	n := now.UnixNano() / int64(slot)
	oldest := n - int64(window/slot)
	i := ringIndex(oldest)
	for at := oldest; at <= n; at++ {
		if s.index[i] == at {
			v := &s.ring[i]
			total.bytes += v.bytes
			total.packets += v.packets
			total.lost += v.lost
			total.runs += v.runs
			total.events += v.events
		}
		if i++; i == slots {
			i = 0
		}
	}
	into := time.Duration(now.UnixNano() - n*int64(slot)) // of the slot being filled
	return total, max(slot, min(window+into, now.Sub(s.first)))
}

// rate returns bits per second within the window before now.
func (s *samples) rate(now time.Time, window time.Duration) float64 {
	if s.empty() {
		return 0
	}
	total, over := s.sum(now, window)
	return float64(total.bytes) * 8 / over.Seconds()
}
