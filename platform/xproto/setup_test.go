package xproto

import (
	"testing"

	"wavryhost/platform/xproto/xprototest"
)

func TestParseSetup(t *testing.T) {
	b := xprototest.Greeting(xprototest.Usual)
	s, err := parseSetup(b)
	if err != nil {
		t.Fatal(err)
	}
	if s.Vendor != "Us!" || s.Release != 7 || s.idBase != 0x200000 || s.idMask != 0x1fffff || len(s.Screens) != 1 {
		t.Fatalf("got %+v", s)
	}
	if s.Screens[0] != Screen(xprototest.Usual) {
		t.Errorf("got %+v; want %+v", s.Screens[0], xprototest.Usual)
	}
	for n := range b {
		if _, err := parseSetup(b[:n]); err == nil {
			t.Errorf("%d bytes of %d are enough", n, len(b))
		}
	}
}

func FuzzParseSetup(f *testing.F) {
	f.Add(xprototest.Greeting(xprototest.Usual))
	f.Add(xprototest.Greeting(xprototest.Usual, xprototest.Usual)[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSetup(b)
		if err != nil {
			return
		}
		if n := len(s.Vendor) + 8*len(s.Formats) + 40*len(s.Screens); n > len(b) {
			t.Errorf("got %d bytes of setup from %d", n, len(b))
		}
	})
}
