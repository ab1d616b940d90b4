//go:build integration && linux

package pipewire

import (
	"context"
	"errors"
	"image"
	"os"
	"strconv"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/screencast/screencasttest"
)

// Mutter, GNOME's compositor, delivers the colors of a program, as the contract says and without a leak. Its end is
// noticed, and its monitor is found again.
func TestMutter(t *testing.T) {
	g := screencasttest.Start(t, "640x360")
	open := func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		s, err := NewMutter(ctx, MutterConfig{
			Bus: g.Bus, Socket: g.Socket, Monitor: screencasttest.Monitor,
			Demand: d,
		}, logger(t))
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	t.Run("contract", func(t *testing.T) { capturetest.Run(t, open, capturetest.Options{}) })
	t.Run("opens", func(t *testing.T) { capturetest.RunOpens(t, opens(), open) })
	s, err := open(t.Context(), capture.Demand{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	g.Run("foot", "--fullscreen", "-o", "colors.background=123456", "-o", "cursor.color=123456 123456", "sleep", "60")
	color(t, s)
	lose(t, s, g.Kill)
	_, err = NewMutter(t.Context(), MutterConfig{Bus: g.Bus, Socket: g.Socket, Monitor: "Meta-0"}, logger(t))
	if !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("without mutter: got %v; want %v", err, capture.ErrNotFound)
	}
	g.StartMutter()
	again, err := open(t.Context(), capture.Demand{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	_, err = NewMutter(t.Context(), MutterConfig{Bus: g.Bus, Socket: g.Socket, Monitor: "DP-7"}, logger(t))
	if !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("for a monitor that is not there: got %v; want %v", err, capture.ErrNotFound)
	}
}

// color waits for a picture of the program's color.
func color(t *testing.T, s capture.Source) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		f, err := s.Next(ctx)
		if err != nil {
			t.Fatal("wait for the color of a program: ", err)
		}
		good := f.Bounds().Size() == image.Pt(640, 360)
		for _, at := range []image.Point{{X: 1, Y: 1}, {X: 638, Y: 358}, {X: 320, Y: 180}} {
			for i, want := range []int{0x56, 0x34, 0x12} {
				// foot 1.21 blends by brightness, which makes a dark color a little darker.
				got := int(f.Pix[at.Y*f.Stride+4*at.X+i])
				good = good && got > want-8 && got < want+8
			}
		}
		f.Release()
		if good {
			return
		}
	}
}

// opens is the number of opens to try: a few in CI, and more with WAVRY_OPENS=1000.
func opens() int {
	if n, err := strconv.Atoi(os.Getenv("WAVRY_OPENS")); err == nil {
		return n
	}
	return 40
}

// BenchmarkMutter reports the CPU that a changed picture of GNOME costs this process.
func BenchmarkMutter(b *testing.B) {
	g := screencasttest.Start(b, "1920x1080")
	s, err := NewMutter(context.Background(), MutterConfig{
		Bus: g.Bus, Socket: g.Socket, Monitor: screencasttest.Monitor,
	}, logger(b))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	g.Run("foot", "--fullscreen", "sh", "-c", "while :; do echo $((i=i+1)) wavry-host; sleep 0.01; done")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	before, n := cpu(b), 0
	for b.Loop() {
		f, err := s.Next(ctx)
		if err != nil {
			b.Fatalf("after %d pictures, the last one read directly: %v: %v", n, s.direct, err)
		}
		n++
		f.Release()
	}
	b.ReportMetric((cpu(b)-before).Seconds()*1e3/float64(n), "client-ms/frame")
}
