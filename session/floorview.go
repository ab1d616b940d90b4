package session

import (
	"fmt"
	"time"
)

// floorView is what one session shows of control of its display.
type floorView struct {
	// may: the session may take control. has: it has control. taken: some session has. lost: its input does not reach
	// the display.
	may, has, taken, lost bool
}

func (f *floor) view(c *inputChannel) floorView {
	f.mu.Lock()
	defer f.mu.Unlock()
	display := c.viewer.watching()
	v := floorView{may: f.mayControl(c, display)}
	if s := f.states[display.ID]; s != nil {
		v.has, v.taken = s.holder == c, s.holder != nil
		v.lost = s.injector.Err() != nil || s.holder == c && c.lossMuted
	}
	return v
}

// holder returns the ID of the session that controls a display, empty for none.
func (f *floor) holder(display string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.states[display]; s != nil && s.holder != nil {
		return s.holder.session
	}
	return ""
}

// steers returns the display that c controls, or that it could take control of. It returns an error that wraps
// ErrNoControl if there is none.
func (f *floor) steers(c *inputChannel, now time.Time) (Display, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	display := c.viewer.watching()
	switch s := f.states[display.ID]; {
	case f.closed, c.over:
		return Display{}, ErrUnknownSession
	case !f.policy().lets(c.role):
		return Display{}, fmt.Errorf("%w: the session's role is %s, and the setting input.from is %s", ErrNoControl, c.role,
			f.policy())
	case c.barred:
		return Display{}, fmt.Errorf("%w: an operator has withdrawn it", ErrNoControl)
	case s != nil && s.holder != nil && s.holder != c && !f.idle(s, now):
		return Display{}, fmt.Errorf("%w: another session has it", ErrNoControl)
	}
	return display, nil
}
