package pipeline

import "sync"

// losses counts the lost views of each display, so that the loss of a display is one event. A nil losses is that of a
// single view.
type losses struct {
	mu   sync.Mutex
	lost map[string]int // by display
}

// begin notes that a view is lost, and reports whether it is the display's first.
func (l *losses) begin(display string) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = make(map[string]int)
	}
	l.lost[display]++
	return l.lost[display] == 1
}

// end notes that a view is not lost any more, and reports whether none is.
func (l *losses) end(display string) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost[display]--; l.lost[display] > 0 {
		return false
	}
	delete(l.lost, display)
	return true
}
