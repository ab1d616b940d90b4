package session

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
