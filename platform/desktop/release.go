package desktop

import (
	"context"
	"errors"
	"time"

	"wavryhost/platform/xproto"
)

// Requests and values of the X protocol, and of its extension XTEST.
const (
	opQueryPointer     = 38
	opQueryKeymap      = 44
	xtestFakeInput     = 2
	eventKeyRelease    = 3
	eventButtonRelease = 5
	// firstButtonBit is the bit of button 1 in the mask of QueryPointer. Buttons above 5 are not in it.
	firstButtonBit, buttonsInMask = 8, 5
	// firstExtraButton to lastExtraButton are the further buttons that a daemon may hold.
	firstExtraButton, lastExtraButton = 8, 9
	// releaseTime bounds the release.
	releaseTime = 2 * time.Second
)

// releaseKeys releases all keys and buttons that are pressed on a display, and returns their number. A virtual display
// has no devices of its own, so a daemon pressed them.
func releaseKeys(ctx context.Context, address, authority string) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	c, err := xproto.Dial(ctx, address, []string{authority})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	xtest, err := c.QueryExtension(ctx, "XTEST")
	if err != nil {
		return 0, err
	}
	if !xtest.Present() {
		return 0, errors.New("the X server lacks XTEST")
	}
	keys, err := c.Await(ctx, c.Send(opQueryKeymap, 0))
	if err != nil {
		return 0, err
	}
	pressed := append([]byte(nil), keys[8:40]...)
	pointer, err := c.Await(ctx, c.Send(opQueryPointer, 0, c.Screen.Root))
	if err != nil {
		return 0, err
	}
	mask := uint16(pointer[24]) | uint16(pointer[25])<<8
	release := func(event, detail byte) {
		c.Send(xtest.Major, xtestFakeInput, uint32(event)|uint32(detail)<<8, 0, 0, 0, 0, 0, 0, 0)
	}
	for code := range 8 * len(pressed) {
		if pressed[code/8]&(1<<(code%8)) != 0 {
			release(eventKeyRelease, byte(code))
			n++
		}
	}
	for button := range buttonsInMask {
		if mask&(1<<(firstButtonBit+button)) != 0 {
			release(eventButtonRelease, byte(button+1))
			n++
		}
	}
	for button := byte(firstExtraButton); button <= lastExtraButton; button++ {
		release(eventButtonRelease, button) // without effect if it is not pressed
	}
	return n, c.Sync(ctx)
}
