package floor

import "context"

// Injector passes mouse and keyboard input to a display. All methods except Run and Wait return without waiting for the
// display, and may be called by several goroutines. Numbers are the numbers of rift.Event.
type Injector interface {
	// Wait waits until there is room for what is given next, or ctx ends, whose error it returns then.
	Wait(ctx context.Context) error
	// Losses returns how often what had been given was given up, as the display was out of reach. It grows.
	Losses() uint64
	Move(x, y float64)
	MoveBy(dx, dy float64)
	Button(number uint32, pressed bool)
	// Key presses or releases a key. letter and locks are as in rift.Event.
	Key(code uint32, pressed bool, letter rune, locks uint8)
	// Text types text.
	Text(text string)
	Scroll(dx, dy float64)
	// Release releases everything that is held, after what came before.
	Release()
	// Holding reports whether anything is held.
	Holding() bool
	// Err tells why input does not reach the display; nil when it does.
	Err() error
	// Run works until ctx ends, and leaves nothing held.
	Run(ctx context.Context) error
}
