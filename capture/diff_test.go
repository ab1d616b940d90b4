package capture_test

import (
	"fmt"
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"wavryhost/capture"
)

func TestDiff(t *testing.T) {
	const width, height, stride = 5, 50, 20
	r := image.Rect
	for name, tt := range map[string]struct {
		rows []int
		want []image.Rectangle
	}{
		"nothing":        {nil, nil},
		"one row":        {[]int{17}, []image.Rectangle{r(0, 16, width, 32)}},
		"the last rows":  {[]int{49}, []image.Rectangle{r(0, 48, width, 50)}},
		"adjacent bands": {[]int{15, 16}, []image.Rectangle{r(0, 0, width, 32)}},
		"two places":     {[]int{0, 40}, []image.Rectangle{r(0, 0, width, 16), r(0, 32, width, 48)}},
		"everything":     {[]int{0, 20, 40, 48}, []image.Rectangle{r(0, 0, width, 50)}},
	} {
		t.Run(name, func(t *testing.T) {
			prev := make([]byte, stride*height)
			next := slices.Clone(prev)
			for _, y := range tt.rows {
				next[y*stride+7]++
			}
			if got := capture.Diff(prev, next, stride, height, 16); !slices.Equal(got, tt.want) {
				t.Errorf("got %v; want %v", got, tt.want)
			}
		})
	}
}

// What lies outside of the damage is equal, whatever changed.
func FuzzDiff(f *testing.F) {
	f.Add(uint64(1), 3, 7, 5)
	f.Fuzz(func(t *testing.T, seed uint64, changes, width, rows int) {
		width, rows, changes = 1+abs(width)%20, 1+abs(rows)%20, abs(changes)%60
		const height = 300
		rng := rand.New(rand.NewPCG(seed, 0))
		prev := make([]byte, 4*width*height)
		next := slices.Clone(prev)
		for range changes {
			next[rng.IntN(len(next))]++
		}
		damage := capture.Diff(prev, next, 4*width, height, rows)
		if len(damage) > 16 || (len(damage) == 0) != slices.Equal(prev, next) {
			t.Fatalf("got %v", damage)
		}
		for _, d := range damage {
			copy(prev[4*width*d.Min.Y:], next[4*width*d.Min.Y:4*width*d.Max.Y])
		}
		if !slices.Equal(prev, next) {
			t.Errorf("the pictures differ outside of %v", damage)
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }

func BenchmarkDiff(b *testing.B) {
	for _, size := range []image.Point{{1280, 720}, {1920, 1080}, {3840, 2160}} {
		for what, changed := range map[string]int{"same": 0, "half": 2, "all": 1} {
			b.Run(fmt.Sprintf("%dx%d/%s", size.X, size.Y, what), func(b *testing.B) {
				stride := 4 * size.X
				// Three pairs, as the pictures of a display in use are in no cache.
				var prev, next [3][]byte
				for i := range prev {
					prev[i], next[i] = make([]byte, stride*size.Y), make([]byte, stride*size.Y)
					for at := 0; at < len(prev[i]); at += 512 { // untouched memory is one page of zeros
						prev[i][at], next[i][at] = byte(at>>9)|1, byte(at>>9)|1
					}
					for y := 0; changed > 0 && y < size.Y; y += 16 {
						if changed == 1 || y < size.Y/2 {
							next[i][y*stride+stride/2]++
						}
					}
				}
				b.SetBytes(int64(2 * stride * size.Y))
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					capture.Diff(prev[i%3], next[i%3], stride, size.Y, 16)
					i++
				}
			})
		}
	}
}

func BenchmarkMap(b *testing.B) {
	f := capture.NewFrame(nil)
	f.Pix, f.Stride = make([]byte, 64), 16
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Map(); err != nil {
			b.Fatal(err)
		}
	}
}
