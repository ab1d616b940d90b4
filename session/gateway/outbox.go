package gateway

import (
	"context"
	"sync"
	"time"
)

const (
	// outboxSize is how many messages may wait to be sent.
	outboxSize = 64
	// staleAfter is how long a message is of use: the other side gives up then.
	staleAfter = 10 * time.Second
)

// outbox holds what is to be sent, from one connection to the next. It never blocks who puts something in.
type outbox struct {
	count Counters
	kick  chan struct{} // has room for one token: there is something

	mu   sync.Mutex // guards the rest
	list []outgoing
}

type outgoing struct {
	Message
	at time.Time
}

func newOutbox(count Counters) *outbox {
	return &outbox{count: count, kick: make(chan struct{}, 1)}
}

// put adds a message, and tells whether there was room.
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

// age drops what has waited too long. The caller holds mu.
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

// next waits for a message that is still of use. One goroutine may call it at a time.
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
