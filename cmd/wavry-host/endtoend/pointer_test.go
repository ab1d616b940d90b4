//go:build integration

package endtoend

import (
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/jezek/xgb/xproto"
	"github.com/jezek/xgb/xtest"
)

// mover returns a function that moves the pointer of an X server as a mouse does.
func (x *xserver) mover(t testing.TB) func(px, py int) {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := xtest.Init(c); err != nil {
		t.Fatal(err)
	}
	root := xproto.Setup(c).DefaultScreen(c).Root
	return func(px, py int) {
		xtest.FakeInput(c, xproto.MotionNotify, 0, 0, root, int16(px), int16(py), 0)
	}
}

// shownPointer is the pointer that the page draws.
type shownPointer struct {
	Shape, Width, Height int
	X, Y                 int
	Hidden               bool    // the canvas
	Drawn                int     // the shape in the canvas
	At                   float64 // when the position came, in milliseconds since 1970
}

func (b *browser) pointer() (p shownPointer, err error) {
	err = b.eval(`(() => {
		const p = window.wavry.pointer, s = p.state || {};
		return {Shape: s.shape || 0, X: s.x, Y: s.y, Width: s.width || 0, Height: s.height || 0, At: s.at,
			Hidden: p.canvas.hidden, Drawn: p.drawn};
	})()`, &p)
	return p, err
}

// waitPointer waits until the page draws the pointer at a pixel of the display.
func (b *browser) waitPointer(t testing.TB, px, py int) (shown shownPointer) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("the page draws the pointer at %d,%d", px, py), func() (err error) {
		shown, err = b.pointer()
		if err == nil && (shown.X != px || shown.Y != py || shown.Hidden || shown.Drawn != shown.Shape) {
			err = fmt.Errorf("it has %+v", shown)
		}
		return err
	})
	return shown
}

// waitStill waits until nothing was captured, and no still picture was made sharper, for a second.
func waitStill(t testing.TB, h *host) {
	t.Helper()
	last, since := -1.0, time.Now()
	eventually(t, 2*patience, "the picture is sharp and still", func() error {
		now := h.metric(t, `wavry_host_frames_total{stage="captured"`) +
			h.metric(t, `wavry_host_still_pictures_total{kind="refine"`)
		if now != last {
			last, since = now, time.Now()
		}
		if d := time.Since(since); d < time.Second {
			return fmt.Errorf("still for %v", d)
		}
		return nil
	})
}

// The page draws the pointer itself: moving it over a still desktop encodes nothing. A viewer of plain WHEP on the same
// display sees it in the picture.
func TestPointerApartFromThePicture(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.background(t, "#204060")
	x.program(t, "xsetroot", "-cursor_name", "left_ptr")
	move := x.mover(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 1, patience)
	move(640, 360)
	first := b.waitPointer(t, 640, 360)
	if first.Width != 1280 || first.Height != 720 {
		t.Errorf("the page has a display of %dx%d", first.Width, first.Height)
	}
	if got := h.session(t).Pointer; got != "channel" {
		t.Errorf("the API shows the pointer in %q", got)
	}
	waitStill(t, h)
	if screenshots != "" {
		b.screenshot(t, filepath.Join(screenshots, "pointer.png"))
	}
	captured := h.metric(t, `wavry_host_frames_total{stage="captured"`)
	var took []time.Duration
	for n := range 40 {
		px, py := 100+25*n, 50+15*n
		began := time.Now()
		move(px, py)
		shown := b.waitPointer(t, px, py)
		took = append(took, time.Duration(shown.At*1e6-float64(began.UnixNano())))
	}
	slices.Sort(took)
	t.Logf("from the move to the page: median %v, 95 of 100 within %v", took[len(took)/2], took[len(took)*95/100])
	if median := took[len(took)/2]; median > 20*time.Millisecond {
		t.Errorf("half of the moves took over %v to the page; want 20 ms at most", median)
	}
	if now := h.metric(t, `wavry_host_frames_total{stage="captured"`); now != captured {
		t.Errorf("moving the pointer captured %v frames; want none", now-captured)
	}

	plain, _ := join(t, h)
	plain.waitMedia(t)
	sent := func() (page, whep uint64) {
		list, err := h.sessions()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if s.Pointer == "channel" {
				page = s.FramesSent
			} else {
				whep = s.FramesSent
			}
		}
		return page, whep
	}
	waitStill(t, h)
	page, whep := sent()
	began := time.Now()
	for n := range 30 {
		move(200+20*n, 600)
		b.waitPointer(t, 200+20*n, 600)
	}
	eventually(t, patience, "the plain viewer gets the pointer", func() error {
		if _, now := sent(); now < whep+10 {
			return fmt.Errorf("it got %d pictures", now-whep)
		}
		return nil
	})
	// Each second a still picture keeps the path alive.
	if now, _ := sent(); float64(now-page) > 2+2*time.Since(began).Seconds() {
		t.Errorf("the page got %d pictures in %v; want none for the pointer", now-page, time.Since(began))
	}
}

// BenchmarkPointer measures the time from a move of the pointer on an X server to the page.
func BenchmarkPointer(b *testing.B) {
	x := startX(b, 0, 1280, 720)
	x.background(b, "#204060")
	x.program(b, "xsetroot", "-cursor_name", "left_ptr")
	move := x.mover(b)
	h := startHost(b, hostOptions{args: []string{"--display", x.id()}})
	page := openBrowser(b, "", h.page(""))
	page.waitFrames(b, 1, patience)
	move(100, 100)
	page.waitPointer(b, 100, 100)
	waitStill(b, h)
	var took []time.Duration
	for b.Loop() {
		for n := range 100 {
			px, py := 100+7*n, 100+5*n
			began := time.Now()
			move(px, py)
			shown := page.waitPointer(b, px, py)
			took = append(took, time.Duration(shown.At*1e6-float64(began.UnixNano())))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1e3, "p95-ms")
}

// While the user controls the display, the pointer is drawn where the user's own is, without waiting for the host. A
// pointer that a program hides is gone.
func TestPointerWhileControlling(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.background(t, "#204060")
	x.program(t, "xsetroot", "-cursor_name", "left_ptr")
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	b := openBrowser(t, "", h.page(""))
	b.waitControl(t, "click the picture to control")
	b.control(t, x, [2]int{300, 300})
	px, py := b.spot(t, 500, 400)
	b.mouse(t, chromedp.MouseMoved, px, py, 0)
	x.waitPointer(t, 500, 400)
	shownX, shownY, _ := x.pointer(t) // the page's scale may move it by a pixel
	b.waitPointer(t, shownX, shownY)
	eventually(t, patience, "the pointer is drawn at the mouse", func() error {
		var tip struct{ X, Y float64 }
		if err := b.eval(`(() => {
			const p = window.wavry.pointer, r = p.canvas.getBoundingClientRect();
			return {X: r.left + (p.hot.x + .5) * r.width / p.canvas.width,
				Y: r.top + (p.hot.y + .5) * r.height / p.canvas.height};
		})()`, &tip); err != nil {
			return err
		}
		if d := max(tip.X-px, px-tip.X, tip.Y-py, py-tip.Y); d > 1.5 {
			return fmt.Errorf("it points to %v, and the mouse is at %v,%v", tip, px, py)
		}
		return nil
	})
	x.hidePointer(t)
	eventually(t, patience, "the pointer is gone", func() error {
		if p, err := b.pointer(); err != nil || !p.Hidden {
			return fmt.Errorf("the page has %+v, %w", p, err)
		}
		return nil
	})
}

// hidePointer gives the root window an empty cursor.
func (x *xserver) hidePointer(t testing.TB) {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	screen := xproto.Setup(c).DefaultScreen(c)
	mask, err := xproto.NewPixmapId(c)
	if err != nil {
		t.Fatal(err)
	}
	gc, err := xproto.NewGcontextId(c)
	if err != nil {
		t.Fatal(err)
	}
	cursor, err := xproto.NewCursorId(c)
	if err != nil {
		t.Fatal(err)
	}
	size := image.Pt(8, 8)
	xproto.CreatePixmap(c, 1, mask, xproto.Drawable(screen.Root), uint16(size.X), uint16(size.Y))
	xproto.CreateGC(c, gc, xproto.Drawable(mask), xproto.GcForeground, []uint32{0})
	xproto.PolyFillRectangle(c, xproto.Drawable(mask), gc,
		[]xproto.Rectangle{{Width: uint16(size.X), Height: uint16(size.Y)}})
	xproto.CreateCursor(c, cursor, mask, mask, 0, 0, 0, 0, 0, 0, 0, 0)
	if err := xproto.ChangeWindowAttributesChecked(
		c, screen.Root, xproto.CwCursor, []uint32{uint32(cursor)},
	).Check(); err != nil {
		t.Fatal(err)
	}
}
