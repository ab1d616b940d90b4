//go:build integration

package endtoend

import (
	"image"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
	"github.com/pion/webrtc/v4"
)

// square is a window that is black or white.
type square struct {
	c      *xgb.Conn
	window xproto.Window
	white  bool
}

const squareSide = 48

func (x *xserver) square(tb testing.TB) *square {
	tb.Helper()
	c, err := xgb.NewConnDisplay(x.name())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	screen := xproto.Setup(c).DefaultScreen(c)
	s := &square{c: c}
	if s.window, err = xproto.NewWindowId(c); err != nil {
		tb.Fatal(err)
	}
	xproto.CreateWindow(c, screen.RootDepth, s.window, screen.Root, 0, 0, squareSide, squareSide, 0,
		xproto.WindowClassInputOutput, screen.RootVisual,
		xproto.CwBackPixel|xproto.CwOverrideRedirect, []uint32{screen.BlackPixel, 1})
	if err := xproto.MapWindowChecked(c, s.window).Check(); err != nil {
		tb.Fatal(err)
	}
	return s
}

// flip changes the square's color, and returns the time at which the server had done so.
func (s *square) flip(tb testing.TB) time.Time {
	tb.Helper()
	screen := xproto.Setup(s.c).DefaultScreen(s.c)
	s.white = !s.white
	pixel := screen.BlackPixel
	if s.white {
		pixel = screen.WhitePixel
	}
	xproto.ChangeWindowAttributes(s.c, s.window, xproto.CwBackPixel, []uint32{pixel})
	if err := xproto.ClearAreaChecked(s.c, false, s.window, 0, 0, 0, 0).Check(); err != nil {
		tb.Fatal(err)
	}
	return time.Now()
}

// A change during the refinement of a still page reaches a viewer about as soon as a change of a sharp page: it waits
// at most for the picture that the encoder is working on.
func TestChangeDuringRefinementReachesAViewer(t *testing.T) {
	const changes, apart = 10, 170 * time.Millisecond
	size := image.Pt(1280, 720)
	x := startX(t, 0, size.X, size.Y)
	page := x.page(t)
	s := x.square(t)
	// At 500 kbit/s the page takes some seconds to become sharp, and a changed square takes a few pictures.
	h := startHost(t, hostOptions{
		args: []string{"--display", x.id(), "displays.cursor=false", "displays.bitrate.fixed=500k"},
	})
	p, a := watchPage(t, h, webrtc.MimeTypeH264, loopback(t))
	eventually(t, patience, "the page is being refined", func() error {
		if h.metric(t, `wavry_host_still_pictures_total{kind="refine"}`) < 5 {
			return errNotYet
		}
		return nil
	})
	flips := func() (at []time.Time) {
		for range changes {
			time.Sleep(apart)
			at = append(at, s.flip(t))
		}
		return at
	}
	during := flips()
	refined := h.metric(t, `wavry_host_still_pictures_total{kind="refine"}`)
	h.waitMetric(t, `wavry_host_still_pictures_total{kind="keep_alive"}`, 2)
	sharp := flips()
	time.Sleep(apart)
	refinedLater := h.metric(t, `wavry_host_still_pictures_total{kind="refine"}`)
	a.leave(t, h)
	h.stop(t)

	var white []bool
	var db []float64
	at := p.decode(t, size, func(luma []byte) {
		sum, errors := 0, 0
		for y := range size.Y {
			for x := range size.X {
				i := y*size.X + x
				if x < squareSide && y < squareSide {
					sum += int(luma[i])
				} else {
					d := int(luma[i]) - int(page[i])
					errors += d * d
				}
			}
		}
		white = append(white, sum > 128*squareSide*squareSide)
		db = append(db, 10*math.Log10(255*255*float64(len(page))/float64(max(errors, 1))))
	})
	delays := func(changed []time.Time, first bool) (all []time.Duration, least float64) {
		least = math.Inf(1)
		for i, c := range changed {
			since := c.Sub(p.begun)
			want := first == (i%2 == 0)
			for j := range at {
				if at[j] >= since && white[j] == want {
					all = append(all, at[j]-since)
					least = min(least, db[j])
					break
				}
			}
		}
		slices.Sort(all)
		return all, least
	}
	whiteFirst := true
	before, coarse := delays(during, whiteFirst)
	after, fine := delays(sharp, whiteFirst)
	if len(before) < changes || len(after) < changes {
		t.Fatalf("%d and %d of %d changes arrived", len(before), len(after), changes)
	}
	t.Logf("half of the changes arrive within %v (%v to %v) during the refinement, %v (%v to %v) after it; %v "+
		"pictures refined, then %v",
		before[changes/2], before[0], before[changes-1], after[changes/2], after[0], after[changes-1], refined,
		refinedLater-refined)
	if coarse > 40 || fine < 40 {
		t.Errorf("the page has %.1f dB during the changes that are to be in its refinement, %.1f during the others",
			coarse, fine)
	}
	if more := before[changes/2] - after[changes/2]; more > 17*time.Millisecond {
		t.Errorf("a change is later by %v during the refinement; want a picture at most", more)
	}
}
