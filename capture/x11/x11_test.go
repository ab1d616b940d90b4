package x11

import (
	"context"
	"errors"
	"image"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
	"wavryhost/platform/xproto/xprototest"
)

// setupOf returns the greeting of a server with one screen.
func setupOf(depth, bitsPerPixel byte, red, green, blue uint32, lsbFirst bool) xproto.Setup {
	return xproto.Setup{
		LSBFirst: lsbFirst,
		Formats: []xproto.Format{
			{Depth: 1, BitsPerPixel: 1, ScanlinePad: 32},
			{Depth: depth, BitsPerPixel: bitsPerPixel, ScanlinePad: 32},
		},
		Screens: []xproto.Screen{{Root: 99, Width: 640, Height: 480, Depth: depth, Red: red, Green: green, Blue: blue}},
	}
}

func TestFormatsThatAreUnderstood(t *testing.T) {
	for name, tt := range map[string]struct {
		setup xproto.Setup
		want  string // in the error; empty for none
	}{
		"depth 24":       {setupOf(24, 32, 0xff0000, 0xff00, 0xff, true), ""},
		"depth 32":       {setupOf(32, 32, 0xff0000, 0xff00, 0xff, true), ""},
		"depth 30":       {setupOf(30, 32, 0x3ff00000, 0xffc00, 0x3ff, true), ""},
		"depth 16":       {setupOf(16, 16, 0xf800, 0x7e0, 0x1f, true), ""},
		"depth 15":       {setupOf(15, 16, 0x7c00, 0x3e0, 0x1f, true), ""},
		"red and blue":   {setupOf(24, 32, 0xff, 0xff00, 0xff0000, true), ""},
		"packed pixels":  {setupOf(24, 24, 0xff0000, 0xff00, 0xff, true), "24 bits a pixel"},
		"a palette":      {setupOf(8, 8, 0, 0, 0, true), "depth 8"},
		"wide palette":   {setupOf(16, 16, 0, 0, 0, true), "depth 16"},
		"overlap":        {setupOf(24, 32, 0xff0000, 0x1ff00, 0xff, true), "0x1ff00"},
		"holes":          {setupOf(24, 32, 0xf0f000, 0xf00, 0xff, true), "0xf0f000"},
		"beyond a pixel": {setupOf(16, 16, 0xff0000, 0xff00, 0xff, true), "16 bits a pixel"},
		"big-endian":     {setupOf(24, 32, 0xff0000, 0xff00, 0xff, false), "big-endian"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pixelsOf(tt.setup, tt.setup.Screens[0])
			if tt.want == "" && err != nil {
				t.Errorf("got %v", err)
			}
			if tt.want != "" && (!errors.Is(err, capture.ErrUnsupported) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v; want ErrUnsupported that says %q", err, tt.want)
			}
		})
	}
}

func FuzzParseReplies(f *testing.F) {
	f.Add(append(make([]byte, 32), 3, 'a', 'b', 'c', 200))
	f.Add(append(make([]byte, 32), 1, 0, 2, 0, 3, 0, 4, 0))
	f.Add(cursorReply(3, 4, 1, 2, 0x80402010))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 32 {
			return // the connection never hands less over
		}
		bounds := image.Rect(0, 0, 50, 40)
		for _, r := range parseRegion(nil, b, bounds, image.Point{}) {
			if r.Empty() || !r.In(bounds) {
				t.Errorf("got damage %v", r)
			}
		}
		var p cursor
		p.shape(b)
		p.place(image.Pt(20, 20), true, time.Now())
		p.draw(make([]byte, 50*40*4), 200, bounds)
	})
}

// Whatever a server answers, a probe ends.
func FuzzDescribe(f *testing.F) {
	le16 := func(b []byte, at int, v uint16) []byte { le.PutUint16(b[at:], v); return b }
	answer := func(seq uint16, words uint32) []byte {
		b := make([]byte, 32+4*words)
		b[0], b[8], b[9] = 1, 1, 140 // the extension is present
		le.PutUint32(b[4:], words)
		return le16(b, 2, seq)
	}
	var all []byte
	for seq := range uint16(20) {
		all = append(all, le16(answer(seq+1, uint32(seq%3)), 18, 1)...)
	}
	f.Add(all)
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, b []byte) {
		ctx := context.Background()
		b = append(xprototest.Greeting(xprototest.Usual), b...)
		c, err := xproto.Handshake(ctx, xprototest.Script(b), "", 0)
		if err != nil {
			return
		}
		_, _ = describe(ctx, c, c.Screen)
		_, _ = hasOutput(ctx, c, c.Screen.Root, xproto.RandR{Extension: xproto.Extension{Major: 140}}, "XWAYLAND")
		_, _ = hasPicture(ctx, c, c.Screen)
	})
}

// A reply that is shorter than the protocol says has no name.
func TestOutputWithoutName(t *testing.T) {
	resources := make([]byte, 36)
	resources[0], resources[2], resources[4], resources[18] = 1, 1, 1, 1
	info := make([]byte, 32)
	info[0], info[2] = 1, 2
	sent := slices.Concat(xprototest.Greeting(xprototest.Usual), resources, info)
	c, err := xproto.Handshake(t.Context(), xprototest.Script(sent), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	randr := xproto.RandR{Extension: xproto.Extension{Major: 140}}
	if got, err := hasOutput(t.Context(), c, 1, randr, "XWAYLAND"); got || err != nil {
		t.Errorf("got %v, %v; want no such output", got, err)
	}
}

func TestParseRegion(t *testing.T) {
	region := func(n int) []byte {
		b := make([]byte, 32)
		copy(b[8:], []byte{5, 0, 6, 0, 200, 0, 3, 0})
		for range n {
			b = append(b, 0xfe, 0xff, 1, 0, 10, 0, 2, 0) // at -2,1
		}
		return b
	}
	bounds := image.Rect(0, 0, 100, 50)
	if got, want := parseRegion(
		nil, region(2), bounds, image.Point{},
	), []image.Rectangle{
		image.Rect(0, 1, 8, 3), image.Rect(0, 1, 8, 3),
	}; !slices.Equal(
		got, want,
	) {
		t.Errorf("got %v; want %v", got, want)
	}
	if got, want := parseRegion(
		nil, region(17), bounds, image.Point{},
	), []image.Rectangle{
		image.Rect(5, 6, 100, 9),
	}; !slices.Equal(
		got, want,
	) {
		t.Errorf("got %v; want the extents %v", got, want)
	}
	// A monitor whose corner is at 3,2 sees the changes inside it from there.
	if got, want := parseRegion(
		nil, region(2), image.Rect(3, 2, 50, 50), image.Pt(3, 2),
	), []image.Rectangle{image.Rect(0, 0, 5, 1), image.Rect(0, 0, 5, 1)}; !slices.Equal(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, d := range []time.Duration{-1, time.Microsecond, time.Minute} {
		if _, err := New(
			context.Background(), Config{PointerInterval: d}, nil,
		); err == nil ||
			!strings.Contains(err.Error(), d.String()) {
			t.Errorf("pointer interval %v: got %v; want an error that names it", d, err)
		}
	}
	c, err := Config{}.withDefaults()
	if err != nil || c.Display != ":0" || c.PointerInterval != 16*time.Millisecond {
		t.Errorf("got %+v, %v", c, err)
	}
}
