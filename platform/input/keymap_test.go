package input

import (
	"testing"
	"time"
)

func TestLettersOfKeysyms(t *testing.T) {
	for symbol, want := range map[uint32]rune{
		'a': 'a', 0xe9: 'é', 0x1a1: 'Ą', 0x1b3: 'ł', 0x6c6: 'ф', 0x7e1: 'α', 0x4b1: 'ア', 0x20ac: '€', 0x13bd: 'œ',
		0xea1: 'ㄱ', 0xda1: 'ก', 0x5d5: '\u0635', unicodeKeysym + '日': '日', 0xffb7: '7', 0xffae: '.', 0xffaf: '/', 0xffab: '+',
		// No letters: NoSymbol, Return, Shift, a dead key, KP_Home, and gaps of tables.
		0: 0, 0xff0d: 0, 0xffe1: 0, 0xfe51: 0, 0xff95: 0, 0x1a4: 0, 0x2a0: 0, 0xfff: 0, unicodeKeysym + 0x110000: 0,
	} {
		if got := letterOf(symbol); got != want {
			t.Errorf("%#x: got %q; want %q", symbol, got, want)
		}
	}
	for _, r := range "aé€日ф👍" {
		if got := letterOf(keysymOf(r)); got != r {
			t.Errorf("%q: got %q back", r, got)
		}
	}
}

func TestSpareKeysAreReusedLast(t *testing.T) {
	var s spares
	m := keymap{first: 8, keys: make([]keySymbols, 3)}
	s.keep(&m)
	now := time.Now()
	bind := func(r rune, at time.Time, wantKey byte, wantWait time.Duration) {
		t.Helper()
		if key, wait, ok := s.bind(r, at); !ok || key != wantKey || wait != wantWait {
			t.Errorf("%q: got %d, %v, %v; want %d, %v", r, key, wait, ok, wantKey, wantWait)
		}
	}
	bind('a', now, 10, 0)
	bind('b', now, 9, 0)
	bind('c', now.Add(time.Millisecond), 8, 0)
	if key, ok := s.bound('a', now.Add(2*time.Millisecond)); !ok || key != 10 {
		t.Errorf("got %d, %v; want key 10", key, ok)
	}
	bind('d', now.Add(3*time.Millisecond), 9, reuseAfter-3*time.Millisecond)
	bind('e', now.Add(reuseAfter+time.Millisecond), 8, 0)
	if _, ok := s.bound('b', now); ok {
		t.Error("b still has a key")
	}
	// A new keymap has none of the letters, except one.
	m.keys[2] = keySymbols{groups: 1, width: 1, symbols: []uint32{'a'}}
	s.keep(&m)
	if _, ok := s.bound('a', now); !ok {
		t.Error("a has lost its key")
	}
	if _, ok := s.bound('d', now); ok {
		t.Error("d has kept its key")
	}
	var none spares
	if _, _, ok := none.bind('a', now); ok {
		t.Error("got a key of none")
	}
}

// Whatever a server answers, the keymap can be used.
func FuzzKeymap(f *testing.F) {
	f.Add(make([]byte, 40), make([]byte, 32), byte(38))
	head := make([]byte, 40)
	head[10], head[11], head[15], head[17], head[20] = 8, 255, 1, 8, 2
	head = append(head, 1, 1, 0, 0, 2, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0)     // a type with two levels
	head = append(head, 0, 0, 0, 0, 1, 2, 2, 0, 'a', 0, 0, 0, 'A', 0, 0, 0) // a key of it
	f.Add(head, make([]byte, 32), byte(8))
	f.Fuzz(func(t *testing.T, symbols, names []byte, key byte) {
		if len(symbols) < 32 || len(names) < 32 { // xproto.Conn.Await
			return
		}
		m := parseKeymap(symbols)
		for group := range byte(5) {
			m.symbol(key, group, key)
			m.find('a', group, key)
		}
		var s spares
		s.keep(&m)
		if n := len(parseNames(names)); n > 255 {
			t.Errorf("%d names", n)
		}
		if len(m.keys) > 255 || len(m.types) > 255 || len(m.unused()) > 256 {
			t.Errorf("%d keys, %d types", len(m.keys), len(m.types))
		}
	})
}
