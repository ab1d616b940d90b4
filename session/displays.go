package session

import (
	"cmp"
	"slices"

	"wavryhost/session/lockorder"
	"wavryhost/session/pipeline"
)

// watched holds the displays that are in use. They stay listed when they are no longer found.
type watched struct {
	mu  lockorder.Mutex[watchedLock]
	use map[string]*displayUse
}

type displayUse struct {
	display Display
	users   int
}

// add notes one more user of a display.
func (w *watched) add(d Display) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.use == nil {
		w.use = make(map[string]*displayUse)
	}
	if w.use[d.ID] == nil {
		w.use[d.ID] = &displayUse{display: d}
	}
	w.use[d.ID].users++
}

// remove notes one user less of a display.
func (w *watched) remove(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.use[id].users--; w.use[id].users == 0 {
		delete(w.use, id)
	}
}

// list returns the displays in use, by ID.
func (w *watched) list() (list []Display) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range w.use {
		list = append(list, u.display)
	}
	slices.SortFunc(list, func(a, b Display) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// displayEvents makes events of what happens to displays.
type displayEvents struct{ emit func(Event) uint64 }

var _ pipeline.Observer = displayEvents{}

// DisplayLost implements pipeline.Observer.
func (e displayEvents) DisplayLost(display string, why pipeline.LostReason, err error) uint64 {
	return e.emit(Event{Kind: EventDisplayLost, Display: display, Reason: why.String(), Err: err})
}

// DisplayBack implements pipeline.Observer.
func (e displayEvents) DisplayBack(display string) uint64 {
	return e.emit(Event{Kind: EventDisplayBack, Display: display})
}

// DisplayPolled implements pipeline.Observer.
func (e displayEvents) DisplayPolled(display string) uint64 {
	return e.emit(Event{Kind: EventDisplayPolled, Display: display})
}

// EncoderReplaced implements pipeline.Observer.
func (e displayEvents) EncoderReplaced(display string, f pipeline.Fallback) uint64 {
	return e.emit(Event{
		Kind: EventEncoderFallback, Display: display, Reason: f.Reason.String(), From: f.From, To: f.To, Err: f.Err,
	})
}
