package rift

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// StateLabel is the label of the data channel on which a client reports what is held. The channel is unreliable and
// unordered, so a short outage does not delay later messages.
const StateLabel = "held"

// maxHeld bounds the keys of a State. Nobody has so many fingers.
const maxHeld = 64

// State is the keys and buttons that a client holds down.
type State struct {
	// Count is the number of messages that the client had sent on the channel "input" before.
	Count uint64
	// Keys are key codes as in Event. The message itself says that the buttons are still held.
	Keys []uint32
}

// DecodeState decodes {1: uint64, 2: repeated uint32}, the list packed or not. It keeps nothing of b.
func DecodeState(b []byte) (State, Fault) {
	if len(b) > MaxMessage {
		return State{}, FaultTooLong
	}
	var s State
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return State{}, FaultMalformed
		}
		b = b[n:]
		fault := FaultNone
		switch {
		case number == 1 && wire == protowire.VarintType:
			s.Count, n = protowire.ConsumeVarint(b)
		case number == 2:
			n, fault = held(&s.Keys, wire, b)
		case number == 1:
			return State{}, FaultMalformed
		default:
			n = protowire.ConsumeFieldValue(number, wire, b)
		}
		if fault != FaultNone {
			return State{}, fault
		}
		if n < 0 {
			return State{}, FaultMalformed
		}
		b = b[n:]
	}
	return s, FaultNone
}

// held decodes one number, or a packed list of numbers, and returns its length; negative if it is malformed.
func held(list *[]uint32, wire protowire.Type, b []byte) (n int, fault Fault) {
	var packed []byte
	switch wire {
	case protowire.VarintType:
		if _, n = protowire.ConsumeVarint(b); n < 0 {
			return n, FaultNone
		}
		packed = b[:n]
	case protowire.BytesType:
		if packed, n = protowire.ConsumeBytes(b); n < 0 {
			return n, FaultNone
		}
	default:
		return -1, FaultNone
	}
	for len(packed) > 0 {
		v, m := protowire.ConsumeVarint(packed)
		switch {
		case m < 0:
			return m, FaultNone
		case v > maxKey || len(*list) >= maxHeld:
			return 0, FaultRange
		}
		*list = append(*list, uint32(v))
		packed = packed[m:]
	}
	return n, FaultNone
}
