package input

import "context"

// Device is an opened display that takes input. One goroutine uses it; others may call wake. What is done is queued
// until sync, unless it needs an answer of the display.
type Device interface {
	// arrange notices where the display is on the desktop, and its keymap, after a change.
	arrange(ctx context.Context) error
	// move moves the pointer to fractions of the display's size.
	move(x, y float64)
	// motion moves the pointer by pixels, to the right and down. Parts of a pixel add up.
	motion(ctx context.Context, dx, dy float64) error
	// scroll turns the wheel by notches. Parts of a notch add up.
	scroll(ctx context.Context, dx, dy float64) error
	// forget drops the parts of pixels and notches that are left.
	forget()
	// press presses a button or a key. It returns the display's number of it, which release takes.
	press(ctx context.Context, c command) (number byte, err error)
	release(k kind, number byte)
	// text types text.
	text(ctx context.Context, text string) error
	// sync waits until the display has done everything.
	sync(ctx context.Context) error
	// wait waits for an event of the display, or for wake.
	wait() error
	wake()
	// refused returns how much the display has refused since the last call.
	refused() int
	close()
}

// maxKey is the highest Linux code of a key. Keycodes of X have 8 bits, and are higher by keyOffset.
const maxKey = 255 - keyOffset

// controlKeys are the Linux codes of keys in texts that type no letter.
var controlKeys = map[rune]uint32{'\b': 14, '\t': 15, '\n': 28, '\r': 28}

// bell is what a Device waits for that has no connection to read from.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

// wake implements Device.
func (b bell) wake() {
	select {
	case b <- struct{}{}:
	default: // it is awake
	}
}
