package input

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode"

	"wavryhost/platform/xproto"
)

// Requests and events of the extension XKEYBOARD, version 1.0, and of XInput 2.
const (
	opChangeKeyboardMapping = 100

	xkbUseExtension   = 0
	xkbSelectEvents   = 1
	xkbGetState       = 4
	xkbLatchLockState = 5
	xkbGetMap         = 8
	xkbGetNames       = 17

	xkbCoreKeyboard = 0x100
	xkbKeyNames     = 1 << 9
	xkbTypes        = 1 << 0
	xkbSymbols      = 1 << 1

	xkbNewKeyboardNotify, xkbMapNotify = 0, 1

	xiQueryVersion, xiQueryDevice = 47, 48
)

// xtestKeyboard is the name of the device whose keys XTEST presses. Each device has a keymap of its own.
const xtestKeyboard = "Virtual core XTEST keyboard"

// capsLock and numLock are the Linux codes of these keys.
const capsLock, numLock = 58, 69

// xkb is the keyboard of an X server.
type xkb struct {
	conn   *xproto.Conn
	ext    xproto.Extension
	device uint32

	keymap  keymap
	codes   map[string]byte // keys by name
	spares  spares
	changed bool // the server reported another keymap
}

// newXKB learns the keymap. It returns nil if the server has no XKEYBOARD, or refuses the requests.
func newXKB(ctx context.Context, conn *xproto.Conn) (*xkb, error) {
	k, err := openXKB(ctx, conn)
	if _, refused := errors.AsType[xproto.RequestError](err); refused {
		return nil, nil
	}
	return k, err
}

func openXKB(ctx context.Context, conn *xproto.Conn) (*xkb, error) {
	k := &xkb{conn: conn, device: xkbCoreKeyboard}
	var err error
	if k.ext, err = conn.QueryExtension(ctx, "XKEYBOARD"); err != nil || !k.ext.Present() {
		return nil, err
	}
	b, err := conn.Await(ctx, conn.Send(k.ext.Major, xkbUseExtension, 1))
	if err != nil || b[1] == 0 {
		return nil, err
	}
	if k.device, err = xtestDevice(ctx, conn); err != nil {
		return nil, err
	}
	const both = 1<<xkbNewKeyboardNotify | 1<<xkbMapNotify
	for _, device := range []uint32{k.device, xkbCoreKeyboard} {
		conn.Send(k.ext.Major, xkbSelectEvents, device|both<<16, 1<<xkbNewKeyboardNotify<<16, 0xff|0xff<<16)
	}
	return k, k.load(ctx)
}

// xtestDevice returns the device of XTEST's keys, or the core keyboard if the server does not name it.
func xtestDevice(ctx context.Context, conn *xproto.Conn) (uint32, error) {
	ext, err := conn.QueryExtension(ctx, "XInputExtension")
	if err != nil || !ext.Present() {
		return xkbCoreKeyboard, err
	}
	_, err = conn.Await(ctx, conn.Send(ext.Major, xiQueryVersion, xproto.Pair(2, 0)))
	var b []byte
	if err == nil {
		b, err = conn.Await(ctx, conn.Send(ext.Major, xiQueryDevice, 0))
	}
	if _, refused := errors.AsType[xproto.RequestError](err); refused {
		return xkbCoreKeyboard, nil
	} else if err != nil {
		return 0, err
	}
	r := reader{b: b[8:]}
	n := r.uint16()
	r.take(22)
	for range n {
		id := r.uint16()
		r.take(4)
		classes, length := r.uint16(), r.uint16()
		r.take(2)
		name := r.take(xproto.Pad(int(length)))
		for range classes {
			r.take(2)
			r.take(4*int(r.uint16()) - 4)
		}
		if string(name[:min(len(name), int(length))]) == xtestKeyboard {
			return uint32(id), nil
		}
	}
	return xkbCoreKeyboard, nil
}

// load learns the names and the symbols of the keys.
func (k *xkb) load(ctx context.Context) error {
	k.changed = false
	names := k.conn.Send(k.ext.Major, xkbGetNames, k.device, xkbKeyNames)
	symbols := k.conn.Send(k.ext.Major, xkbGetMap, k.device|(xkbTypes|xkbSymbols)<<16, 0, 0, 0, 0, 0)
	b, err := k.conn.Await(ctx, names)
	if err != nil {
		return fmt.Errorf("names of keys: %w", err)
	}
	k.codes = parseNames(b)
	if b, err = k.conn.Await(ctx, symbols); err != nil {
		return fmt.Errorf("symbols of keys: %w", err)
	}
	k.keymap = parseKeymap(b)
	k.spares.keep(&k.keymap)
	return nil
}

// event notes that the keymap has changed, unless the change is ours.
func (k *xkb) event(b []byte) {
	if xproto.Kind(b) != k.ext.FirstEvent {
		return
	}
	switch b[1] {
	case xkbNewKeyboardNotify:
		k.changed = true
	case xkbMapNotify:
		first, n := b[16], int(b[17])
		for i := range n {
			k.changed = k.changed || !k.spares.owns(first+byte(i))
		}
		k.changed = k.changed || n == 0
	}
}

// xkbState is the state of the keyboard.
type xkbState struct{ mods, locked, group byte }

func (k *xkb) state(ctx context.Context) (xkbState, error) {
	b, err := k.conn.Await(ctx, k.conn.Send(k.ext.Major, xkbGetState, xkbCoreKeyboard))
	if err != nil {
		return xkbState{}, fmt.Errorf("state of the keyboard: %w", err)
	}
	return xkbState{mods: b[8], locked: b[11], group: b[12]}, nil
}

// lock queues a change of the locked modifiers in mask.
func (k *xkb) lock(mask, on byte) {
	if mask != 0 {
		k.conn.Send(k.ext.Major, xkbLatchLockState, xkbCoreKeyboard|uint32(mask)<<16|uint32(on)<<24, 0, 0)
	}
}

// place returns the key at the place of a Linux code.
func (k *xkb) place(code uint32) byte {
	for _, name := range keyNames[code] {
		if key, ok := k.codes[name]; ok {
			return key
		}
	}
	return byte(code + keyOffset)
}

// choose returns the key to press for a command, after it has brought the locks in step. relock are the locks that it
// has switched off for this press alone.
func (k *xkb) choose(ctx context.Context, c command) (key, relock byte, err error) {
	key = k.place(c.code)
	if c.letter == 0 && c.locks == 0 || c.code == capsLock || c.code == numLock {
		return key, 0, nil
	}
	s, err := k.state(ctx)
	if err != nil {
		return 0, 0, err
	}
	if c.locks&LocksKnown != 0 {
		var want byte
		if c.locks&CapsLock != 0 {
			want |= modLock
		}
		if c.locks&NumLock != 0 {
			want |= modNum
		}
		wrong := (s.locked ^ want) & (modLock | modNum)
		k.lock(wrong, want)
		s.mods = s.mods&^wrong | want&wrong
		s.locked = s.locked&^wrong | want&wrong
	}
	if c.letter == 0 || k.keymap.typesLetter(key, s.group, s.mods, c.letter) && c.code != 0 {
		return key, 0, nil
	}
	spare, ok := k.spares.bound(c.letter, time.Now())
	if !ok {
		if other, found := k.keymap.find(c.letter, s.group, s.mods); found {
			return other, 0, nil
		}
		if spare, ok, err = k.bind(ctx, c.letter); err != nil || !ok {
			return key, 0, err // it types what is at that place
		}
	}
	if s.locked&modLock != 0 && unicode.ToUpper(c.letter) != c.letter {
		// Programs would make it upper-case.
		k.lock(modLock, 0)
		relock = modLock
	}
	return spare, relock, nil
}

// bind gives a spare key a letter. It is the same one with all modifiers and in all groups.
func (k *xkb) bind(ctx context.Context, letter rune) (key byte, ok bool, err error) {
	key, wait, ok := k.spares.bind(letter, time.Now())
	if !ok {
		return 0, false, nil
	}
	if wait > 0 {
		if err := k.conn.Sync(ctx); err != nil {
			return 0, false, err
		}
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return 0, false, ctx.Err()
		}
	}
	k.give(key, keysymOf(letter))
	return key, true, nil
}

// give sets the symbol of a key.
func (k *xkb) give(key byte, symbol uint32) {
	k.conn.Send(opChangeKeyboardMapping, 1, uint32(key)|2<<8, symbol, symbol)
}

// restore takes the letters from the spare keys.
func (k *xkb) restore() {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	defer context.AfterFunc(ctx, k.conn.Wake)()
	n := 0
	for _, one := range k.spares.list {
		if one.letter != 0 {
			k.give(one.key, 0)
			n++
		}
	}
	if n > 0 {
		_ = k.conn.Sync(ctx) // a server that is gone has no keymap
	}
}
