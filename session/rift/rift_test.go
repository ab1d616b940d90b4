package rift

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The first three are upstream's own, the others follow from the format.
var good = []struct {
	name, hex string
	want      Event
}{
	{"move", "0801120a0d0000003f150000803e", Event{Kind: Move, X: .5, Y: .25}},
	{"button down", "08011a0408011001", Event{Kind: Button, Code: 1, Pressed: true}},
	{"key down", "08012204081e1001", Event{Kind: Key, Code: 30, Pressed: true}},
	{"key up, its zero left out", "2202081e", Event{Kind: Key, Code: 30}},
	{"key up, its zero written", "2204081e1000", Event{Kind: Key, Code: 30}},
	{"the corner, its zeros left out", "1200", Event{Kind: Move}},
	{"the other corner", "120a0d0000803f150000803f", Event{Kind: Move, X: 1, Y: 1}},
	{"time behind, fields backwards", "120a150000803e0d0000003f0801", Event{Kind: Move, X: .5, Y: .25}},
	{"scroll", "2a05150000c0bf", Event{Kind: Scroll, Y: -1.5}},
	{"back", "1a0408081001", Event{Kind: Button, Code: 8, Pressed: true}},
	{"the highest key", "220508ff051001", Event{Kind: Key, Code: 767, Pressed: true}},
	{"a field that is not known beside it", "2204081e10013801", Event{Kind: Key, Code: 30, Pressed: true}},
	{"a field of the event that is not known", "2206081e10011801", Event{Kind: Key, Code: 30, Pressed: true}},
	{"a key's letter", "2206081e10017071", Event{Kind: Key, Code: 30, Pressed: true, Letter: 'q'}},
	{"a key's letter of three bytes", "2208081e1001 70e5cb01", Event{Kind: Key, Code: 30, Pressed: true, Letter: '日'}},
	{"no lock is on", "2206081e10017800", Event{Kind: Key, Code: 30, Pressed: true, Locks: LocksKnown}},
	{"locks", "2206081e10017803", Event{Kind: Key, Code: 30, Pressed: true, Locks: LocksKnown | CapsLock | NumLock}},
	{"text", "7a050a03c3a90a", Event{Kind: Text, Text: "é\n"}},
	{"relative motion", "720a0d0000c0bf150000003e", Event{Kind: Relative, X: -1.5, Y: .125}},
	{"relative motion down alone", "7205150000803f", Event{Kind: Relative, Y: 1}},
	{"the largest relative motion", "720a0d00008046150000 80c6", Event{Kind: Relative, X: maxMotion, Y: -maxMotion}},
	{"gamepad", "3211 0801 1207 0802 150000003f 1a04 0803 1001", Event{Kind: Gamepad}},
}

func TestDecode(t *testing.T) {
	for _, c := range good {
		t.Run(c.name, func(t *testing.T) {
			if got, fault := Decode(unhex(t, c.hex)); fault != FaultNone || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, fault, c.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	float := func(field protowire.Number, x, y float32) []byte {
		var b []byte
		b = protowire.AppendFixed32(protowire.AppendTag(b, 1, protowire.Fixed32Type), math.Float32bits(x))
		b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(y))
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
	}
	press := func(field protowire.Number, code, pressed uint64) []byte {
		var b []byte
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), code)
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), pressed)
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name string
		data []byte
		want Fault
	}{
		{"nothing", nil, FaultMalformed},
		{"a time alone", unhex(t, "0801"), FaultMalformed},
		{"two events", unhex(t, "2204081e10012204081e1000"), FaultMalformed},
		{"two times", unhex(t, "080108012204081e1001"), FaultMalformed},
		{"cut off", unhex(t, "08012204081e10"), FaultMalformed},
		{"a field twice", unhex(t, "2204081e081e"), FaultMalformed},
		{"a float for a code", unhex(t, "22050d0000003f"), FaultMalformed},
		{"a number for a position", unhex(t, "12020801"), FaultMalformed},
		{"a group", unhex(t, "1314"), FaultMalformed},
		{"text", []byte(`{"type":"key","keycode":30}`), FaultMalformed},
		{"an event that is not known", unhex(t, "08013a021801"), FaultUnknownField},
		{"a field that is not known, cut off", unhex(t, "2204081e10013a05"), FaultMalformed},
		{"a field of the event that is not known, cut off", unhex(t, "2206081e10011a05"), FaultMalformed},
		{"not a number", float(2, nan, 0), FaultRange},
		{"infinite", float(2, 0, inf), FaultRange},
		{"left of the picture", float(2, -.001, 0), FaultRange},
		{"below the picture", float(2, 0, 1.001), FaultRange},
		{"infinite wheel", float(5, -inf, 0), FaultRange},
		{"wheel that is not a number", float(5, 0, nan), FaultRange},
		{"wheel too far", float(5, 0, maxNotches+1), FaultRange},
		{"relative motion that is not a number", float(14, nan, 0), FaultRange},
		{"infinite relative motion", float(14, 0, -inf), FaultRange},
		{"relative motion too far", float(14, maxMotion+1, 0), FaultRange},
		{"relative motion too far up", float(14, 0, -maxMotion-1), FaultRange},
		{"a number for a relative motion", unhex(t, "72020801"), FaultMalformed},
		{"relative motion that is cut off", unhex(t, "72050d0000"), FaultMalformed},
		{"relative motion and a position", unhex(t, "72001200"), FaultMalformed},
		{"a code over 32 bits", press(4, 1<<32+30, 1), FaultRange},
		{"the largest varint", press(4, math.MaxUint64, 1), FaultRange},
		{"pressed twice", press(4, 30, 2), FaultRange},
		{"no button", press(3, 0, 1), FaultButton},
		{"the wheel as a button", press(3, 4, 1), FaultButton},
		{"a far button", press(3, 10, 1), FaultButton},
		{"no key", press(4, 0, 1), FaultKey},
		{"a far key", press(4, maxKey+1, 1), FaultKey},
		{"half a letter", unhex(t, "2207081e100170d8b7"), FaultMalformed},
		{"a surrogate", unhex(t, "2208081e10017080b003"), FaultRange},
		{"a control character", unhex(t, "2206081e1001701b"), FaultRange},
		{"other locks", unhex(t, "2206081e10017804"), FaultRange},
		{"a letter twice", unhex(t, "2208081e100170717071"), FaultMalformed},
		{"no text", unhex(t, "7a00"), FaultRange},
		{"text that is no UTF-8", unhex(t, "7a030a01ff"), FaultRange},
		{"text with an escape", unhex(t, "7a030a011b"), FaultRange},
		{"text of a number", unhex(t, "7a020801"), FaultMalformed},
		{"a varint without end", unhex(t, "08ffffffffffffffffffffff01"), FaultMalformed},
		{"too long", make([]byte, MaxMessage+1), FaultTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, fault := Decode(c.data); fault != c.want || got != (Event{}) {
				t.Errorf("got %+v, %v; want %v", got, fault, c.want)
			}
		})
	}
}

func TestFaultsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Faults() {
		if seen[f.String()] || strings.Contains(f.String(), "(") {
			t.Errorf("%q is no word of its own", f)
		}
		seen[f.String()] = true
	}
	for _, k := range Kinds() {
		if strings.Contains(k.String(), "(") {
			t.Errorf("%q is no word", k)
		}
	}
}

// encode is the reverse of Decode, for all but gamepads.
func encode(e Event) []byte {
	var b []byte
	field := protowire.Number(e.Kind) + fieldMove
	switch e.Kind {
	case Text:
		b, field = protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), e.Text), fieldText
	case Move, Scroll, Relative:
		if e.Kind == Relative {
			field = fieldRelative
		}
		b = protowire.AppendFixed32(protowire.AppendTag(b, 1, protowire.Fixed32Type), math.Float32bits(float32(e.X)))
		b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(float32(e.Y)))
	default:
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), uint64(e.Code))
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), protowire.EncodeBool(e.Pressed))
		if e.Kind == Key && e.Letter != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, fieldLetter, protowire.VarintType), uint64(e.Letter))
		}
		if e.Locks&LocksKnown != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, fieldLocks, protowire.VarintType), uint64(e.Locks>>1))
		}
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
}

// What is read can be used without another look, and means the same when it is written again.
func FuzzDecode(f *testing.F) {
	for _, c := range good {
		f.Add(unhex(f, c.hex))
	}
	f.Add(unhex(f, "2205089e801001")) // a varint that is longer than it needs to be
	f.Add(unhex(f, "2204081e10012a00"))
	f.Add(unhex(f, "120a0d0000c07f150000807f"))
	f.Add(unhex(f, "720a0d0000c07f150000807f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, fault := Decode(b)
		if fault != FaultNone {
			if !slices.Contains(Faults(), fault) || e != (Event{}) {
				t.Errorf("got %+v, %v; want a fault and nothing beside", e, fault)
			}
			return
		}
		switch e.Kind {
		case Move:
			if !(e.X >= 0 && e.X <= 1 && e.Y >= 0 && e.Y <= 1) {
				t.Errorf("got %+v", e)
			}
		case Scroll:
			if !(math.Abs(e.X) <= maxNotches && math.Abs(e.Y) <= maxNotches) {
				t.Errorf("got %+v", e)
			}
		case Relative:
			if !(math.Abs(e.X) <= maxMotion && math.Abs(e.Y) <= maxMotion) {
				t.Errorf("got %+v", e)
			}
		case Button:
			if e.Code < 1 || e.Code > 9 {
				t.Errorf("got %+v", e)
			}
		case Key:
			if e.Code < 1 || e.Code > maxKey {
				t.Errorf("got %+v", e)
			}
		case Gamepad:
			return
		case Text:
			if e.Text == "" || !utf8.ValidString(e.Text) {
				t.Errorf("got %+v", e)
			}
		default:
			t.Fatalf("got %+v", e)
		}
		if again, fault := Decode(encode(e)); fault != FaultNone || again != e {
			t.Errorf("got %+v, %v; want %+v again", again, fault, e)
		}
	})
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	b := unhex(t, good[0].hex)
	if n := testing.AllocsPerRun(1000, func() { _, _ = Decode(b) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
