package input

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"wavryhost/platform/wlproto"
)

// virtualKeyboard is a keyboard of our own in a Wayland session. Its keymap is that of an American keyboard, with spare
// keys that get the letters it lacks. The compositor hands the keymap to programs before the next key, so a spare key
// can get another letter at any time while it is not pressed.
type virtualKeyboard struct {
	c      *compositor
	id     uint32
	keymap keymap
	spares spares
	down   []byte // the pressed keys
	locked byte   // modifiers
}

func newVirtualKeyboard(c *compositor, manager uint32) (*virtualKeyboard, error) {
	k := &virtualKeyboard{c: c, id: c.conn.New(nil), keymap: americanKeymap()}
	for _, key := range spareKeys() {
		k.spares.list = append(k.spares.list, spare{key: key})
	}
	c.conn.Send(manager, 0, c.seat, k.id)
	return k, k.upload()
}

// upload gives the compositor the keymap.
func (k *virtualKeyboard) upload() error {
	text := k.source()
	fd, err := memoryFile(text)
	if err != nil {
		return fmt.Errorf("make a keymap: %w", err)
	}
	defer closeFile(fd)
	const xkbV1 = 1
	k.c.conn.Send(k.id, 0, uint32(xkbV1), wlproto.File(fd), uint32(len(text)))
	if err := k.c.conn.Flush(); err != nil {
		return err
	}
	k.modifiers()
	return nil
}

// source returns the keymap in XKB's text format.
func (k *virtualKeyboard) source() string {
	var s strings.Builder
	s.WriteString("xkb_keymap {\nxkb_keycodes { include \"evdev+aliases(qwerty)\"\n")
	for _, one := range k.spares.list {
		fmt.Fprintf(&s, "<W%d> = %d;\n", one.key, one.key)
	}
	s.WriteString("};\nxkb_types { include \"complete\" };\nxkb_compat { include \"complete\" };\n" +
		"xkb_symbols { include \"pc+us+inet(evdev)\"\n")
	for _, one := range k.spares.list {
		if one.letter != 0 {
			fmt.Fprintf(&s, "replace key <W%d> { [ U%04X, U%04X ] };\n", one.key, one.letter, one.letter)
		}
	}
	s.WriteString("};\n};\n\x00")
	return s.String()
}

// modifiers tells the compositor which modifiers are in force.
func (k *virtualKeyboard) modifiers() {
	k.c.conn.Send(k.id, 2, uint32(k.depressed()), uint32(0), uint32(k.locked), uint32(0))
}

// depressed returns the modifiers of the pressed keys.
func (k *virtualKeyboard) depressed() (mods byte) {
	for _, key := range k.down {
		mods |= americanModifiers[uint32(key)-keyOffset]
	}
	return mods
}

// press presses a key, after it has brought the locks in step.
func (k *virtualKeyboard) press(c command) (key byte, err error) {
	locked := k.locked
	if c.locks&LocksKnown != 0 {
		locked = 0
		if c.locks&CapsLock != 0 {
			locked |= modLock
		}
		if c.locks&NumLock != 0 {
			locked |= modNum
		}
	}
	switch c.code {
	case capsLock:
		locked = k.locked ^ modLock
	case numLock:
		locked = k.locked ^ modNum
	}
	if locked != k.locked {
		k.locked = locked
		k.modifiers()
	}
	key = byte(c.code + keyOffset)
	if c.letter == 0 || c.code != 0 && k.keymap.typesLetter(key, 0, k.depressed()|k.locked, c.letter) {
		k.strike(key)
		return key, nil
	}
	if key, err = k.letterKey(c.letter); err != nil {
		return 0, err
	}
	if k.locked&modLock != 0 && unicode.ToUpper(c.letter) != c.letter && k.spares.owns(key) {
		// Programs would make it upper-case.
		k.locked &^= modLock
		k.modifiers()
		k.strike(key)
		k.locked |= modLock
		k.modifiers()
		return key, nil
	}
	k.strike(key)
	return key, nil
}

// letterKey returns the key that types a letter.
func (k *virtualKeyboard) letterKey(letter rune) (byte, error) {
	now := time.Now()
	if key, ok := k.spares.bound(letter, now); ok {
		return key, nil
	}
	if key, ok := k.keymap.find(letter, 0, k.depressed()|k.locked); ok {
		return key, nil
	}
	k.bind(letter, now)
	key, _ := k.spares.bound(letter, now)
	return key, k.upload()
}

// bind gives a spare key that is not pressed a letter.
func (k *virtualKeyboard) bind(letter rune, now time.Time) {
	if i := slices.IndexFunc(k.spares.list, func(s spare) bool { return !slices.Contains(k.down, s.key) }); i >= 0 {
		k.spares.use(i, letter, now)
	}
}

// strike presses a key that is chosen.
func (k *virtualKeyboard) strike(key byte) {
	k.down = append(slices.DeleteFunc(k.down, func(d byte) bool { return d == key }), key)
	k.c.conn.Send(k.id, 1, k.c.now(), uint32(key)-keyOffset, uint32(1))
	if americanModifiers[uint32(key)-keyOffset] != 0 {
		k.modifiers()
	}
}

func (k *virtualKeyboard) release(key byte) {
	k.down = slices.DeleteFunc(k.down, func(d byte) bool { return d == key })
	k.c.conn.Send(k.id, 1, k.c.now(), uint32(key)-keyOffset, uint32(0))
	if americanModifiers[uint32(key)-keyOffset] != 0 {
		k.modifiers()
	}
}

// text types text. It gives many letters their keys at once, because programs compile each keymap.
func (k *virtualKeyboard) text(text string) error {
	letters := []rune(text)
	for len(letters) > 0 {
		fresh, n := 0, 0
		for ; n < len(letters) && fresh < len(k.spares.list)/2; n++ {
			r := letters[n]
			_, control := controlKeys[r]
			_, main := k.keymap.find(r, 0, k.locked)
			if _, bound := k.spares.bound(r, time.Now()); !control && !main && !bound {
				k.bind(r, time.Now())
				fresh++
			}
		}
		if fresh > 0 {
			if err := k.upload(); err != nil {
				return err
			}
		}
		for _, r := range letters[:n] {
			c := command{kind: key, code: controlKeys[r], letter: r}
			if c.code != 0 {
				c.letter = 0
			}
			number, err := k.press(c)
			if err != nil {
				return err
			}
			k.release(number)
		}
		letters = letters[n:]
	}
	return nil
}
