package session

import (
	"sync"

	"wavryhost/session/codec"
)

// codecState is which codec a viewer has, and why.
type codecState struct {
	policy codec.Policy // for the janitor
	mu     sync.Mutex
	why    codec.Reason
	// heading is the choice that the viewer moves to; its format is zero while it does not.
	heading codec.Choice
}

func (s *codecState) reason() codec.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

func (s *codecState) set(why codec.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = why
}

// takeHeading returns where the viewer was moving to, and forgets it.
func (s *codecState) takeHeading() codec.Choice {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.heading
	s.heading = codec.Choice{}
	return to
}

// arrived notes that the viewer has the codec that it was moving to, and returns why.
func (s *codecState) arrived() codec.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = s.heading.Reason
	return s.why
}
