package rift

import (
	"math"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// typed decodes what a key says besides its place: {14: uint32, 15: uint32}.
func (e *Event) typed(b []byte) Fault {
	var seen [2]bool
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return FaultMalformed
		}
		b = b[n:]
		if number != fieldLetter && number != fieldLocks {
			if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
				return FaultMalformed
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 || wire != protowire.VarintType || seen[number-fieldLetter] {
			return FaultMalformed
		}
		seen[number-fieldLetter] = true
		b = b[n:]
		switch {
		case number == fieldLocks && v <= 3:
			e.Locks = LocksKnown | uint8(v)<<1
		case number == fieldLetter && v == 0: // as if it were not there
		case number == fieldLetter && v <= math.MaxInt32 && isLetter(rune(v)):
			e.Letter = rune(v)
		default:
			return FaultRange
		}
	}
	return FaultNone
}

// isLetter reports whether a key can type r.
func isLetter(r rune) bool { return utf8.ValidRune(r) && r != utf8.RuneError && !unicode.IsControl(r) }

// text decodes {1: string}. Among the control characters, only backspace, tab and the ends of lines have keys.
func text(b []byte) (string, Fault) {
	var s string
	seen := false
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", FaultMalformed
		}
		b = b[n:]
		if number != 1 {
			if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
				return "", FaultMalformed
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 || wire != protowire.BytesType || seen {
			return "", FaultMalformed
		}
		b, s, seen = b[n:], string(v), true
	}
	if s == "" {
		return "", FaultRange
	}
	for _, r := range s {
		if !isLetter(r) && r != '\b' && r != '\t' && r != '\n' && r != '\r' {
			return "", FaultRange
		}
	}
	return s, FaultNone
}
