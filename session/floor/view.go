package floor

// View is what one session shows of control of its display.
type View struct {
	// May: the session may take control. Has: it has control. Taken: some session has. Lost: its input does not reach
	// the display.
	May, Has, Taken, Lost bool
}

// View returns what the session shows of control of its display.
func (p *Participant) View() View {
	c := p.control
	c.mu.Lock()
	defer c.mu.Unlock()
	display := p.viewer.Display()
	v := View{May: c.mayControl(p, display)}
	if s := c.states[display.ID]; s != nil {
		v.Has, v.Taken = s.holder == p, s.holder != nil
		v.Lost = s.injector.Err() != nil || s.holder == p && p.lossMuted
	}
	return v
}

// Holder returns the ID of the session that controls a display, empty for none.
func (c *Control) Holder(display string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.states[display]; s != nil && s.holder != nil {
		return s.holder.session
	}
	return ""
}
