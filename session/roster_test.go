package session

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// Other programs take the last place: the encoder is left alone for a while, and is not at fault.
func TestDeviceThatOthersUseIsNotBanned(t *testing.T) {
	gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "gpu", Hardware: true}})
	cpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}})
	r := newRoster([]encode.Factory{gpu, cpu}, unlimited)
	now := time.Now()
	if n := r.busy(gpu, now); n != 0 {
		t.Errorf("a limit of %d is learnt with none of ours open", n)
	}
	if s := r.standings(now, anyCodec); len(s) != 2 || s[0].learnt {
		t.Errorf("%+v; want both in good standing", s)
	}
	if got := r.order(now, encode.H264)[0].Profile().Name; got != "cpu" {
		t.Errorf("%s is first while others use the device", got)
	}
	if got := r.order(now.Add(busyFor), encode.H264)[0].Profile().Name; got != "gpu" {
		t.Errorf("%s is first a while later", got)
	}
}

// An encoder that is away for one round of proofs stays counted.
func TestReplacedEncodersKeepTheirUses(t *testing.T) {
	gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "gpu", Hardware: true}})
	cpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}})
	r := newRoster([]encode.Factory{gpu, cpu}, unlimited)
	r.use(gpu, 1)
	r.replace([]encode.Factory{cpu})
	if s := r.standings(time.Now(), anyCodec); len(s) != 1 || s[0].profile.Name != "cpu" {
		t.Errorf("%+v to choose from; want cpu", s)
	}
	if got := r.order(time.Now(), encode.H264); len(got) != 1 {
		t.Errorf("%d encoders in order; want 1", len(got))
	}
	r.replace([]encode.Factory{gpu, cpu})
	if s := r.standings(time.Now(), anyCodec); s[0].uses != 1 {
		t.Errorf("%d uses after it came back; want 1", s[0].uses)
	}
	r.use(gpu, -1)
	r.use(gpu, 1)
	r.replace([]encode.Factory{cpu})
	r.use(gpu, -1)
	r.replace([]encode.Factory{gpu, cpu})
	if s := r.standings(time.Now(), anyCodec); s[0].uses != 0 {
		t.Errorf("%d uses after it was closed while away; want 0", s[0].uses)
	}
}

// A picture that is too large for the hardware is scaled to what it takes, one that is too small goes to another encoder, and neither is held
// against the hardware.
func TestSizesThatAnEncoderRefuses(t *testing.T) {
	known := encode.Limits{MinWidth: 146, MinHeight: 50, MaxWidth: 4096, MaxHeight: 4096}
	for _, c := range []struct {
		name       string
		profile    encode.Limits // what the profile says
		screen     image.Point
		encoder    string
		size       image.Point
		fallbacks  int
		settingOff int // of the width a display is set to then, 0 for none
	}{
		{"a wide screen is scaled", known, image.Pt(5120, 1440), "gpu", image.Pt(4096, 1152), 0, 0},
		{"a tall screen is scaled", known, image.Pt(1440, 5120), "gpu", image.Pt(1152, 4096), 0, 0},
		{"a small screen goes to the processor", known, image.Pt(120, 100), "cpu", image.Pt(120, 100), 0, 0},
		{"what the profile does not know is learnt", encode.Limits{}, image.Pt(5120, 1440), "cpu", image.Pt(5120, 1440), 1, 0},
		{"and so are small ones", encode.Limits{}, image.Pt(120, 100), "cpu", image.Pt(120, 100), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "gpu", Hardware: true, Limits: c.profile}, Sizes: known})
				th := openTheater(t, Config{}, gpu, encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}}))
				th.screen.resize(c.screen.X, c.screen.Y)
				v := newSpectator()
				v.sit(th.rungs[0])
				move(th.screen, time.Second)
				if see := th.rungs[0].see(); see.encoder != c.encoder || see.width != c.size.X || see.height != c.size.Y {
					t.Errorf("%s encodes %dx%d; want %s and %v", see.encoder, see.width, see.height, c.encoder, c.size)
				}
				if n := len(th.kinds()); n != c.fallbacks {
					t.Errorf("%d events %v; want %d", n, th.kinds(), c.fallbacks)
				}
				// The hardware goes on for pictures that it takes.
				if s := th.rungs[0].roster.standings(time.Now(), anyCodec); len(s) != 2 || s[0].profile.Name != "gpu" || s[0].learnt {
					t.Errorf("%+v; want the hardware in good standing", s)
				}
				th.screen.resize(640, 480)
				move(th.screen, 2*time.Second)
				if see := th.rungs[0].see(); see.encoder != "gpu" || see.width != 640 || see.height != 480 {
					t.Errorf("%s encodes %dx%d of a screen of 640x480; want the hardware", see.encoder, see.width, see.height)
				}
				th.close(t)
			})
		})
	}
}

// After a ban the hardware is used again, from a keyframe on; while it keeps failing it costs a keyframe less and less often.
func TestRungGoesBackToHardware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "gpu", Hardware: true}, OnEncode: func(n int) error {
			if broken && n > 10 {
				return errTest
			}
			return nil
		}})
		th := openTheater(t, Config{}, gpu, encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}}))
		v := newSpectator()
		v.sit(th.rungs[0])
		move(th.screen, 2*time.Second)
		if got := th.rungs[0].see().encoder; got != "cpu" {
			t.Fatalf("%s encodes after the hardware failed; want the processor", got)
		}
		broken = false
		move(th.screen, firstBan-3*time.Second)
		if got := th.rungs[0].see().encoder; got != "cpu" {
			t.Errorf("%s encodes during the ban", got)
		}
		before, keys := v.got()
		move(th.screen, 5*time.Second)
		if got := th.rungs[0].see().encoder; got != "gpu" {
			t.Errorf("%s encodes after the ban; want the hardware", got)
		}
		if n, k := v.got(); k != keys+1 || n-before < 5*60-10 {
			t.Errorf("%d pictures and %d keyframes in 5 s; want one to go back with, and no gap", n-before, k-keys)
		}
		v.decodable(t)
		th.close(t)
	})
}

// A daemon that ends does not wait for encoders that are being opened.
func TestOpeningAnEncoderEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		met := NewMetrics(prometheus.NewRegistry())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		w, err := startWorker(ctx, hangingFactory{release}, encode.Params{}, slog.New(slog.DiscardHandler), met.hungEncoders, nil)
		if w != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v; want the end of the context", err, time.Since(began))
		}
		close(release)
	})
}

// ofLevel is what a decoder of a level takes.
func ofLevel(idc int) encode.DecoderLimits {
	l := encode.LevelByIDC(uint8(idc))
	return encode.DecoderLimits{
		Macroblocks: l.Macroblocks, MacroblocksPerSecond: l.MacroblocksPerSecond, BitsPerSecond: l.BitsPerSecond, Level: idc,
	}
}

// What a decoder takes holds for the rung that it is on.
func TestRungKeepsToItsViewersDecoders(t *testing.T) {
	for _, c := range []struct {
		limits encode.DecoderLimits
		fps    int
		most   int // macroblocks
		level  int
	}{
		{encode.DecoderLimits{}, 60, 240 * 135, 52}, // what the stream has
		{ofLevel(31), 30, 3600, 31},
		{ofLevel(30), 25, 1620, 30},
		{encode.DecoderLimits{Macroblocks: 12_288}, 60, 12_288, 51},
		{encode.DecoderLimits{Macroblocks: 396, FPS: 15}, 15, 396, 20},
	} {
		t.Run(fmt.Sprint(c.limits), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				enc := encodetest.New(encodetest.Config{})
				th := openTheater(t, Config{}, enc)
				th.screen.resize(3840, 2160)
				free, bound := newSpectator(), newSpectator()
				bound.wish.limits = c.limits
				bound.wish.fps = min(60, orMost(c.limits.FPS))
				free.sit(th.rungs[0])
				move(th.screen, time.Second)
				bound.sit(th.rungs[0])
				move(th.screen, time.Second)
				before, _ := bound.got()
				move(th.screen, time.Second)
				units := bound.pictures(before)
				for _, au := range units {
					if n := encode.Macroblocks(au.Width, au.Height); n > c.most || n < c.most*85/100 {
						t.Fatalf("%dx%d are %d macroblocks; want about %d at most", au.Width, au.Height, n, c.most)
					}
					if ratio := float64(au.Width) / float64(au.Height); ratio < 1.74 || ratio > 1.82 {
						t.Fatalf("%dx%d has another shape than 3840x2160", au.Width, au.Height)
					}
				}
				if n := len(units); n > c.fps+2 || n < c.fps*9/10-2 {
					t.Errorf("%d pictures a second; want %d", n, c.fps)
				}
				params := enc.Stats().Params
				last := params[len(params)-1]
				if last.Level != c.level {
					t.Errorf("opened for level %d; want %d", last.Level, c.level)
				}
				if encode.Macroblocks(last.Width, last.Height)*last.FPS > encode.LevelByIDC(uint8(c.level)).MacroblocksPerSecond {
					t.Errorf("opened for %d frames a second of %dx%d, which is above level %d", last.FPS, last.Width, last.Height, c.level)
				}
				th.close(t)
			})
		})
	}
}

// At its own size a picture keeps its last odd column and row.
func TestOddSizesAreNotScaled(t *testing.T) {
	for _, c := range []struct {
		screen image.Point
		scale  float64
		want   image.Point
	}{
		{image.Pt(1365, 767), 1, image.Pt(1366, 768)},
		{image.Pt(1366, 768), 1, image.Pt(1366, 768)},
		{image.Pt(641, 362), 1, image.Pt(642, 362)},
		{image.Pt(1365, 767), 0.75, image.Pt(1024, 574)},
		{image.Pt(9, 9), 1, image.Pt(16, 16)},
		{image.Pt(8191, 4095), 1, image.Pt(8192, 4096)},
	} {
		r := &rung{}
		r.src.width, r.src.height = c.screen.X, c.screen.Y
		if got := r.size(target{scale: c.scale}, encode.Limits{}); got != c.want {
			t.Errorf("%v at %v is encoded as %v; want %v", c.screen, c.scale, got, c.want)
		}
	}
}

// What hangs at the end is named: it is no session.
func TestShutdownSaysWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := newScreen(640, 480)
		m, err := NewManager(Config{
			Displays: func(context.Context) []Display { return []Display{d.display()} }, Encoders: []encode.Factory{encodetest.New(encodetest.Config{})},
			ShutdownTimeout: time.Second,
		}, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
		if err != nil {
			t.Fatal(err)
		}
		m.stages.running.Add(1)
		m.stages.wg.Go(func() { <-release })
		if err := m.shutdown(); err == nil || !strings.Contains(err.Error(), "0 sessions are not released and 1 displays are not closed") {
			t.Errorf("got %v; want the display that is left", err)
		}
		close(release)
		synctest.Wait()
	})
}
