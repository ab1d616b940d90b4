package input

// Keysyms outside the tables.
const (
	unicodeKeysym = 0x01000000
	keypadFirst   = 0xff80 // KP_Space
	keypadLast    = 0xffbd // KP_Equal
)

// letterOf returns the letter that a keysym types, or 0.
func letterOf(symbol uint32) rune {
	switch {
	case symbol >= 0x20 && symbol <= 0x7e, symbol >= 0xa0 && symbol <= 0xff, symbol == 0x20ac:
		return rune(symbol)
	case symbol > unicodeKeysym && symbol <= unicodeKeysym+0x10ffff:
		return rune(symbol - unicodeKeysym)
	case symbol == keypadLast:
		return '='
	case symbol == keypadFirst:
		return ' '
	case symbol >= keypadFirst+0x2a && symbol <= keypadFirst+0x39: // KP_Multiply to KP_9
		return rune(symbol - keypadFirst)
	case symbol >= 0x13bc && symbol <= 0x13be:
		return []rune("ŒœŸ")[symbol-0x13bc]
	}
	row, ok := legacyKeysyms[symbol>>8]
	if i := int(symbol&0xff) - int(row.first); ok && i >= 0 && i < len(row.runes) && row.runes[i] != ' ' {
		return row.runes[i]
	}
	return 0
}

// keysymOf returns the keysym that types a letter.
func keysymOf(letter rune) uint32 {
	if letter >= 0x20 && letter <= 0x7e || letter >= 0xa0 && letter <= 0xff {
		return uint32(letter)
	}
	return unicodeKeysym + uint32(letter)
}
