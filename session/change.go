package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/pipeline"
)

// ErrBadChange means that a session cannot be changed like that.
var ErrBadChange = errors.New("session: change not possible")

// The weights of sessions: who has twice the weight gets twice the uplink where that is short, and who has the least is lowered first.
const (
	minWeight, defaultWeight, maxWeight = 1, 100, 1000
)

// Change is what is to change of a session; nil fields stay.
type Change struct {
	// MaxBitrate is the ceiling in bits per second, 0 for the host's.
	MaxBitrate *int
	// Weight is the session's share where something is short, from 1 to 1000; sessions begin with 100.
	Weight *int
	// Display is what it should show from now on.
	Display *string
}

// caps are what holds a session down beside its controller. The zero value of a field holds nothing down.
type caps struct {
	mu      sync.Mutex
	weight  int
	ceiling int     // bits per second, by the control API or a grant
	display int     // bits per second, by the rules of the display
	share   int     // bits per second, of the host's uplink
	offer   int     // bits per second, by the viewer's offer
	fps     int     // pictures per second, by relief
	scale   float64 // of the display's size, by relief
}

// bound applies the caps to what a viewer asks for.
func (c *caps) bound(d *pipeline.Demand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, limit := range []int{c.ceiling, c.display, c.share, c.offer} {
		d.BitsPerSecond = min(d.BitsPerSecond, unlimitedIfZero(limit))
	}
	d.FPS = min(d.FPS, unlimitedIfZero(c.fps))
	if c.scale > 0 {
		d.Scale = min(d.Scale, c.scale)
	}
}

// Whose ceiling is the lowest.
const (
	ceilingHost    = "host"
	ceilingSession = "session"
	ceilingDisplay = "display"
	ceilingUplink  = "uplink"
	ceilingOffer   = "offer"
)

var ceilingOwners = []string{ceilingHost, ceilingSession, ceilingDisplay, ceilingUplink, ceilingOffer}

// lowest returns the ceiling that counts, where the host's own is given, and whose it is.
func (c *caps) lowest(host int) (ceiling int, of string) {
	ceiling, of = host, ceilingHost
	for _, one := range []struct {
		bits int
		of   string
	}{{c.ceiling, ceilingSession}, {c.display, ceilingDisplay}, {c.share, ceilingUplink}, {c.offer, ceilingOffer}} {
		if one.bits > 0 && one.bits < ceiling {
			ceiling, of = one.bits, one.of
		}
	}
	return ceiling, of
}

// unlimitedIfZero returns n, or the largest int if n is 0, which means no limit.
func unlimitedIfZero(n int) int {
	if n == 0 {
		return math.MaxInt
	}
	return n
}

func (c *caps) set(change func(*caps)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// lower holds the viewer down to so many pictures a second and such a size for the host's load, or with 0 no longer. Its controller is told: it
// would call good what little is left.
func (v *viewer) lower(fps int, scale float64) {
	same := false
	v.caps.set(func(c *caps) {
		same = c.fps == fps && c.scale == scale
		c.fps, c.scale = fps, scale
	})
	if same {
		return
	}
	defer v.guard.Recover(partSession)
	v.ctl.Lock()
	defer v.ctl.Unlock()
	v.controller.OnLimit(adapt.Limit{At: v.clock(), FPS: fps, Scale: scale})
}

func (v *viewer) weight() int {
	v.caps.mu.Lock()
	defer v.caps.mu.Unlock()
	return v.caps.weight
}

// Change changes a session that runs. It is checked whole before anything of it is done. Another display is shown from its first keyframe on; until then the
// old one is.
func (m *Manager) Change(ctx context.Context, id string, c Change) (Snapshot, error) {
	m.mu.Lock()
	h, err := m.find(id)
	m.mu.Unlock()
	if err != nil {
		return Snapshot{}, err
	}
	if err := m.checkChange(c); err != nil {
		return Snapshot{}, err
	}
	if c.Display != nil {
		if err := m.show(ctx, h, *c.Display); err != nil {
			return Snapshot{}, err
		}
	}
	h.caps.set(func(now *caps) {
		if c.MaxBitrate != nil {
			now.ceiling = *c.MaxBitrate
		}
		if c.Weight != nil {
			now.weight = *c.Weight
		}
	})
	h.nudge()
	one := h.snapshot()
	event := m.emit(Event{Kind: EventChanged, Session: h.id, Display: one.Display})
	attrs := []any{"event", event, "max_bitrate", one.MaxBitrate, "weight", one.Weight}
	if c.Display != nil {
		attrs = append(attrs, "display", *c.Display)
	}
	h.log.Info("session changed", attrs...)
	return one, nil
}

// checkChange checks a ceiling and a weight.
func (m *Manager) checkChange(c Change) error {
	least := m.cfg().adaptation(encode.MinSide, encode.MinSide, adapt.PriceFree, 0).WithDefaults().Min
	if c.MaxBitrate != nil && *c.MaxBitrate != 0 && *c.MaxBitrate < least {
		return fmt.Errorf("%w: a ceiling of %d is below the floor of %d bits per second", ErrBadChange, *c.MaxBitrate, least)
	}
	if c.Weight != nil && (*c.Weight < minWeight || *c.Weight > maxWeight) {
		return fmt.Errorf("%w: weight %d is not from %d to %d", ErrBadChange, *c.Weight, minWeight, maxWeight)
	}
	return nil
}

// show begins to move a session to another display.
func (m *Manager) show(ctx context.Context, h *held, display string) (err error) {
	d, err := m.display(ctx, display)
	if err != nil || d.ID == h.showing() {
		return err
	}
	h.caps.mu.Lock()
	ceiling := h.caps.ceiling
	h.caps.mu.Unlock()
	undo, err := m.depart(h, d, ceiling)
	if err != nil {
		return err
	}
	defer func() { undo(err != nil) }()
	start := cmp.Or(h.feed().on.Rate(), m.cfg().start()) // its own encoding has no rate before it is connected
	next, err := m.acquire(ctx, d, h.codec, start)
	if err != nil {
		return err
	}
	if !h.moveTo(next) {
		next.release()
		return fmt.Errorf("%w: it is on its way to another picture; ask again", ErrBadChange)
	}
	return nil
}

// depart makes room for a session on another display. undo is to be called once it heads there or, with failed set, does
// not.
func (m *Manager) depart(h *held, d Display, ceiling int) (undo func(failed bool), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[h.id] == nil {
		return nil, ErrUnknownSession
	}
	move, err := m.admission.Move(h.id, m.request(d, ceiling, h.codec), m.loads(time.Now(), h.codec))
	if err != nil {
		return nil, err
	}
	return func(failed bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.admission.Done(move, failed)
	}, nil
}
