package capture_test

import (
	"image"
	"sync"
	"sync/atomic"
	"testing"

	"wavryhost/capture"
)

func TestMergeDamage(t *testing.T) {
	r := image.Rect
	many := make([]image.Rectangle, 17)
	for i := range many {
		many[i] = r(i*10, i*10, i*10+5, i*10+5)
	}
	for name, tt := range map[string]struct{ a, b, want []image.Rectangle }{
		"nothing and nothing":       {},
		"nothing and something":     {nil, []image.Rectangle{r(1, 1, 2, 2)}, []image.Rectangle{r(1, 1, 2, 2)}},
		"empty rectangles are left": {nil, []image.Rectangle{{}, r(5, 5, 5, 9)}, nil},
		"apart": {
			[]image.Rectangle{r(0, 0, 1, 1)},
			[]image.Rectangle{r(2, 2, 3, 3)},
			[]image.Rectangle{r(0, 0, 1, 1), r(2, 2, 3, 3)},
		},
		"inside one that is there": {
			[]image.Rectangle{r(0, 0, 9, 9)},
			[]image.Rectangle{r(2, 2, 3, 3)},
			[]image.Rectangle{r(0, 0, 9, 9)},
		},
		"around one that is there": {
			[]image.Rectangle{r(2, 2, 3, 3)},
			[]image.Rectangle{r(0, 0, 9, 9)},
			[]image.Rectangle{r(0, 0, 9, 9)},
		},
		"sixteen are kept":           {many[:10:10], many[10:16], many[:16]},
		"seventeen become their box": {many[:10:10], many[10:], []image.Rectangle{r(0, 0, 165, 165)}},
	} {
		t.Run(name, func(t *testing.T) {
			got := capture.MergeDamage(append([]image.Rectangle(nil), tt.a...), tt.b)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v; want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %v; want %v", got, tt.want)
				}
			}
		})
	}
}

func TestFrameIsReleasedOnceByItsLastOwner(t *testing.T) {
	var released atomic.Int32
	var f *capture.Frame
	f = capture.NewFrame(func(g *capture.Frame) {
		if g != f {
			t.Error("got another frame")
		}
		released.Add(1)
	})
	var wg sync.WaitGroup
	for range 8 {
		f.Retain()
		wg.Go(f.Release)
	}
	wg.Wait()
	if n := released.Load(); n != 0 {
		t.Fatalf("released %d times while there is an owner", n)
	}
	f.Release()
	if n := released.Load(); n != 1 {
		t.Errorf("released %d times; want once", n)
	}
	mustPanic(t, "Release", f.Release)
	mustPanic(t, "Retain", func() { f.Retain() })
}

func TestFrameNeedsNoReleaseFunction(t *testing.T) {
	f := capture.NewFrame(nil)
	f.Width, f.Height = 3, 2
	if got, want := f.Bounds(), image.Rect(0, 0, 3, 2); got != want {
		t.Errorf("got %v; want %v", got, want)
	}
	f.Release()
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s of a released frame did not panic", what)
		}
	}()
	f()
}
