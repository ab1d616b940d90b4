package path

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

// slot is the grain of Counts, slots how many are kept: rateWindow, and the slot that is being filled.
const (
	slot  = 50 * time.Millisecond
	slots = int(rateWindow/slot) + 1
)

// Counts sums what happened lately, in slots of 50 ms.
type Counts struct {
	ring  [slots]Count
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

// Empty reports whether nothing was ever added.
func (s *Counts) Empty() bool { return s.first.IsZero() }

// Add takes in what happened at a moment.
func (s *Counts) Add(at time.Time, v Count) {
	if s.first.IsZero() {
		s.first = at
	}
	n := at.UnixNano() / int64(slot)
	i := ringIndex(n)
	if s.index[i] != n {
		s.ring[i], s.index[i] = Count{}, n
	}
	s.ring[i].Add(v)
}

// Sum returns what happened within the window before now, which is at most rateWindow, and how long that is: less in
// the beginning.
func (s *Counts) Sum(now time.Time, window time.Duration) (total Count, over time.Duration) {
	n := now.UnixNano() / int64(slot)
	oldest := n - int64(window/slot)
	i := ringIndex(oldest)
	for at := oldest; at <= n; at++ {
		if s.index[i] == at {
			total.Add(s.ring[i])
		}
		if i++; i == slots {
			i = 0
		}
	}
	into := time.Duration(now.UnixNano() - n*int64(slot)) // of the slot being filled
	return total, max(slot, min(window+into, now.Sub(s.first)))
}

// Rate returns bits per second within the window before now.
func (s *Counts) Rate(now time.Time, window time.Duration) float64 {
	if s.Empty() {
		return 0
	}
	total, over := s.Sum(now, window)
	return float64(total.Bytes) * 8 / over.Seconds()
}
