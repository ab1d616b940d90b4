package input

import (
	"context"
	"fmt"
	"image"
	"math"
	"time"

	"wavryhost/platform/screencast"
)

// gnomeLimit is the limit for opening GNOME's input, and for its answers when monitors have changed.
const gnomeLimit = 5 * time.Second

// gnome is a monitor of GNOME as a Device. It types letters by their symbols: mutter looks for a key in its layout.
type gnome struct {
	remote *screencast.Remote
	name   string      // of the monitor
	size   image.Point // of its picture
	woken  chan struct{}
	lost   int // refused calls
	keys   map[byte]gnomeKey
}

// gnomeKey is what a pressed key was sent as.
type gnomeKey struct {
	code, symbol uint32 // one of them is set
}

var _ Device = (*gnome)(nil)

// GNOME opens a monitor of mutter, by its interface on a session bus.
func GNOME(bus, monitor string) func(ctx context.Context) (Device, error) {
	return func(ctx context.Context) (Device, error) {
		limited, cancel := context.WithTimeout(ctx, gnomeLimit)
		defer cancel()
		remote, err := screencast.Control(limited, bus, monitor)
		if err != nil {
			return nil, err
		}
		return &gnome{
			remote: remote, name: monitor, woken: make(chan struct{}, 1), keys: make(map[byte]gnomeKey),
		}, nil
	}
}

// arrange implements Device: it learns the size of the monitor's picture.
func (g *gnome) arrange(ctx context.Context) error {
	if !g.remote.Moved() && g.size != (image.Point{}) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, gnomeLimit)
	defer cancel()
	list, err := g.remote.Monitors(ctx)
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.Name == g.name {
			g.size = m.Size
			return nil
		}
	}
	g.size = image.Point{}
	return fmt.Errorf("GNOME has no monitor %s at present", g.name)
}

// move implements Device.
func (g *gnome) move(x, y float64) {
	g.remote.Move(float64(pixel(x, g.size.X)), float64(pixel(y, g.size.Y)))
}

// motion implements Device. Mutter cannot limit it: on a desktop of several monitors the pointer may leave this one.
func (g *gnome) motion(_ context.Context, dx, dy float64) error {
	g.remote.MoveBy(dx, dy)
	return nil
}

// scroll implements Device. Mutter's wheel turns down and to the right.
func (g *gnome) scroll(_ context.Context, dx, dy float64) error {
	if x, y := math.Round(dx), math.Round(dy); math.Abs(dx-x) > roundOff || math.Abs(dy-y) > roundOff {
		g.remote.ScrollSmooth(dx, -dy)
		return nil
	}
	if n := int32(math.Round(dx)); n != 0 {
		g.remote.Scroll(screencast.AxisHorizontal, n)
	}
	if n := -int32(math.Round(dy)); n != 0 {
		g.remote.Scroll(screencast.AxisVertical, n)
	}
	return nil
}

// forget implements Device. Mutter takes parts of pixels and notches.
func (g *gnome) forget() {}

// press implements Device. The locks of the viewer are in its letters, so its lock keys are left out.
func (g *gnome) press(_ context.Context, c command) (number byte, err error) {
	if c.kind == button {
		g.remote.Button(int32(buttons[c.code]), true)
		return byte(c.code), nil
	}
	k := gnomeKey{code: c.code}
	switch {
	case c.letter != 0:
		k = gnomeKey{symbol: keysymOf(c.letter)}
	case c.locks&LocksKnown != 0 && (c.code == capsLock || c.code == numLock):
		return 0, nil
	}
	for number = 1; number < maxKey; number++ {
		if _, taken := g.keys[number]; !taken {
			break
		}
	}
	g.keys[number] = k
	g.send(k, true)
	return number, nil
}

func (g *gnome) send(k gnomeKey, pressed bool) {
	if k.symbol != 0 {
		g.remote.Symbol(k.symbol, pressed)
		return
	}
	g.remote.Key(k.code, pressed)
}

// release implements Device.
func (g *gnome) release(kind kind, number byte) {
	if kind == button {
		g.remote.Button(int32(buttons[uint32(number)]), false)
		return
	}
	if k, ok := g.keys[number]; ok {
		delete(g.keys, number)
		g.send(k, false)
	}
}

// text implements Device.
func (g *gnome) text(_ context.Context, text string) error {
	for _, r := range text {
		k := gnomeKey{symbol: keysymOf(r)}
		if code := controlKeys[r]; code != 0 {
			k = gnomeKey{code: code}
		}
		g.send(k, true)
		g.send(k, false)
	}
	return nil
}

func (g *gnome) sync(ctx context.Context) error {
	n, err := g.remote.Sync(ctx)
	g.lost += n
	return err
}

func (g *gnome) wait() error {
	select {
	case <-g.woken:
		return nil
	case <-g.remote.Lost():
		return g.remote.Err()
	}
}

func (g *gnome) wake() {
	select {
	case g.woken <- struct{}{}:
	default: // it is awake
	}
}

// refused implements Device.
func (g *gnome) refused() int {
	n := g.lost
	g.lost = 0
	return n
}

// close implements Device. Mutter releases what is pressed.
func (g *gnome) close() { g.remote.Close() }
