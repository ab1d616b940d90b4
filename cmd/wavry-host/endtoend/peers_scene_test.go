//go:build integration

package endtoend

import (
	"context"
	"image"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/shm"
	"github.com/jezek/xgb/xproto"
	"golang.org/x/sys/unix"

	"wavryhost/capture/synthetic"
	"wavryhost/encode/encodetest/scene"
)

// sceneLength is after how many frames a scene runs backward, and again forward: what is slow to draw is drawn once.
const sceneLength = 300

// frameOf is the frame of a scene that its n-th picture shows.
func frameOf(s scene.Scene, n int) int {
	if s.Name != "film" {
		return n
	}
	n %= 2 * sceneLength
	return min(n, 2*sceneLength-1-n)
}

// stage is a scene on an X server, with the strip of capture/synthetic at its top: the number of the picture from 1 on,
// and when it was drawn.
type stage struct {
	scene         scene.Scene
	width, height int
	// covered is set when windows of a product have covered the screen: its next picture is shown as a whole.
	covered atomic.Bool
}

// rehearse draws the frames that are slow to draw.
func (s *stage) rehearse() {
	if s.scene.Name != "film" {
		return
	}
	pix := make([]byte, 4*s.width*s.height)
	for n := range sceneLength {
		s.scene.Frame(pix, s.width, s.height, n, time.Time{}).Release()
	}
}

// play shows the scene from its first picture on, at 60 pictures a second, until the returned function is called. A
// picture that does not change the screen leaves the strip as it is.
func (s *stage) play(t testing.TB, x *xserver) (stop func()) {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	if err := shm.Init(c); err != nil {
		t.Fatal(err)
	}
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4*s.width*s.height, unix.IPC_CREAT|0o600)
	if err != nil {
		t.Fatal(err)
	}
	pix, err := unix.SysvShmAttach(id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	segment, err := shm.NewSegId(c)
	if err != nil {
		t.Fatal(err)
	}
	err = shm.AttachChecked(c, segment, uint32(id), true).Check()
	_, removed := unix.SysvShmCtl(id, unix.IPC_RMID, nil) // it goes with its last user
	if err != nil || removed != nil {
		t.Fatalf("share memory with the X server: %v, %v", err, removed)
	}
	screen := xproto.Setup(c).DefaultScreen(c)
	gc, err := xproto.NewGcontextId(c)
	if err != nil {
		t.Fatal(err)
	}
	xproto.CreateGC(c, gc, xproto.Drawable(screen.Root), 0, nil)
	hidePointer(c, screen)
	strip := image.Rect(0, 0, s.width, s.height*synthetic.CodeRows/synthetic.CodeGrid)
	// show returns when the server has read the pixels.
	show := func(rects []image.Rectangle) error {
		var last shm.PutImageCookie
		for _, r := range rects {
			last = shm.PutImageChecked(c, xproto.Drawable(screen.Root), gc, uint16(s.width), uint16(s.height),
				uint16(r.Min.X), uint16(r.Min.Y), uint16(r.Dx()), uint16(r.Dy()), int16(r.Min.X), int16(r.Min.Y),
				screen.RootDepth, xproto.ImageFormatZPixmap, 0, segment, 0)
		}
		return last.Check()
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			tick := time.NewTicker(time.Second / 60)
			defer tick.Stop()
			begun, next := time.Now(), 0
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
				var damage []image.Rectangle
				for now := time.Since(begun); time.Duration(next)*time.Second/60 <= now; next++ {
					f := s.scene.Frame(pix, s.width, s.height, frameOf(s.scene, next), begun)
					damage = append(damage, f.Damage...)
					f.Release()
				}
				if s.covered.Swap(false) {
					damage = []image.Rectangle{image.Rect(0, 0, s.width, s.height)}
				}
				if len(damage) == 0 {
					continue
				}
				synthetic.Code{Frame: uint64(next), Time: time.Now()}.Draw(pix, 4*s.width, s.width, s.height)
				if err := show(append(damage, strip)); err != nil {
					return err
				}
			}
		}()
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("play %s: %v", s.scene.Name, err)
		}
		c.Close()
		_ = unix.SysvShmDetach(pix)
	})
}

// hidePointer gives the screen a pointer of which nothing is seen.
func hidePointer(c *xgb.Conn, screen *xproto.ScreenInfo) {
	pixmap, err := xproto.NewPixmapId(c)
	if err != nil {
		return
	}
	cursor, err := xproto.NewCursorId(c)
	if err != nil {
		return
	}
	xproto.CreatePixmap(c, 1, pixmap, xproto.Drawable(screen.Root), 1, 1)
	xproto.CreateCursor(c, cursor, pixmap, pixmap, 0, 0, 0, 0, 0, 0, 0, 0)
	xproto.ChangeWindowAttributes(c, screen.Root, xproto.CwCursor, []uint32{uint32(cursor)})
}

// picture is the luma of a picture as a viewer decoded it.
type picture struct {
	width, height int
	luma          []byte
}

// scaled returns the picture in another size, as a viewer shows a smaller one on the whole screen.
func (p picture) scaled(width, height int) picture {
	if p.width == width && p.height == height {
		return p
	}
	to := picture{width, height, make([]byte, width*height)}
	// place returns the samples on both sides of a place, and how far it is from the first.
	place := func(i, of, from int) (a, b int, share float64) {
		at := max(0, min(float64(from-1), (float64(i)+0.5)*float64(from)/float64(of)-0.5))
		return int(at), min(from-1, int(at)+1), at - math.Floor(at)
	}
	for y := range height {
		y0, y1, down := place(y, height, p.height)
		for x := range width {
			x0, x1, right := place(x, width, p.width)
			row := func(y int) float64 {
				return float64(p.luma[y*p.width+x0])*(1-right) + float64(p.luma[y*p.width+x1])*right
			}
			to.luma[y*width+x] = byte(row(y0)*(1-down) + row(y1)*down + 0.5)
		}
	}
	return to
}

// matrices are how products make luma of red, green and blue: the shares of red and blue, the scale and the offset.
var matrices = []struct{ red, blue, scale, offset float64 }{
	{0.299, 0.114, 219.0 / 255, 16}, {0.2126, 0.0722, 219.0 / 255, 16}, {0.299, 0.114, 1, 0}, {0.2126, 0.0722, 1, 0},
}

// score returns how similar the pictures are to the scene, on average, and how many were compared. A picture whose
// strip cannot be read is left out. psnr is the PSNR of the mean error. The strip is not scored, and smaller pictures
// are scaled. Products make luma by different matrices, which no decoder states; each picture is compared by the matrix
// that fits it best.
func (s *stage) score(pictures []picture) (ssim, psnr float64, scored int) {
	at := map[int][]picture{}
	last := -1
	for _, p := range pictures {
		code, err := synthetic.DecodeLuma(p.luma, p.width, p.width, p.height)
		if err != nil {
			continue
		}
		n := int(code.Frame) - 1
		at[n] = append(at[n], p.scaled(s.width, s.height))
		last = max(last, n)
	}
	pix := make([]byte, 4*s.width*s.height)
	want := make([]byte, s.width*s.height)
	top := s.height*synthetic.CodeRows/synthetic.CodeGrid + 1
	square := 0.0
	for n := range last + 1 {
		s.scene.Frame(pix, s.width, s.height, frameOf(s.scene, n), time.Time{}).Release()
		for _, p := range at[n] {
			best, db := 0.0, 0.0
			for _, m := range matrices {
				lumaOf(want, pix, m.red, m.blue, m.scale, m.offset)
				got, expected := p.luma[top*s.width:], want[top*s.width:]
				if d := scene.PSNR(got, expected, s.width, s.height-top, s.width, s.width); d > db {
					best, db = scene.SSIM(got, expected, s.width, s.height-top, s.width, s.width), d
				}
			}
			ssim += best
			square += errorOf(db)
			scored++
		}
	}
	if scored == 0 {
		return 0, 0, 0
	}
	return ssim / float64(scored), ratioOf(square / float64(scored)), scored
}

// lumaOf makes the luma of a picture in the order B, G, R, X.
func lumaOf(to, pix []byte, red, blue, scale, offset float64) {
	r, g, b := int(red*scale*65536), int((1-red-blue)*scale*65536), int(blue*scale*65536)
	base := int(offset*65536) + 32768
	for i := range to {
		p := pix[4*i:][:3]
		to[i] = byte((b*int(p[0]) + g*int(p[1]) + r*int(p[2]) + base) >> 16)
	}
}
