package pool

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// inbox receives the answers to all requests of a Client by one subscription. A subscription for each request would
// cost the servers two messages, and this process half a megabyte.
type inbox struct {
	mu     sync.Mutex // guards all following fields
	prefix string     // empty before the first request
	last   uint64
	open   map[string]*mail
}

// maxMail bounds the answers to a request that wait.
const maxMail = 1 << 16

// mail has the answers to a request.
type mail struct {
	box     *inbox
	subject string
	ready   chan struct{} // room for one token: there may be an answer

	mu   sync.Mutex // guards list
	list []*nats.Msg
}

// expect returns where the answers to a request come. The caller closes it.
func (b *inbox) expect(nc *nats.Conn) (*mail, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.prefix == "" {
		prefix := nc.NewInbox() + "."
		if _, err := nc.Subscribe(prefix+"*", b.deliver); err != nil {
			return nil, fmt.Errorf("fleet: %w", err)
		}
		b.prefix, b.open = prefix, make(map[string]*mail)
	}
	b.last++
	token := strconv.FormatUint(b.last, 36)
	m := &mail{box: b, subject: b.prefix + token, ready: make(chan struct{}, 1)}
	b.open[token] = m
	return m, nil
}

// deliver takes in an answer. Late ones are dropped.
func (b *inbox) deliver(n *nats.Msg) {
	b.mu.Lock()
	m := b.open[n.Subject[strings.LastIndexByte(n.Subject, '.')+1:]]
	b.mu.Unlock()
	if m == nil {
		return
	}
	m.mu.Lock()
	if len(m.list) < maxMail {
		m.list = append(m.list, n)
	}
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// close ends the wait for answers.
func (m *mail) close() {
	m.box.mu.Lock()
	defer m.box.mu.Unlock()
	delete(m.box.open, m.subject[len(m.box.prefix):])
}

// take returns the next answer; nil if there is none yet.
func (m *mail) take() *nats.Msg {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == 0 {
		return nil
	}
	n := m.list[0]
	m.list = m.list[1:]
	return n
}

// next waits for an answer until ctx ends, or until a time; zero for none.
func (m *mail) next(ctx context.Context, until time.Time) (*nats.Msg, error) {
	var late <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		late = t.C
	}
	for {
		if n := m.take(); n != nil {
			return n, nil
		}
		select {
		case <-m.ready:
		case <-late:
			return nil, context.DeadlineExceeded
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
