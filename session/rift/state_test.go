package rift

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestDecodeState(t *testing.T) {
	many := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), make([]byte, maxHeld+1))
	for _, c := range []struct {
		name  string
		data  []byte
		want  State
		fault Fault
	}{
		{"nothing", nil, State{}, FaultNone},
		{"a count", unhex(t, "08ac02"), State{Count: 300}, FaultNone},
		{"keys, packed", unhex(t, "0805 1203 1e ff05"), State{Count: 5, Keys: []uint32{30, 767}}, FaultNone},
		{"keys, not packed", unhex(t, "101e 102a"), State{Keys: []uint32{30, 42}}, FaultNone},
		{"a field that is not known", unhex(t, "0801 1801"), State{Count: 1}, FaultNone},
		{"no key", unhex(t, "12028006"), State{}, FaultRange},
		{"too many", many, State{}, FaultRange},
		{"a float for a count", unhex(t, "0d0000003f"), State{}, FaultMalformed},
		{"a float for a key", unhex(t, "150000003f"), State{}, FaultMalformed},
		{"cut off", unhex(t, "08011205"), State{}, FaultMalformed},
		{"a key that is cut off", unhex(t, "120180"), State{}, FaultMalformed},
		{"a group", unhex(t, "1b1c"), State{}, FaultNone},
		{"too long", make([]byte, MaxMessage+1), State{}, FaultTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, fault := DecodeState(c.data)
			if fault != c.fault || got.Count != c.want.Count || !slices.Equal(got.Keys, c.want.Keys) {
				t.Errorf("got %+v, %v; want %+v, %v", got, fault, c.want, c.fault)
			}
		})
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(unhex(f, "080512031eff05"))
	f.Add(unhex(f, "101e102a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, fault := DecodeState(b)
		if fault != FaultNone {
			if !slices.Contains(Faults(), fault) || s.Count != 0 || s.Keys != nil {
				t.Errorf("got %+v, %v; want a fault and nothing beside", s, fault)
			}
			return
		}
		if len(s.Keys) > maxHeld || slices.ContainsFunc(s.Keys, func(k uint32) bool { return k > maxKey }) {
			t.Errorf("got %+v", s)
		}
		again := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), s.Count)
		for _, k := range s.Keys {
			again = protowire.AppendVarint(protowire.AppendTag(again, 2, protowire.VarintType), uint64(k))
		}
		if len(again) > MaxMessage {
			return
		}
		if got, fault := DecodeState(again); fault != FaultNone || got.Count != s.Count ||
			!slices.Equal(got.Keys, s.Keys) {
			t.Errorf("got %+v, %v; want %+v again", got, fault, s)
		}
	})
}
