package floor

import (
	"context"
	"slices"
	"time"

	"wavryhost/session/rift"
)

// lossPause is the pause in typing after which a display takes input again that has lost some: of a text, all that
// follows a hole is dropped.
const lossPause = time.Second

// displayState is control of one display, from the first input on until its injector is closed. The mutex
// of Control guards it.
type displayState struct {
	display   string
	holder    *Participant // nil when the display is free
	lastInput time.Time    // of the holder, or when it got control; when the display became free
	injector  Injector
	cancel    context.CancelFunc
	linger    time.Duration // how long the injector stays open while nobody may control the display

	losses uint64 // what the injector counted at the last look

	// down are the keys and buttons that the holder has pressed. lapsed are the modifiers that were released because of
	// silence. They are pressed again with the next key or button.
	down   []rift.Event
	lapsed []uint32
}

// modifiers are the codes of Control, Shift, Alt and Meta, left and right.
var modifiers = []uint32{29, 97, 42, 54, 56, 100, 125, 126}

// note records which keys and buttons are down.
func (s *displayState) note(e rift.Event) {
	if e.Kind != rift.Key && e.Kind != rift.Button {
		return
	}
	s.down = slices.DeleteFunc(s.down, func(o rift.Event) bool { return o.Kind == e.Kind && o.Code == e.Code })
	s.lapsed = slices.DeleteFunc(s.lapsed, func(code uint32) bool { return e.Kind == rift.Key && code == e.Code })
	if e.Pressed {
		s.down = append(s.down, e)
	}
}

// releaseAll releases all that is held.
func (s *displayState) releaseAll() {
	s.injector.Release()
	s.down, s.lapsed = nil, nil
}

// lapse releases all that is held because nothing is heard from the holder.
func (s *displayState) lapse() {
	var lapsed []uint32
	for _, e := range s.down {
		if e.Kind == rift.Key && slices.Contains(modifiers, e.Code) {
			lapsed = append(lapsed, e.Code)
		}
	}
	s.releaseAll()
	s.lapsed = lapsed
}

// releaseAllBut releases the keys that are down and not in a report. Modifiers and buttons wait for their own
// messages: input that is on its way may be meant to arrive before their release. Nothing is pressed: that would type
// a letter twice.
func (s *displayState) releaseAllBut(r rift.State) {
	for _, e := range slices.Clone(s.down) {
		if e.Kind == rift.Key && !slices.Contains(r.Keys, e.Code) && !slices.Contains(modifiers, e.Code) {
			e.Pressed = false
			s.note(e)
			s.inject(e)
		}
	}
}

// pointsOnly reports whether an event moves the pointer and does nothing else.
func pointsOnly(e rift.Event) bool { return e.Kind == rift.Move || e.Kind == rift.Relative }

// restoreModifiers presses the modifiers again that lapsed, before e: it was sent while they were held, or it says
// that they are not.
func (s *displayState) restoreModifiers(e rift.Event) {
	if pointsOnly(e) {
		return
	}
	for _, code := range slices.Clone(s.lapsed) {
		if e.Kind != rift.Key || e.Code != code {
			m := rift.Event{Kind: rift.Key, Code: code, Pressed: true}
			s.note(m)
			s.inject(m)
		}
	}
}

// muted reports whether an event is dropped because the display has lost what came before it: the rest of a text does
// not follow a hole. After a pause the display takes input again.
func (s *displayState) muted(e rift.Event, now time.Time) bool {
	h := s.holder
	if n := s.injector.Losses(); n != s.losses {
		s.losses = n
		s.releaseAll()
		h.lossMuted, h.mutedAt = true, now
	}
	if !h.lossMuted || pointsOnly(e) {
		return false
	}
	h.lossMuted = now.Sub(h.mutedAt) < lossPause || h.mutedAt.Equal(now)
	h.mutedAt = now
	return h.lossMuted
}

// inject gives an event to the display, or returns why it is dropped.
func (s *displayState) inject(e rift.Event) (dropped string) {
	switch e.Kind {
	case rift.Move:
		s.injector.Move(e.X, e.Y)
	case rift.Relative:
		s.injector.MoveBy(e.X, e.Y)
	case rift.Button:
		s.injector.Button(e.Code, e.Pressed)
	case rift.Key:
		s.injector.Key(e.Code, e.Pressed, e.Letter, e.Locks)
	case rift.Text:
		s.injector.Text(e.Text)
	case rift.Scroll:
		s.injector.Scroll(e.X, e.Y)
	default:
		return inputUnsupported
	}
	return ""
}
