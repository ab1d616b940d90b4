//go:build cgo && !noffmpeg

package ffmpeg

import (
	"fmt"
	"image"
	"log/slog"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/asticode/go-astiav"

	"wavryhost/capture"
	"wavryhost/encode"
)

// text returns a page of glyph-like marks in lines of 16 rows.
func text(width, height int) *capture.Frame {
	f := capture.NewFrame(nil)
	f.Width, f.Height, f.Stride, f.Pix = width, height, 4*width, make([]byte, 4*width*height)
	f.Damage = []image.Rectangle{f.Bounds()}
	rng := rand.New(rand.NewPCG(0, 0))
	var glyphs [64][16]uint8
	for i := range glyphs {
		for y := 3; y < 13; y++ {
			glyphs[i][y] = uint8(rng.Uint32()) & 0x7e
		}
	}
	for row := range (height + 15) / 16 {
		line := rand.New(rand.NewPCG(uint64(row), 1))
		for column := range line.IntN(width / 8) {
			glyph := glyphs[line.IntN(len(glyphs))]
			for y := range min(16, height-16*row) {
				for x := range 8 {
					if glyph[y]>>x&1 != 0 {
						copy(f.Pix[(16*row+y)*f.Stride+4*(8*column+x):], []byte{200, 220, 200})
					}
				}
			}
		}
	}
	return f
}

var benchSizes = []image.Point{{1280, 720}, {1920, 1080}}

func BenchmarkConvert(b *testing.B) {
	for _, size := range benchSizes {
		f := text(size.X, size.Y)
		c := mustConverter(b, size.X, size.Y, astiav.PixelFormatYuv420P)
		for _, part := range []struct {
			name   string
			damage image.Rectangle
		}{{"whole", f.Bounds()}, {"64rows", image.Rect(0, 100, size.X, 164)}} {
			b.Run(fmt.Sprintf("libyuv/%dp/%s", size.Y, part.name), func(b *testing.B) {
				f.Damage = []image.Rectangle{part.damage}
				for b.Loop() {
					if err := c.convert(f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("swscale/%dp/whole", size.Y), func(b *testing.B) { benchSwscale(b, f) })
	}
	b.Run("libyuv/1080p/scaled_to_720p", func(b *testing.B) {
		f := text(1920, 1080)
		c := mustConverter(b, 1280, 720, astiav.PixelFormatYuv420P)
		for b.Loop() {
			if err := c.convert(f); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchSwscale converts the same picture as FFmpeg's own command line would.
func benchSwscale(b *testing.B, f *capture.Frame) {
	b.Helper()
	src := astiav.AllocFrame()
	defer src.Free()
	src.SetWidth(f.Width)
	src.SetHeight(f.Height)
	src.SetPixelFormat(astiav.PixelFormatBgra)
	if err := src.AllocBuffer(64); err != nil {
		b.Fatal(err)
	}
	if err := src.Data().SetBytes(f.Pix, 1); err != nil {
		b.Fatal(err)
	}
	dst := mustConverter(b, f.Width, f.Height, astiav.PixelFormatYuv420P).picture
	s, err := astiav.CreateSoftwareScaleContext(f.Width, f.Height, astiav.PixelFormatBgra, f.Width, f.Height,
		astiav.PixelFormatYuv420P, astiav.NewSoftwareScaleContextFlags(astiav.SoftwareScaleContextFlagBicubic))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Free()
	for b.Loop() {
		if err := s.ScaleFrame(src, dst); err != nil {
			b.Fatal(err)
		}
	}
}

// cpu is what the process has taken of all cores.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkEncodeScrollingText(b *testing.B) {
	const period = 256 // frames until the page begins again
	for _, size := range benchSizes {
		for _, c := range []struct{ name, encoder, without string }{
			{"me=umh:merange=64", "libx264", ""},
			{"preset's own search", "libx264", "x264-params"},
			{"VP9", "libvpx-vp9", ""},
			{"VP8", "libvpx", ""},
		} {
			b.Run(fmt.Sprintf("%dp/%s", size.Y, c.name), func(b *testing.B) {
				page := text(size.X, size.Y+16*period)
				p, _ := encode.FindProfile(c.encoder)
				p.Options = slices.DeleteFunc(p.Options, func(o encode.Option) bool { return o.Name == c.without })
				e, err := New(p, slog.New(slog.DiscardHandler)).
					Open(encode.Params{Width: size.X, Height: size.Y, FPS: 60, BitsPerSecond: 6e6})
				if err != nil {
					b.Fatal(err)
				}
				defer func() {
					if err := e.Close(); err != nil {
						b.Error(err)
					}
				}()
				start, busy, n, bytes := time.Now(), cpu(b), 0, 0
				var convert, encoding time.Duration
				var qp float64
				for b.Loop() {
					f := capture.NewFrame(nil)
					f.Width, f.Height, f.Stride = size.X, size.Y, page.Stride
					f.Pix, f.Damage = page.Pix[16*(n%period)*f.Stride:], append(f.Damage, f.Bounds())
					f.Time, f.Seq = start.Add(time.Duration(n)*time.Second/60), uint64(n+1)
					unit, err := e.Encode(f, encode.Order{})
					if err != nil {
						b.Fatal(err)
					}
					n++
					bytes += len(unit.Data)
					convert += unit.Convert
					encoding += unit.Encode
					qp += unit.QP
				}
				b.ReportMetric(float64((cpu(b)-busy).Microseconds())/float64(n), "µs-CPU/op")
				b.ReportMetric(float64(convert.Microseconds())/float64(n), "µs-convert/op")
				b.ReportMetric(float64(encoding.Microseconds())/float64(n), "µs-encode/op")
				b.ReportMetric(float64(bytes)/float64(n), "bytes/op")
				b.ReportMetric(qp/float64(n), "QP")
			})
		}
	}
}
