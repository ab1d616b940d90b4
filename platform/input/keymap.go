package input

import (
	"slices"
	"unicode"
)

// Modifiers of X and XKB, in states and in maps.
const (
	modShift   = 1 << 0
	modLock    = 1 << 1
	modControl = 1 << 2
	modAlt     = 1 << 3
	modNum     = 1 << 4 // Mod2, which all keymaps in use give to NumLock
	modSuper   = 1 << 6
	modLevel3  = 1 << 7
)

// keymap says which symbols the keys of a display have.
type keymap struct {
	first byte // the lowest key
	keys  []keySymbols
	types []keyType
}

// keyType says which modifiers choose a level.
type keyType struct {
	mask   byte
	levels map[byte]byte // by the modifiers in mask that are on; others choose level 0
}

// keySymbols are the symbols of one key, by group and level.
type keySymbols struct {
	types   [4]byte // by group
	groups  byte    // number of groups
	outside byte    // what a group outside means, as in XKB's groupInfo
	width   int     // levels of each group in symbols
	symbols []uint32
}

// group returns the group that a key uses for the display's group.
func (k *keySymbols) group(g byte) byte {
	switch {
	case g < k.groups:
		return g
	case k.outside&0xc0 == 0x40:
		return k.groups - 1
	case k.outside&0xc0 == 0x80:
		if to := k.outside >> 4 & 3; to < k.groups {
			return to
		}
		return 0
	}
	return g % k.groups
}

// symbol returns the symbol that a key has in a state, or 0. lock reports whether CapsLock has no part in its choice:
// programs then make a letter upper-case themselves.
func (m *keymap) symbol(key, group, mods byte) (symbol uint32, lock bool) {
	i := int(key) - int(m.first)
	if i < 0 || i >= len(m.keys) || m.keys[i].groups == 0 {
		return 0, false
	}
	k := &m.keys[i]
	g := k.group(group)
	if int(k.types[g]) >= len(m.types) {
		return 0, false
	}
	t := &m.types[k.types[g]]
	at := int(g)*k.width + int(t.levels[mods&t.mask])
	if at >= len(k.symbols) {
		return 0, false
	}
	return k.symbols[at], mods&modLock != 0 && t.mask&modLock == 0
}

// types reports whether a key types a letter in a state.
func (m *keymap) typesLetter(key, group, mods byte, letter rune) bool {
	s, lock := m.symbol(key, group, mods)
	r := letterOf(s)
	if lock {
		r = unicode.ToUpper(r)
	}
	return r == letter && r != 0
}

// find returns a key that types a letter in a state. The main keys come first.
func (m *keymap) find(letter rune, group, mods byte) (key byte, ok bool) {
	for i := range m.keys {
		if key := m.first + byte(i); m.typesLetter(key, group, mods, letter) {
			return key, true
		}
	}
	return 0, false
}

// unused returns the keys without a symbol, the last one first.
func (m *keymap) unused() []byte {
	var list []byte
	for i, k := range slices.Backward(m.keys) {
		empty := true
		for _, s := range k.symbols {
			empty = empty && s == 0
		}
		if empty {
			list = append(list, m.first+byte(i))
		}
	}
	return list
}
