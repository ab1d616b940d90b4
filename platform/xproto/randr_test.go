package xproto

import (
	"image"
	"testing"
)

// monitorReply is an answer to GetMonitors with one monitor per area; the first is primary, each has one output.
func monitorReply(areas ...image.Rectangle) []byte {
	b := make([]byte, 32)
	le.PutUint32(b[12:], uint32(len(areas)))
	for i, a := range areas {
		m := make([]byte, 28)
		le.PutUint32(m, uint32(100+i))
		if i == 0 {
			m[4] = 1
		}
		le.PutUint16(m[6:], 1)
		le.PutUint16(m[8:], uint16(int16(a.Min.X)))
		le.PutUint16(m[10:], uint16(int16(a.Min.Y)))
		le.PutUint16(m[12:], uint16(a.Dx()))
		le.PutUint16(m[14:], uint16(a.Dy()))
		le.PutUint32(m[24:], uint32(200+i))
		b = append(b, m...)
	}
	return b
}

func TestParseMonitors(t *testing.T) {
	left, right := image.Rect(0, 300, 1280, 1020), image.Rect(1280, 0, 2304, 768)
	list, err := parseMonitors(monitorReply(left, image.Rectangle{}, right))
	if err != nil || len(list) != 2 {
		t.Fatalf("got %+v, %v; want two monitors", list, err)
	}
	if list[0].Area != left || !list[0].Primary || list[0].atom != 100 || list[0].output != 200 {
		t.Errorf("got %+v", list[0])
	}
	if list[1].Area != right || list[1].Primary || list[1].output != 202 {
		t.Errorf("got %+v", list[1])
	}
	full := monitorReply(left, right)
	for n := 32; n < len(full); n++ {
		if _, err := parseMonitors(full[:n]); err == nil {
			t.Fatalf("a list cut after %d bytes of %d is accepted", n, len(full))
		}
	}
	many := make([]image.Rectangle, maxMonitors+1)
	for i := range many {
		many[i] = left
	}
	if _, err := parseMonitors(monitorReply(many...)); err == nil {
		t.Error("a list without end is accepted")
	}
}

func TestNamesOfMonitors(t *testing.T) {
	for in, want := range map[string]string{
		"DP-1": "DP-1", "eDP-1.2": "eDP-1.2", "left half": "left-half", "a/b@c:d": "a-b-c-d", "": "unnamed", "é": "-",
	} {
		if got := plainName(in); got != want {
			t.Errorf("%q: got %q; want %q", in, got, want)
		}
	}
}

func TestScaleOfResources(t *testing.T) {
	for in, want := range map[string]float64{
		"": 1, "Xft.dpi:\t192\n": 2, "*foo: 1\nXft.dpi: 144": 1.5, "Xft.dpi: much\n": 1, "Xft.dpi: 1000000\n": 1,
		"XXft.dpi: 192\n": 1,
	} {
		if got := parseScale(in); got != want {
			t.Errorf("%q: got %v; want %v", in, got, want)
		}
	}
}
