package synthetic

import (
	"context"
	"errors"
	"image"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

func open(t testing.TB, cfg Config) *Source {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	for _, motion := range Motions() {
		t.Run(string(motion), func(t *testing.T) {
			capturetest.Run(t, func(_ context.Context, d capture.Demand) (capture.Source, error) {
				return New(Config{Width: 320, Height: 180, Motion: motion, Demand: d})
			}, capturetest.Options{})
		})
	}
}

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Width: 320, Height: 180, FPS: 50})
		began := time.Now()
		for i := range 100 {
			f, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			code, err := Decode(f.Pix, f.Stride, f.Width, f.Height)
			if err != nil {
				t.Fatal(err)
			}
			if code.Frame != uint64(i+1) || code.Time.UnixMilli() != f.Time.UnixMilli() || f.Seq != uint64(i+1) {
				t.Fatalf("frame %d is coded %+v at %v; want frame %d", f.Seq, code, f.Time, i+1)
			}
			f.Release()
		}
		if took := time.Since(began); took != 99*20*time.Millisecond {
			t.Errorf("100 frames at 50 fps took %v; want 1.98s", took)
		}
	})
}

func TestStillBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Width: 320, Height: 180, Motion: Still})
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a still source's second frame: %v; want it to wait", err)
		}
	})
}

// What the damage does not name is the same as in the frame before, and every picture is what its number says,
// whichever of the three slots it is drawn in and whatever that showed before.
func TestDamageIsWhole(t *testing.T) {
	for _, motion := range []Motion{Card, Scroll, Full} {
		t.Run(string(motion), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, Config{Width: 400, Height: 240, FPS: 7, Motion: motion})
				seen := newCanvas(400, 240)
				var held []*capture.Frame
				for n := range 60 {
					f, err := s.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					now := canvas{pix: f.Pix, stride: f.Stride, width: f.Width, height: f.Height}
					for _, r := range f.Damage {
						if !r.In(f.Bounds()) || r.Empty() {
							t.Errorf("frame %d: damage %v is not in the picture", f.Seq, r)
						}
						seen.restore(&now, r)
					}
					if string(seen.pix) != string(f.Pix) {
						t.Fatalf("frame %d differs outside its damage %v", f.Seq, f.Damage)
					}
					fresh := newCanvas(400, 240)
					copy(fresh.pix, s.card.background.pix)
					s.card.draw(&fresh, s.last, f.Time)
					if string(fresh.pix) != string(f.Pix) {
						t.Fatalf("frame %d has remains of another one", f.Seq)
					}
					held = append(held, f)
					if len(held) >= 1+n%3 { // so that the slots come in another order each time
						for len(held) > 0 {
							held[0].Release()
							held = held[1:]
						}
					}
					time.Sleep(time.Duration(n%4) * 100 * time.Millisecond) // some ticks are missed
				}
				for _, f := range held {
					f.Release()
				}
			})
		})
	}
}

// The test card changes little, as a desktop does.
func TestCardDamagesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for motion, most := range map[Motion]int{Card: 20, Scroll: 60} {
			s := open(t, Config{Motion: motion})
			for n := range 20 {
				f, err := s.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				area := 0
				for _, r := range f.Damage {
					area += r.Dx() * r.Dy()
				}
				if percent := area * 100 / (f.Width * f.Height); n > 0 && percent > most {
					t.Errorf("%s: frame %d damages %d %% of the picture; want at most %d", motion, f.Seq, percent, most)
				}
				f.Release()
			}
		}
	})
}

// Ticks that pass unseen are left out, and a Refresh between two ticks tells the number of the last one again.
func TestMissedTicksAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Width: 320, Height: 180, FPS: 10})
		for _, step := range []struct {
			sleep   time.Duration
			refresh bool
			frame   uint64
			wait    time.Duration
		}{
			{frame: 1},
			{sleep: 350 * time.Millisecond, frame: 4},
			{frame: 5, wait: 50 * time.Millisecond},
			{sleep: 30 * time.Millisecond, refresh: true, frame: 5},
			{frame: 6, wait: 70 * time.Millisecond},
			{sleep: time.Hour, frame: 36006},
		} {
			time.Sleep(step.sleep)
			if step.refresh {
				s.Refresh()
			}
			before := time.Now()
			f, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			code, err := Decode(f.Pix, f.Stride, f.Width, f.Height)
			if err != nil || code.Frame != step.frame || time.Since(before) != step.wait {
				t.Errorf("%+v: frame %d after %v, %v", step, code.Frame, time.Since(before), err)
			}
			if whole := len(f.Damage) == 1 && f.Damage[0] == f.Bounds(); whole != (step.refresh || f.Seq == 1) {
				t.Errorf("%+v: damage is %v", step, f.Damage)
			}
			f.Release()
		}
	})
}

// A tick is never early nor late by the rounding of the rate, even after years.
func TestTicksDoNotDrift(t *testing.T) {
	for _, fps := range []int{1, 7, 24, 30, 60, 240} {
		s := &Source{cfg: Config{FPS: fps}, start: time.Unix(0, 0)}
		for _, n := range []uint64{1, 2, 3, 59, 60, 61, 12345678, 7_000_000_000} {
			due := s.due(n)
			if got := s.number(due); got != n {
				t.Errorf("%d fps: at the time due for frame %d the number is %d", fps, n, got)
			}
			if got := s.number(due.Add(-1)); n > 1 && got != n-1 {
				t.Errorf("%d fps: just before frame %d the number is %d; want %d", fps, n, got, n-1)
			}
		}
	}
}

// A frame costs its own record and nothing else.
func TestFramesAreNotAllocated(t *testing.T) {
	s := open(t, Config{Width: 320, Height: 180})
	next := func() {
		s.Refresh()
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
	}
	next()
	if got := testing.AllocsPerRun(100, next); got > 1 {
		t.Errorf("a frame takes %v allocations; want 1", got)
	}
}

// scaled returns the luma of a frame at another size, each pixel the mean of what it covers.
func scaled(f *capture.Frame, width, height int) []byte {
	luma := make([]byte, width*height)
	for y := range height {
		y0, y1 := y*f.Height/height, max((y+1)*f.Height/height, y*f.Height/height+1)
		for x := range width {
			x0, x1 := x*f.Width/width, max((x+1)*f.Width/width, x*f.Width/width+1)
			sum := 0
			for sy := y0; sy < y1; sy++ {
				for sx := x0; sx < x1; sx++ {
					p := f.Pix[sy*f.Stride+sx*4:]
					sum += (29*int(p[0]) + 150*int(p[1]) + 77*int(p[2])) >> 8
				}
			}
			luma[y*width+x] = byte(sum / ((y1 - y0) * (x1 - x0)))
		}
	}
	return luma
}

// spoiled returns a plane as a lossy channel may leave it: coarsely quantized, and with noise.
func spoiled(luma []byte, step, noise int, random *rand.Rand) []byte {
	out := make([]byte, len(luma))
	for i, v := range luma {
		out[i] = byte(min(max(int(v)/step*step+random.IntN(2*noise+1)-noise, 0), 255))
	}
	return out
}

func TestCodeSurvives(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	s := open(t, Config{})
	for range 2 {
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want, err := Decode(f.Pix, f.Stride, f.Width, f.Height)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range [][2]int{{1280, 720}, {640, 360}, {960, 540}, {1920, 1080}, {320, 180}, {853, 480}, {
			427,
			241,
		}, {1000, 1000}} {
			luma := scaled(f, size[0], size[1])
			for _, step := range []int{1, 16, 128} {
				got, err := DecodeLuma(spoiled(luma, step, 60, random), size[0], size[0], size[1])
				if err != nil || got != want {
					t.Errorf("at %dx%d in steps of %d: %+v, %v; want %+v", size[0], size[1], step, got, err, want)
				}
			}
		}
		f.Release()
	}
}

// Whatever number and time is drawn, at whatever size, is read again.
func TestCodeRoundTrips(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		width, height := minWidth+random.IntN(600), minHeight+random.IntN(600)
		c := newCanvas(width, height)
		want := Code{Frame: uint64(random.Uint32()), Time: time.UnixMilli(random.Int64N(1 << 48))}
		want.Draw(c.pix, c.stride, c.width, c.height)
		if got, err := Decode(c.pix, c.stride, width, height); err != nil || got != want {
			t.Fatalf("at %dx%d: %+v, %v; want %+v", width, height, got, err, want)
		}
	}
}

// What is no code is not taken for one.
func TestNoCode(t *testing.T) {
	c := newCanvas(320, 180)
	Code{Frame: 5, Time: time.UnixMilli(1)}.Draw(c.pix, c.stride, c.width, c.height)
	damaged := newCanvas(320, 180)
	copy(damaged.pix, c.pix)
	damaged.fill(image.Rect(100, 10, 110, 15), 0xffffff)
	faded := newCanvas(320, 180)
	for i, v := range c.pix {
		faded.pix[i] = v/8 + 100
	}
	for name, pix := range map[string][]byte{
		"black": make([]byte, len(c.pix)), "one cell wrong": damaged.pix, "no contrast": faded.pix,
		"too short": c.pix[:c.stride*19],
	} {
		if code, err := Decode(pix, c.stride, 320, 180); !errors.Is(err, ErrNoCode) {
			t.Errorf("%s: %+v, %v; want ErrNoCode", name, code, err)
		}
	}
	// The strip alone is enough.
	if _, err := Decode(c.pix[:c.stride*20], c.stride, 320, 180); err != nil {
		t.Errorf("the strip alone: %v", err)
	}
	for _, size := range [][2]int{{0, 0}, {-1, 180}, {95, 108}, {320, 1 << 40}} {
		if _, err := DecodeLuma(make([]byte, 1<<16), size[0], size[0], size[1]); !errors.Is(err, ErrNoCode) {
			t.Errorf("%v: %v; want ErrNoCode", size, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{
		{Width: 10, Height: 10},
		{Width: 10000, Height: 720},
		{Width: 1280},
		{Width: 1280, Height: 10000},
		{FPS: 500},
		{FPS: -1},
		{Motion: "sideways"},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) is taken; want an error", cfg)
		}
	}
	// Every size has room for the card.
	for _, motion := range Motions() {
		for _, size := range [][2]int{{minWidth, minHeight}, {minWidth, 2000}, {2000, minHeight}} {
			s := open(t, Config{Width: size[0], Height: size[1], Motion: motion})
			f, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Decode(f.Pix, f.Stride, f.Width, f.Height); err != nil {
				t.Errorf("%s at %v: %v", motion, size, err)
			}
			f.Release()
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, motion := range []Motion{Card, Scroll, Full} {
		b.Run(string(motion), func(b *testing.B) {
			s := open(b, Config{Width: 1920, Height: 1080, FPS: 240, Motion: motion})
			b.ReportAllocs()
			for b.Loop() {
				s.Refresh()
				f, err := s.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				f.Release()
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	c := newCanvas(minWidth, minHeight)
	Code{Frame: 1, Time: time.UnixMilli(1 << 40)}.Draw(c.pix, c.stride, c.width, c.height)
	f.Add(c.pix, c.stride, minWidth, minHeight)
	f.Add([]byte{1, 2, 3}, 640, 320, 180)
	f.Fuzz(func(t *testing.T, pix []byte, stride, width, height int) {
		_, _ = DecodeLuma(pix, stride, width, height)
		code, err := Decode(pix, stride, width, height)
		if err != nil {
			return
		}
		// What was read is a code: drawn again, it reads the same.
		c := newCanvas(minWidth, minHeight)
		code.Draw(c.pix, c.stride, c.width, c.height)
		if again, err := Decode(c.pix, c.stride, c.width, c.height); err != nil || again != code {
			t.Errorf("%+v is read as %+v, %v", code, again, err)
		}
	})
}
