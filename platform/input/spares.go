package input

import (
	"slices"
	"time"
)

// reuseAfter is the time after which a spare key may get another letter. Programs look up the letter of a key press
// when they handle it, in the keymap of that moment.
const reuseAfter = 500 * time.Millisecond

// spares are keys without a symbol, which get the letters that the display's layout lacks.
type spares struct {
	list []spare // the last used one is at the end
}

type spare struct {
	key    byte
	letter rune // 0 for none
	used   time.Time
}

// bound returns the spare key of a letter.
func (s *spares) bound(letter rune, now time.Time) (key byte, ok bool) {
	i := slices.IndexFunc(s.list, func(one spare) bool { return one.letter == letter })
	if i < 0 {
		return 0, false
	}
	return s.use(i, letter, now), true
}

// bind gives a letter the spare key that was not used for the longest time. The caller must wait before it.
func (s *spares) bind(letter rune, now time.Time) (key byte, wait time.Duration, ok bool) {
	if len(s.list) == 0 {
		return 0, 0, false
	}
	if one := s.list[0]; one.letter != 0 {
		wait = max(0, one.used.Add(reuseAfter).Sub(now))
	}
	return s.use(0, letter, now.Add(wait)), wait, true
}

// use moves a spare key to the end.
func (s *spares) use(i int, letter rune, now time.Time) (key byte) {
	one := s.list[i]
	one.letter, one.used = letter, now
	s.list = append(slices.Delete(s.list, i, i+1), one)
	return one.key
}

// owns reports whether a key is a spare one.
func (s *spares) owns(key byte) bool {
	return slices.ContainsFunc(s.list, func(one spare) bool { return one.key == key })
}

// keep takes the spare keys of a keymap. Spare keys whose letter is still there keep it.
func (s *spares) keep(m *keymap) {
	old := s.list
	s.list = nil
	for _, k := range m.unused() {
		s.list = append(s.list, spare{key: k})
	}
	for _, one := range old {
		if one.letter == 0 {
			continue
		}
		i := int(one.key) - int(m.first)
		if i >= 0 && i < len(m.keys) && len(m.keys[i].symbols) > 0 && m.keys[i].symbols[0] == keysymOf(one.letter) {
			s.list = append(s.list, one)
		}
	}
}
