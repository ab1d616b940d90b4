package pointer

import (
	"slices"
	"time"
)

const (
	// crowded is the number of bytes in a channel above which positions wait. The newest one is sent when there is
	// room.
	crowded = 16 << 10
	// retry is the wait for room.
	retry = 10 * time.Millisecond
	// remembered is the number of shapes that the viewer keeps at least. A page keeps twice as many, because messages
	// overtake each other.
	remembered = 32
)

// channel is what a Sender uses of a data channel.
type channel interface {
	Send(message []byte) error
	Buffered() int
}

// Sender sends the pointer to one viewer. One goroutine uses it.
type Sender struct {
	to    channel
	count uint64
	sent  []uint32 // IDs of the shapes that the viewer has
	last  State
	begun bool
}

// NewSender returns a sender to a channel that is open.
func NewSender(to channel) *Sender { return &Sender{to: to} }

// Send sends what has changed. A nil feed has nothing to draw. It returns when to call it again, or zero for not
// before a change. An error means that the channel is closed.
func (s *Sender) Send(f *Feed, now time.Time) (next time.Time, err error) {
	var state State
	var with *shape
	if f != nil {
		state, with = f.now()
	}
	if s.begun && state == s.last {
		return time.Time{}, nil
	}
	if s.to.Buffered() > crowded {
		return now.Add(retry), nil
	}
	if state.Shape != 0 && !slices.Contains(s.sent, state.Shape) {
		for _, m := range with.messages() {
			if err := s.to.Send(m); err != nil {
				return time.Time{}, err
			}
		}
		s.sent = append(s.sent, state.Shape)
		s.sent = s.sent[max(0, len(s.sent)-remembered):]
	}
	s.count++
	if err := s.to.Send(state.message(s.count)); err != nil {
		return time.Time{}, err
	}
	s.begun, s.last = true, state
	return time.Time{}, nil
}
