package gateway

import (
	"context"
	"sync"
	"time"
)

const (
	// outboxSize bounds the messages that wait to be sent.
	outboxSize = 64
	// staleAfter is how long a message is useful: the other side gives up then.
	staleAfter = 10 * time.Second
)

// outbox has the messages to send, across connections. Adding a message never blocks.
type outbox struct {
	count Counters
	kick  chan struct{} // has a token when there is a message

	mu   sync.Mutex // guards all following fields
	list []outgoing
}

type outgoing struct {
	Message
	at time.Time
}

func newOutbox(count Counters) *outbox {
	return &outbox{count: count, kick: make(chan struct{}, 1)}
}

// put adds a message, and reports whether there was room.
func (o *outbox) put(m Message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.age()
	if len(o.list) == outboxSize {
		o.count.Dropped(DropOutbox)
		return false
	}
	o.list = append(o.list, outgoing{m, time.Now()})
	select {
	case o.kick <- struct{}{}:
	default:
	}
	return true
}

// age drops messages that have waited too long. The caller holds mu.
func (o *outbox) age() {
	for len(o.list) > 0 && time.Since(o.list[0].at) >= staleAfter {
		o.list = o.list[1:]
		o.count.Dropped(DropStale)
	}
}

// take returns the oldest message.
func (o *outbox) take() (Message, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.age()
	if len(o.list) == 0 {
		return Message{}, false
	}
	m := o.list[0].Message
	o.list = o.list[1:]
	return m, true
}

// next waits for a message that is still useful. One goroutine at a time may call it.
func (o *outbox) next(ctx context.Context) (Message, error) {
	for {
		if ctx.Err() != nil {
			return Message{}, ctx.Err()
		}
		if m, ok := o.take(); ok {
			return m, nil
		}
		select {
		case <-ctx.Done():
		case <-o.kick:
		}
	}
}
