// Package rift decodes the input messages of viewers: on the data channel "input" one protobuf message
// rift.InputMessage each, in the format of Wavry's hosts, and on the channel "held" one State each. Unknown fields in a
// message of a known kind are ignored, because newer clients send more than older hosts read. Anything else that is not
// understood is refused with one word of a closed set, which discloses nothing of the message.
package rift

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"wavryhost/session/enum"
)

// Label is the label of the data channel.
const Label = "input"

// MaxMessage is the longest accepted message, in bytes. A key takes 16; the state of a gamepad takes a tenth of the
// limit.
const MaxMessage = 1024

const (
	// maxKey is KEY_MAX of Linux (input-event-codes.h).
	maxKey = 0x2ff
	// maxNotches is the largest turn of the wheel in one message.
	maxNotches = 100
	// maxMotion is the largest relative motion in one message, in pixels. X requests have 16 bits for it.
	maxMotion = 16384
)

// Kind is the kind of a message.
type Kind uint8

// The kinds of messages.
const (
	Move Kind = iota
	Button
	Key
	Scroll
	Gamepad
	Text
	Relative
)

var kinds = [...]string{
	Move:     "move",
	Button:   "button",
	Key:      "key",
	Scroll:   "scroll",
	Gamepad:  "gamepad",
	Text:     "text",
	Relative: "relative",
}

// Kinds lists all kinds of messages.
func Kinds() []Kind { return enum.All[Kind](kinds[:]) }

func (k Kind) String() string { return enum.Name(kinds[:], k) }

// Event is one message.
type Event struct {
	Kind Kind
	// X and Y are the pointer's position in fractions of the picture, from 0 to 1. For Scroll they are the notches that
	// the wheel is turned to the right, and away from the user. For Relative they are the pixels by which the pointer
	// moves to the right and down.
	X, Y float64
	// Code is the number of a button (1 left, 2 middle, 3 right, 8 back, 9 forward), or the Linux code of a key.
	Code uint32
	// Pressed reports whether the key or button goes down.
	Pressed bool
	// Letter is what a key types on the client's keyboard, or 0 for the key at its place.
	Letter rune
	// Locks are the client's locks, with LocksKnown if it says anything about them.
	Locks uint8
	// Text is what Text types.
	Text string
}

// The locks of a keyboard.
const (
	LocksKnown = 1 << iota
	CapsLock
	NumLock
)

// Fault is what is wrong with a message.
type Fault uint8

// The faults.
const (
	// FaultNone: no fault.
	FaultNone Fault = iota
	// FaultMalformed: it is not a message: it is cut off, has no event, or has a field of the wrong type or twice.
	FaultMalformed
	// FaultTooLong: it is longer than MaxMessage.
	FaultTooLong
	// FaultUnknownField: its event has an unknown kind.
	FaultUnknownField
	// FaultRange: a number is not a number, or out of range.
	FaultRange
	// FaultButton and FaultKey: there is no such button or key.
	FaultButton
	FaultKey
)

var faults = [...]string{
	FaultNone:         "none",
	FaultMalformed:    "malformed",
	FaultTooLong:      "too_long",
	FaultUnknownField: "unknown_field",
	FaultRange:        "out_of_range",
	FaultButton:       "unknown_button",
	FaultKey:          "unknown_key",
}

// Faults lists all faults.
func Faults() []Fault { return enum.All[Fault](faults[:])[1:] }

func (f Fault) String() string { return enum.Name(faults[:], f) }

// Decode decodes a message. It keeps nothing of b. With a fault the Event is zero.
func Decode(b []byte) (Event, Fault) {
	if len(b) > MaxMessage {
		return Event{}, FaultTooLong
	}
	var e Event
	var stamped, found, unknown bool
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return Event{}, FaultMalformed
		}
		b = b[n:]
		switch {
		case number == fieldTime:
			_, n = protowire.ConsumeVarint(b)
			if wire != protowire.VarintType || n < 0 || stamped {
				return Event{}, FaultMalformed
			}
			stamped = true
		case !known(number):
			if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
				return Event{}, FaultMalformed
			}
			unknown = true
		default:
			var body []byte
			body, n = protowire.ConsumeBytes(b)
			if wire != protowire.BytesType || n < 0 || found {
				return Event{}, FaultMalformed
			}
			found = true
			var fault Fault
			if e, fault = decodeEvent(kindOf(number), body); fault != FaultNone {
				return Event{}, fault
			}
		}
		b = b[n:]
	}
	switch {
	case found:
		return e, FaultNone
	case unknown:
		return Event{}, FaultUnknownField
	default:
		return Event{}, FaultMalformed
	}
}

// The fields of InputMessage. Those from fieldMove to fieldGamepad are the kinds, in order. fieldRelative, fieldText,
// and the fields of a key from fieldLetter on, are ours. They leave room for later ones of Wavry.
const (
	fieldTime     = 1
	fieldMove     = 2
	fieldGamepad  = 6
	fieldRelative = 14
	fieldText     = 15

	fieldLetter = 14
	fieldLocks  = 15
)

// known reports whether a field of InputMessage is an event that Decode understands.
func known(number protowire.Number) bool {
	return number >= fieldMove && number <= fieldGamepad || number == fieldRelative || number == fieldText
}

// kindOf returns the kind of the event in a known field.
func kindOf(number protowire.Number) Kind {
	switch number {
	case fieldRelative:
		return Relative
	case fieldText:
		return Text
	default:
		return Kind(number - fieldMove)
	}
}

func decodeEvent(k Kind, b []byte) (Event, Fault) {
	e := Event{Kind: k}
	fault := FaultNone
	switch k {
	case Move:
		e.X, e.Y, fault = pair(b)
		// The condition is negated so that it is false for NaN.
		if fault == FaultNone && !(e.X >= 0 && e.X <= 1 && e.Y >= 0 && e.Y <= 1) {
			fault = FaultRange
		}
	case Scroll:
		e.X, e.Y, fault = pair(b)
		if fault == FaultNone && !(math.Abs(e.X) <= maxNotches && math.Abs(e.Y) <= maxNotches) {
			fault = FaultRange
		}
	case Relative:
		e.X, e.Y, fault = pair(b)
		if fault == FaultNone && !(math.Abs(e.X) <= maxMotion && math.Abs(e.Y) <= maxMotion) {
			fault = FaultRange
		}
	case Button:
		e.Code, e.Pressed, fault = press(b)
		if fault == FaultNone && (e.Code < 1 || e.Code > 9 || e.Code > 3 && e.Code < 8) {
			fault = FaultButton
		}
	case Key:
		if e.Code, e.Pressed, fault = press(b); fault == FaultNone {
			fault = e.typed(b)
		}
		if fault == FaultNone && (e.Code < 1 || e.Code > maxKey) {
			fault = FaultKey
		}
	case Text:
		e.Text, fault = text(b)
	case Gamepad: // no display accepts it
	}
	if fault != FaultNone {
		return Event{}, fault
	}
	return e, FaultNone
}

// pair decodes {1: float, 2: float}. A missing field is 0.
func pair(b []byte) (x, y float64, fault Fault) {
	var f fields
	if fault := f.read(b, protowire.Fixed32Type, protowire.Fixed32Type); fault != FaultNone {
		return 0, 0, fault
	}
	return float64(math.Float32frombits(uint32(f[0].number))),
		float64(math.Float32frombits(uint32(f[1].number))), FaultNone
}

// press decodes {1: uint32, 2: bool}.
func press(b []byte) (code uint32, pressed bool, fault Fault) {
	var f fields
	if fault := f.read(b, protowire.VarintType, protowire.VarintType); fault != FaultNone {
		return 0, false, fault
	}
	if f[0].number > math.MaxUint32 || f[1].number > 1 {
		return 0, false, FaultRange
	}
	return uint32(f[0].number), f[1].number == 1, FaultNone
}

// fields are the two fields of a small message.
type fields [2]struct {
	number uint64
	seen   bool
}

// read decodes a message whose fields 1 and 2 have the given types.
func (f *fields) read(b []byte, types ...protowire.Type) Fault {
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return FaultMalformed
		}
		b = b[n:]
		if number > 2 {
			if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
				return FaultMalformed
			}
			b = b[n:]
			continue
		}
		one := &f[number-1] // ConsumeTag checks that numbers begin with 1
		if one.seen || wire != types[number-1] {
			return FaultMalformed
		}
		one.seen = true
		if wire == protowire.Fixed32Type {
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			one.number = uint64(v)
		} else {
			one.number, n = protowire.ConsumeVarint(b)
		}
		if n < 0 {
			return FaultMalformed
		}
		b = b[n:]
	}
	return FaultNone
}
