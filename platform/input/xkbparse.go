package input

import "strings"

// reader reads the fields of a reply. A read past the end returns zeros.
type reader struct{ b []byte }

func (r *reader) take(n int) []byte {
	n = max(0, min(n, len(r.b)))
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); len(b) == 2 {
		return le.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); len(b) == 4 {
		return le.Uint32(b)
	}
	return 0
}

// parseNames parses the reply to XkbGetNames for names of keys.
func parseNames(b []byte) map[string]byte {
	first, n := b[18], int(b[19])
	names := make(map[string]byte)
	r := reader{b[32:]}
	for i := range n {
		if name := strings.TrimRight(string(r.take(4)), "\x00"); name != "" {
			names[name] = first + byte(i)
		}
	}
	return names
}

// parseKeymap parses the reply to XkbGetMap for types and symbols.
func parseKeymap(b []byte) keymap {
	r := reader{b[min(len(b), 40):]}
	types, first, keys := int(b[15]), b[17], int(b[20])
	m := keymap{first: first}
	for range types {
		t := keyType{mask: r.byte(), levels: make(map[byte]byte)}
		r.take(4)
		entries := int(r.byte())
		preserve := r.byte() != 0
		r.take(1)
		for range entries {
			active, mask, level := r.byte() != 0, r.byte(), r.byte()
			r.take(5)
			if active {
				t.levels[mask] = level
			}
		}
		if preserve {
			r.take(4 * entries)
		}
		m.types = append(m.types, t)
	}
	for range keys {
		var k keySymbols
		copy(k.types[:], r.take(4))
		k.outside = r.byte()
		k.groups = min(k.outside&0x0f, 4)
		k.width = int(r.byte())
		n := int(r.uint16())
		for range min(n, len(r.b)/4) {
			k.symbols = append(k.symbols, r.uint32())
		}
		m.keys = append(m.keys, k)
	}
	return m
}
