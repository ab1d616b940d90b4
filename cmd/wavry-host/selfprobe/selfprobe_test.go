package selfprobe

import (
	"context"
	"errors"
	"image"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"

	"wavryhost/capture"
)

// desktop draws windows on a background, with a little noise.
func desktop(width, height int, noise float64) *Grid {
	random := rand.New(rand.NewPCG(1, 2))
	window := image.Rect(width/8, height/8, width/2, 3*height/4)
	return gridOf(width, height, func(x, y int) float64 {
		bright := 60.0
		if image.Pt(x, y).In(window) {
			bright = 230
		}
		return min(255, max(0, bright+noise*(random.Float64()-.5)))
	})
}

func TestSimilarity(t *testing.T) {
	shown := desktop(1280, 720, 0)
	gray := gridOf(640, 480, func(int, int) float64 { return 128 })
	for name, c := range map[string]struct {
		a, b        *Grid
		least, most float64
	}{
		"equal":                 {shown, shown, 1, 1},
		"another size":          {shown, desktop(640, 360, 0), .98, 1},
		"noise of an encoder":   {shown, desktop(1280, 720, 40), .98, 1},
		"black":                 {shown, new(Grid), -1, .1},
		"gray":                  {shown, gray, -1, .1},
		"a window that is gone": {shown, gridOf(1280, 720, func(int, int) float64 { return 60 }), -1, .1},
		"one color":             {gray, gray, 1, 1},
		"black and black":       {new(Grid), new(Grid), 1, 1},
	} {
		if s := c.a.Similarity(c.b); s < c.least-1e-9 || s > c.most+1e-9 {
			t.Errorf("%s: similarity %.3f; want %v to %v", name, s, c.least, c.most)
		}
	}
}

func TestLumaIsOfTheRangeOfVideo(t *testing.T) {
	plane := []byte{16, 235, 0, 16, 235, 0}
	if g := Luma(plane, 3, 2, 2); g[0] != 0 || g[columns-1] != 255 {
		t.Errorf("black is %v, white %v; want 0 and 255", g[0], g[columns-1])
	}
}

// still is a source whose screen never changes.
type still struct {
	capture.Source
	again chan struct{}
	fault error
}

func (s *still) Next(ctx context.Context) (*capture.Frame, error) {
	select {
	case <-s.again:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f := capture.NewFrame(nil)
	f.Width, f.Height, f.Stride = 64, 36, 4*64
	f.Pix = make([]byte, f.Stride*f.Height)
	for i := range f.Pix {
		f.Pix[i] = byte(i / 64)
	}
	return f, s.fault
}

func (s *still) Refresh()     { s.again <- struct{}{} }
func (s *still) Close() error { return nil }

// A tap sees the picture of a still screen, and looks at nothing outside a probe.
func TestTap(t *testing.T) {
	source, tap := &still{again: make(chan struct{}, 8)}, new(Tap)
	open := tap.Opener("a", func(context.Context, capture.Demand) (capture.Source, error) { return source, nil })
	s, err := open(t.Context(), capture.Demand{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() {
		t.Helper()
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
	}
	g, err := captured(func() *capture.Frame { source.again <- struct{}{}; f, _ := source.Next(t.Context()); return f }())
	if err != nil {
		t.Fatal(err)
	}
	source.Refresh()
	next()
	if _, ok := tap.Best(g); ok {
		t.Error("a frame outside a probe is kept")
	}
	tap.Begin("b")
	source.Refresh()
	next()
	if _, ok := tap.Best(g); ok {
		t.Error("a frame of another display is kept")
	}
	tap.Begin("a") // it refreshes the source
	next()
	if best, ok := tap.Best(g); !ok || best < 1-1e-9 {
		t.Errorf("similarity %v, %v; want 1", best, ok)
	}
	for range 2 * kept {
		source.Refresh()
		next()
	}
	if n := len(tap.grids); n != kept {
		t.Errorf("%d pictures are kept; want %d", n, kept)
	}
	tap.End()
	if _, ok := tap.Best(g); ok {
		t.Error("pictures are kept after the probe")
	}
	if err := s.Close(); err != nil || len(tap.sources) != 0 {
		t.Errorf("%v, %d sources are left", err, len(tap.sources))
	}
	refused := errors.New("refused")
	failing := tap.Opener("a", func(context.Context, capture.Demand) (capture.Source, error) { return nil, refused })
	if _, err := failing(t.Context(), capture.Demand{}); !errors.Is(err, refused) || len(tap.sources) != 0 {
		t.Errorf("got %v, %d sources", err, len(tap.sources))
	}
}

func TestUnits(t *testing.T) {
	u, err := newUnits("h264")
	if err != nil {
		t.Fatal(err)
	}
	packet := func(number uint16, marker bool, payload ...byte) *rtp.Packet {
		return &rtp.Packet{Header: rtp.Header{SequenceNumber: number, Marker: marker}, Payload: payload}
	}
	for i, c := range []struct {
		packet *rtp.Packet
		unit   bool
		lost   bool
	}{
		{packet(65534, false, 0x7c, 0x85, 1, 2), false, false}, // FU-A, the first part
		{packet(65535, true, 0x7c, 0x45, 3, 4), true, false},   // and the last one
		{packet(0, false), false, false},                       // padding
		{packet(1, true, 0x41, 5), true, false},
		{packet(3, false, 0x7c, 0x81, 6), false, true}, // 2 is lost
		{packet(4, true, 0x7c, 0x41, 7), false, false},
		{packet(5, true, 0x65, 8), true, false},
	} {
		unit, lost := u.add(c.packet)
		if (unit != nil) != c.unit || lost != c.lost {
			t.Errorf("packet %d: unit %v, lost %v; want %v, %v", i, unit, lost, c.unit, c.lost)
		}
	}
	if _, err := newUnits("H261"); err == nil {
		t.Error("packets of H.261 are accepted")
	}
}

// A probe of a host that does not answer, or refuses, says so.
func TestWatchWithoutAHost(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c := Config{
		Page: "http://127.0.0.1:1/", Display: "x", Compare: new(Tap).Best,
		Guard: func(f func()) error { f(); return nil },
	}
	if _, err := Watch(ctx, c); err == nil || ctx.Err() != nil {
		t.Errorf("got %v; want the error of the connection", err)
	}
}
