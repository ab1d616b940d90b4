package session

import (
	"errors"
	"time"

	"wavryhost/session/floor"
)

// presence is a viewer as floor control sees it.
type presence struct{ *viewer }

var _ floor.Viewer = presence{}

// Display implements floor.Viewer.
func (p presence) Display() floor.Display {
	d := p.sub.feed().display
	return floor.Display{ID: d.ID, Open: d.Input, Brief: d.Hold != nil}
}

// Away implements floor.Viewer.
func (p presence) Away() bool { return p.away() }

// LastHeard implements floor.Viewer.
func (p presence) LastHeard() time.Time { return p.heard.get() }

// ControlChanged implements floor.Viewer.
func (p presence) ControlChanged(c floor.Change) uint64 {
	return p.emit(Event{
		Kind: EventControl, Session: p.id, Display: c.Display, Reason: c.Reason, From: c.From, To: c.To,
	})
}

// ChannelRefused implements floor.Viewer.
func (p presence) ChannelRefused(display, reason string) uint64 {
	return p.emit(Event{Kind: EventInputRefused, Session: p.id, Display: display, Reason: reason})
}

// controlError returns the Manager's error for an error of floor control.
func controlError(err error) error {
	if errors.Is(err, floor.ErrEnded) {
		return ErrUnknownSession
	}
	return err
}
