package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// Other programs use the device: the encoder is not tried for a while, and is not at fault.
func TestDeviceThatOthersUseIsNotBanned(t *testing.T) {
	gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "gpu", Hardware: true}})
	cpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}})
	r := newEncoderPool([]encode.Factory{gpu, cpu}, unlimited)
	now := time.Now()
	if n := r.busy(gpu, now); n != 0 {
		t.Errorf("a limit of %d is learnt with none of ours open", n)
	}
	if s := r.status(now, encode.Format{}); len(s) != 2 || s[0].Learnt {
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
	r := newEncoderPool([]encode.Factory{gpu, cpu}, unlimited)
	r.use(gpu, 1)
	r.replace([]encode.Factory{cpu})
	if s := r.status(time.Now(), encode.Format{}); len(s) != 1 || s[0].Profile.Name != "cpu" {
		t.Errorf("%+v to choose from; want cpu", s)
	}
	if got := r.order(time.Now(), encode.H264); len(got) != 1 {
		t.Errorf("%d encoders in order; want 1", len(got))
	}
	r.replace([]encode.Factory{gpu, cpu})
	if s := r.status(time.Now(), encode.Format{}); s[0].Uses != 1 {
		t.Errorf("%d uses after it came back; want 1", s[0].Uses)
	}
	r.use(gpu, -1)
	r.use(gpu, 1)
	r.replace([]encode.Factory{cpu})
	r.use(gpu, -1)
	r.replace([]encode.Factory{gpu, cpu})
	if s := r.status(time.Now(), encode.Format{}); s[0].Uses != 0 {
		t.Errorf("%d uses after it was closed while away; want 0", s[0].Uses)
	}
}

// A picture that is too large for the hardware is scaled to what it takes, a picture that is too small goes to another
// encoder, and neither is held against the hardware.
func TestSizesThatAnEncoderRefuses(t *testing.T) {
	known := encode.Limits{Min: image.Pt(146, 50), Max: image.Pt(4096, 4096)}
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
		{
			"what the profile does not know is learnt",
			encode.Limits{},
			image.Pt(5120, 1440), "cpu",
			image.Pt(5120, 1440), 1, 0,
		},
		{"and so are small ones", encode.Limits{}, image.Pt(120, 100), "cpu", image.Pt(120, 100), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{
					Name: "gpu", Hardware: true,
					Limits: c.profile,
				}, Sizes: known})
				th := openRig(t, 60, gpu, encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}}))
				th.screen.Resize(c.screen.X, c.screen.Y)
				v := newFakeViewer()
				v.subscribe(th.encodings.list[0])
				move(th.screen, time.Second)
				if see := th.encodings.list[0].Status(); see.Encoder != c.encoder || see.Width != c.size.X ||
					see.Height != c.size.Y {
					t.Errorf("%s encodes %dx%d; want %s and %v", see.Encoder, see.Width, see.Height, c.encoder, c.size)
				}
				if n := len(th.kinds()); n != c.fallbacks {
					t.Errorf("%d events %v; want %d", n, th.kinds(), c.fallbacks)
				}
				// The hardware is used again for pictures that it supports.
				if s := th.encodings.list[0].encoders.status(time.Now(), encode.Format{}); len(s) != 2 ||
					s[0].Profile.Name != "gpu" || s[0].Learnt {
					t.Errorf("%+v; want the hardware in good standing", s)
				}
				th.screen.Resize(640, 480)
				move(th.screen, 2*time.Second)
				if see := th.encodings.list[0].Status(); see.Encoder != "gpu" || see.Width != 640 || see.Height != 480 {
					t.Errorf("%s encodes %dx%d of a screen of 640x480; want the hardware",
						see.Encoder, see.Width, see.Height)
				}
				th.close(t)
			})
		})
	}
}

// After a ban the hardware is used again, from a keyframe on; while it keeps failing it costs a keyframe less and less
// often.
func TestEncodingReturnsToHardware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		gpu := encodetest.New(encodetest.Config{
			Profile: encode.Profile{Name: "gpu", Hardware: true},
			OnEncode: func(n int) error {
				if broken && n > 10 {
					return errTest
				}
				return nil
			},
		})
		th := openRig(t, 60, gpu, encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}}))
		v := newFakeViewer()
		v.subscribe(th.encodings.list[0])
		move(th.screen, 2*time.Second)
		if got := th.encodings.list[0].Status().Encoder; got != "cpu" {
			t.Fatalf("%s encodes after the hardware failed; want the processor", got)
		}
		broken = false
		move(th.screen, firstBan-3*time.Second)
		if got := th.encodings.list[0].Status().Encoder; got != "cpu" {
			t.Errorf("%s encodes during the ban", got)
		}
		before, keys := v.got()
		move(th.screen, 5*time.Second)
		if got := th.encodings.list[0].Status().Encoder; got != "gpu" {
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
		w, err := openGuarded(ctx, hangingFactory{release}, encode.Params{}, slog.New(slog.DiscardHandler),
			met.hungEncoders, nil)
		if w != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v; want the end of the context", err, time.Since(began))
		}
		close(release)
	})
}

func TestEncoderThatHangsWhileOpeningIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		met := NewMetrics(prometheus.NewRegistry())
		w, err := openGuarded(t.Context(), hangingFactory{release}, encode.Params{},
			slog.New(slog.DiscardHandler), met.hungEncoders, nil)
		if w != nil || !errors.Is(err, errHung) {
			t.Errorf("got %v; want errHung", err)
		}
		if n := testutil.ToFloat64(met.hungEncoders); n != 1 {
			t.Errorf("%v encoders count as hung; want 1", n)
		}
		close(release)
		synctest.Wait()
		if n := testutil.ToFloat64(met.hungEncoders); n != 0 {
			t.Errorf("%v encoders count as hung after it returned; want 0", n)
		}
	})
}

// ofLevel is what a decoder of a level takes.
func ofLevel(idc int) encode.DecoderLimits {
	l := encode.LevelByIDC(encode.CodecH264, uint8(idc))
	return encode.DecoderLimits{
		Macroblocks: l.Macroblocks, MacroblocksPerSecond: l.MacroblocksPerSecond,
		BitsPerSecond: l.BitsPerSecond, Level: idc,
	}
}

// The limits of a decoder hold for its encoding.
func TestEncodingKeepsToItsViewersDecoders(t *testing.T) {
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
				th := openRig(t, 60, enc)
				th.screen.Resize(3840, 2160)
				free, bound := newFakeViewer(), newFakeViewer()
				bound.demand.Limits = c.limits
				bound.demand.FPS = min(60, cmp.Or(c.limits.FPS, 60))
				free.subscribe(th.encodings.list[0])
				move(th.screen, time.Second)
				bound.subscribe(th.encodings.list[0])
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
				if encode.Macroblocks(last.Width,
					last.Height)*last.FPS > encode.LevelByIDC(encode.CodecH264, uint8(c.level)).MacroblocksPerSecond {
					t.Errorf("opened for %d frames a second of %dx%d, which is above level %d",
						last.FPS, last.Width, last.Height, c.level)
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
		a := &activeEncoder{of: &Encoding{}, source: c.screen}
		if got := a.sizeFor(target{scale: c.scale}, encode.Limits{}); got != c.want {
			t.Errorf("%v at %v is encoded as %v; want %v", c.screen, c.scale, got, c.want)
		}
	}
}

func TestEncodersThatFailedAreTriedLast(t *testing.T) {
	a := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "a"}})
	b := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "b"}})
	r := newEncoderPool([]encode.Factory{a, b}, unlimited)
	now := time.Now()
	first := func(at time.Time) string { return r.order(at, encode.H264)[0].Profile().Name }
	if got := first(now); got != "a" {
		t.Errorf("%s is first; want a", got)
	}
	r.failed(a, now)
	if got := first(now.Add(firstBan - 1)); got != "b" {
		t.Errorf("%s is first after a failed; want b", got)
	}
	if got := first(now.Add(firstBan)); got != "a" {
		t.Errorf("%s is first after the ban; want a", got)
	}
	r.failed(a, now)
	if got := first(now.Add(firstBan)); got != "b" {
		t.Errorf("%s is first after a failed twice; want b for longer", got)
	}
	for range 100 {
		r.failed(a, now)
	}
	if got := first(now.Add(longBan)); got != "a" {
		t.Errorf("%s is first after the longest ban; want a", got)
	}
	if n := len(r.order(now, encode.H264)); n != 2 {
		t.Errorf("%d encoders; want both, whatever happened", n)
	}
}

// What the hardware refuses while it encodes is its limit: it is believed until an encode ends, another can be opened
// after all, or some time is over.
func TestLimitOfHardwareIsLearnt(t *testing.T) {
	gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "gpu", Hardware: true}})
	cpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "cpu"}})
	configured := 0
	r := newEncoderPool([]encode.Factory{gpu, cpu}, func() int { return configured })
	now := time.Now()
	first := func(at time.Time) string { return r.order(at, gpu.Profile().Format)[0].Profile().Name }
	limit := func(at time.Time) (int, bool) { s := r.status(at, encode.Format{})[0]; return s.Limit, s.Learnt }
	r.use(gpu, 1)
	r.use(gpu, 1)
	if n, learnt := limit(now); n != 0 || learnt || first(now) != "gpu" {
		t.Errorf("a limit of %d before one is met", n)
	}
	if n := r.busy(gpu, now); n != 2 {
		t.Errorf("full at %d; want 2", n)
	}
	if n, learnt := limit(now); n != 2 || !learnt || first(now) != "cpu" {
		t.Errorf("limit %d (%v), first %s; want 2 and the other encoder", n, learnt, first(now))
	}
	if got := r.order(now, gpu.Profile().Format); len(got) != 2 {
		t.Errorf("%d encoders are left", len(got))
	}
	r.use(gpu, -1)
	if first(now) != "gpu" {
		t.Error("it is not used again once an encode ended")
	}
	r.use(gpu, 1)
	if at := now.Add(relearn); first(at) != "gpu" {
		t.Error("the limit is believed for ever")
	} else if n, _ := limit(at); n != 0 {
		t.Errorf("a limit of %d is told after its time", n)
	}
	r.use(gpu, 1)
	r.opened(gpu)
	if n, _ := limit(now); n != 0 {
		t.Errorf("limit %d though three are open", n)
	}
	configured = 1
	if n, learnt := limit(now); n != 1 || learnt || first(now) != "cpu" {
		t.Errorf("limit %d (%v), first %s; want the configured one", n, learnt, first(now))
	}
	configured = 0
	r.busy(gpu, now)
	r.replace([]encode.Factory{gpu, cpu})
	if n, _ := limit(now); n != 0 || first(now) != "gpu" {
		t.Errorf("limit %d after the drivers were tried anew", n)
	}
}

// What a refusal says about the supported sizes holds from then on. A refusal that contradicts itself is ignored.
func TestARefusalSaysWhichSizesAreSupported(t *testing.T) {
	gpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "gpu", Hardware: true}})
	p := newEncoderPool([]encode.Factory{gpu}, func() int { return 0 })
	said := encode.Limits{Min: image.Pt(96, 0), Max: image.Pt(2048, 1152)}
	refusal := func(l encode.Limits) error { return fmt.Errorf("open: %w", &encode.SizeError{Limits: l}) }
	if !p.refusedSize(gpu, image.Pt(2560, 1440), refusal(said)) || p.limits(gpu) != said {
		t.Errorf("got limits %v; want %v", p.limits(gpu), said)
	}
	if p.refusedSize(gpu, image.Pt(1280, 720), refusal(said)) || p.limits(gpu) != said {
		t.Errorf("a refusal of what it supports is understood; limits %v", p.limits(gpu))
	}
}
