package input

// The American keyboard of xkeyboard-config (pc+us), as far as it types letters.

// americanModifiers are the modifiers of keys, by their Linux codes.
var americanModifiers = map[uint32]byte{
	42: modShift, 54: modShift, 29: modControl, 97: modControl, 56: modAlt, 100: modAlt, 125: modSuper, 126: modSuper,
}

// americanRows are the letters of the keys without and with Shift, from a Linux code on.
var americanRows = map[uint32]string{
	2:  "1!2@3#4$5%6^7&8*9(0)-_=+",
	16: "qQwWeErRtTyYuUiIoOpP[{]}",
	30: "aAsSdDfFgGhHjJkKlL;:'\"`~",
	43: `\|zZxXcCvVbBnNmM,<.>/?`,
	57: "  ",
}

func americanKeymap() keymap {
	const first = keyOffset
	const twoLevel, alphabetic = 0, 1
	m := keymap{first: first, keys: make([]keySymbols, 128), types: []keyType{
		twoLevel:   {mask: modShift, levels: map[byte]byte{modShift: 1}},
		alphabetic: {mask: modShift | modLock, levels: map[byte]byte{modShift: 1, modLock: 1}},
	}}
	for code, row := range americanRows {
		letters := []rune(row)
		for i := 0; i < len(letters); i += 2 {
			k := keySymbols{groups: 1, width: 2, symbols: []uint32{uint32(letters[i]), uint32(letters[i+1])}}
			if letters[i] >= 'a' && letters[i] <= 'z' {
				k.types[0] = alphabetic
			}
			m.keys[code+uint32(i/2)] = k
		}
	}
	return m
}

// spareKeys returns the keys that get letters: the last keycodes of X, except for KEY_SEARCH and
// KEY_MEDIA, which are in use.
func spareKeys() (keys []byte) {
	for key := byte(209); key < 255; key++ {
		if key != 217+keyOffset && key != 226+keyOffset {
			keys = append(keys, key)
		}
	}
	return keys
}
