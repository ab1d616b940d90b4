package pointer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/guard"
)

// How a pointer that is lost is opened again.
const (
	reopenFirst = 100 * time.Millisecond
	reopenMax   = 2 * time.Second
)

// keptShapes bounds the IDs of shapes that are known. An animated cursor has some dozens.
const keptShapes = 512

// part is the name of this package's goroutines for a Guard.
const part = "pointer"

// Hub follows the pointers of the displays that viewers watch. Its methods may be called from several goroutines.
type Hub struct {
	log   *slog.Logger
	guard *guard.Guard
	wg    sync.WaitGroup

	mu        sync.Mutex // guards the following fields
	followers map[string]*follower
	ids       map[[sha256.Size]byte]uint32
	lastID    uint32
}

// NewHub returns a Hub that follows nothing. The guard catches panics of drivers.
func NewHub(log *slog.Logger, g *guard.Guard) *Hub {
	return &Hub{
		log: log, guard: g, followers: make(map[string]*follower), ids: make(map[[sha256.Size]byte]uint32),
	}
}

// follower follows the pointer of one display for its feeds.
type follower struct {
	cancel context.CancelFunc

	mu    sync.Mutex // guards the following fields
	feeds map[*Feed]struct{}
	state State
	shape *shape // of the state; nil for none
}

// Feed is the pointer of a display as one viewer sees it.
type Feed struct {
	hub     *Hub
	display string
	of      *follower
	// Changed has a token when the pointer may have changed.
	Changed chan struct{}
}

// Open returns a feed of a display's pointer, which the caller must Close. The pointer is opened for the first feed; an
// error means that the display's pointer cannot be had.
func (h *Hub) Open(ctx context.Context, display string, open capture.PointerOpener) (*Feed, error) {
	if f := h.join(display, nil, open); f != nil { //nolint:contextcheck // it outlives the request that opens it
		return f, nil
	}
	source, err := open(ctx) // without the mutex: it takes its time
	if err != nil {
		return nil, err
	}
	return h.join(display, source, open), nil //nolint:contextcheck // as above
}

// join returns a feed at the follower of a display. If the display has none, join starts a follower with source. It
// returns nil if there is no source.
func (h *Hub) join(display string, source capture.PointerSource, open capture.PointerOpener) *Feed {
	h.mu.Lock()
	defer h.mu.Unlock()
	to := h.followers[display]
	switch {
	case to == nil && source == nil:
		return nil
	case to == nil:
		ctx, cancel := context.WithCancel(context.Background())
		to = &follower{cancel: cancel, feeds: make(map[*Feed]struct{})}
		h.followers[display] = to
		h.wg.Go(func() { h.follow(ctx, display, to, source, open) }) // unguarded: its calls of the driver are guarded
	case source != nil: // another feed was faster
		h.wg.Go(func() { _ = h.guarded(source.Close) }) // unguarded: the call of the driver is guarded
	}
	f := &Feed{hub: h, display: display, of: to, Changed: make(chan struct{}, 1)}
	to.mu.Lock()
	defer to.mu.Unlock()
	to.feeds[f] = struct{}{}
	f.raise()
	return f
}

// raise makes the viewer look at the pointer. It never waits.
func (f *Feed) raise() {
	select {
	case f.Changed <- struct{}{}:
	default:
	}
}

// Close ends the feed. The display's pointer is closed with the last one.
func (f *Feed) Close() {
	h := f.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	delete(f.of.feeds, f)
	if len(f.of.feeds) == 0 {
		f.of.cancel()
		if h.followers[f.display] == f.of {
			delete(h.followers, f.display)
		}
	}
}

// now returns the pointer's state and shape.
func (f *Feed) now() (State, *shape) {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	return f.of.state, f.of.shape
}

// Wait waits until all that the Hub started has ended. The feeds are closed before.
func (h *Hub) Wait() { h.wg.Wait() }

// follow passes on what source returns until ctx ends, and opens the pointer again when it is lost.
func (h *Hub) follow(
	ctx context.Context, display string, to *follower, source capture.PointerSource, open capture.PointerOpener,
) {
	log := h.log.With("display", display)
	for wait := reopenFirst; ; wait = min(2*wait, reopenMax) {
		began := time.Now()
		err := h.guarded(func() (err error) {
			if source == nil {
				if source, err = open(ctx); err != nil {
					return err
				}
			}
			return h.pass(ctx, to, source)
		})
		if source != nil {
			if err := h.guarded(source.Close); err != nil {
				log.Warn("pointer not closed cleanly", "err", err)
			}
			source = nil
		}
		if ctx.Err() != nil {
			return
		}
		to.set(State{}, nil) // a lost display shows its last picture, without a pointer
		log.Debug("pointer lost; it is opened again", "err", err)
		if time.Since(began) > reopenMax {
			wait = reopenFirst
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// guarded returns the error of f, or its panic.
func (h *Hub) guarded(f func() error) (err error) {
	defer h.guard.Catch(part, &err)
	return f()
}

// pass passes on what source returns until that fails.
func (h *Hub) pass(ctx context.Context, to *follower, source capture.PointerSource) error {
	var last *capture.Shape
	var current *shape
	for {
		p, err := source.NextPointer(ctx)
		if err != nil {
			return err
		}
		switch {
		case p.Shape == nil:
			last, current = nil, nil
		case p.Shape != last:
			if current, err = h.shape(p.Shape); err != nil {
				return err
			}
			last = p.Shape
		}
		s := State{At: p.At, Display: p.Display}
		if current != nil && p.Visible {
			s.Shape = current.id
		}
		to.set(s, current)
	}
}

// set publishes another state.
func (f *follower) set(s State, with *shape) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.shape = s, with
	for feed := range f.feeds {
		feed.raise()
	}
}

// shape gives a shape its ID, which is that of an equal one before.
func (h *Hub) shape(s *capture.Shape) (*shape, error) {
	image, err := encode(s)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	_ = binary.Write(sum, binary.LittleEndian, []int64{int64(s.Hot.X), int64(s.Hot.Y)}) // a hash never fails
	sum.Write(image)
	key := [sha256.Size]byte(sum.Sum(nil))
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.ids[key]
	if id == 0 {
		if len(h.ids) >= keptShapes {
			clear(h.ids)
		}
		h.lastID++
		id = h.lastID
		h.ids[key] = id
	}
	made := &shape{id: id, hot: s.Hot, png: image}
	made.size.X, made.size.Y = s.Width, s.Height
	return made, nil
}
