package session

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"time"

	"wavryhost/session/lockorder"

	"golang.org/x/time/rate"
)

var (
	// ErrFixedSize means that a display cannot change its size, or may not.
	ErrFixedSize = errors.New("session: the display cannot change its size")
	// ErrResizedTooOften means that a display has changed its size too often in a short time.
	ErrResizedTooOften = errors.New("session: the display has changed its size too often; try again in a second")
)

const (
	// resizeEvery and resizeBurst bound the changes of a display's size. Each one costs a keyframe for every viewer, and
	// programs arrange their windows anew.
	resizeEvery = time.Second
	resizeBurst = 3
	// resizeTime bounds a change, beyond the time of the caller.
	resizeTime = 5 * time.Second
	// maxResized bounds the displays whose changes are counted.
	maxResized = 1024
)

// Resize says what size a display is to have.
type Resize struct {
	// Session is the session that requests it for its own display. It is empty for an operator's request.
	Session string
	// Display is the ID of the display, without a Session.
	Display string
	// Size is in pixels.
	Size image.Point
}

// resizer changes the sizes of displays.
type resizer struct {
	conf     *live
	catalog  *catalog
	registry *registry
	emit     func(Event) uint64
	log      *slog.Logger

	mu    lockorder.Mutex[resizerLock]
	rates map[string]*rate.Limiter // by display
}

func (z *resizer) resize(ctx context.Context, r Resize) error {
	d, tell, err := z.find(ctx, r)
	if err != nil {
		return err
	}
	if !d.resizable(z.conf.get()) {
		return fmt.Errorf("%w: %s is not a virtual display, and no rule allows it (displays.rules)", ErrFixedSize, d.ID)
	}
	if !z.allow(d.ID) {
		return ErrResizedTooOften
	}
	limited, cancel := context.WithTimeout(ctx, resizeTime)
	defer cancel()
	before, err := d.Resize(limited, r.Size)
	if err != nil || before == r.Size {
		return err
	}
	event := tell(Event{
		Kind: EventDisplayResized, Session: r.Session, Display: d.ID, From: sizeText(before), To: sizeText(r.Size),
	})
	z.log.Info("display resized on request", "event", event, "display", d.ID, "session", r.Session,
		"from", sizeText(before), "to", sizeText(r.Size))
	return nil
}

// find returns the display, and what makes an event of it known.
func (z *resizer) find(ctx context.Context, r Resize) (Display, func(Event) uint64, error) {
	if r.Session == "" {
		d, err := z.catalog.find(ctx, r.Display)
		if len(d.members) > 0 {
			err = fmt.Errorf("%w: %s is a group of displays", ErrUnknownDisplay, d.ID)
		}
		return d, z.emit, err
	}
	h, err := z.registry.find(r.Session)
	if err != nil {
		return Display{}, nil, err
	}
	d := h.sub.feed().display
	steered, err := h.input.Steers(time.Now())
	if err == nil && steered != d.ID { // it has arrived there just now
		err = fmt.Errorf("%w: it is on its way to another picture; ask again", ErrBadChange)
	}
	return d, h.emit, controlError(err)
}

// allow reports whether a display may change its size now.
func (z *resizer) allow(display string) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(z.rates) >= maxResized {
		clear(z.rates)
	}
	if z.rates[display] == nil {
		z.rates[display] = rate.NewLimiter(rate.Every(resizeEvery), resizeBurst)
	}
	return z.rates[display].Allow()
}

// resizable reports whether viewers may change the display's size.
func (d Display) resizable(cfg *Config) bool {
	if d.Resize == nil {
		return false
	}
	switch cfg.rule(d.ID).Resize {
	case ResizeAllow:
		return true
	case ResizeDeny:
		return false
	case ResizeVirtual:
	}
	return d.Virtual
}

// sizeText is a size in events.
func sizeText(p image.Point) string { return fmt.Sprintf("%dx%d", p.X, p.Y) }
