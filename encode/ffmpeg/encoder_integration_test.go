//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func x264(t testing.TB, change func(*encode.Profile)) encode.Factory {
	t.Helper()
	return software(t, "libx264", change)
}

func vpx(t testing.TB, change func(*encode.Profile)) encode.Factory {
	t.Helper()
	return software(t, "libvpx-vp9", change)
}

func vp8(t testing.TB) encode.Factory {
	t.Helper()
	return software(t, "libvpx", nil)
}

func software(t testing.TB, name string, change func(*encode.Profile)) encode.Factory {
	t.Helper()
	p, ok := encode.FindProfile(name)
	if !ok {
		t.Fatalf("no profile %s", name)
	}
	if change != nil {
		change(&p)
	}
	return New(p, slog.New(slog.DiscardHandler))
}

func open(t testing.TB, f encode.Factory, p encode.Params) encode.Encoder {
	t.Helper()
	e, err := f.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestX264KeepsTheContract(t *testing.T) { encodetest.Run(t, x264(t, nil)) }

func TestVPXKeepsTheContract(t *testing.T) { encodetest.Run(t, vpx(t, nil)) }

func TestVP8KeepsTheContract(t *testing.T) { encodetest.Run(t, vp8(t)) }

func TestAOMKeepsTheContract(t *testing.T) { encodetest.Run(t, software(t, "libaom-av1", nil)) }

func TestVPXReopenedAtEachRateKeepsTheContract(t *testing.T) {
	encodetest.Run(t, vpx(t, func(p *encode.Profile) { p.Price = encode.PriceReopen }))
}

// noise encodes pictures without a pattern, which take all the bits they get, at each rate in turn for two seconds at
// 30 frames a second. It returns what the last second and a half took of each rate, and fails the test for keyframes
// after the first.
func noise(t *testing.T, f encode.Factory, rates ...int) (used []float64) {
	t.Helper()
	const width, height, fps = 320, 180, 30
	e := open(t, f, encode.Params{Width: width, Height: height, FPS: fps, BitsPerSecond: rates[0]})
	rng := rand.New(rand.NewPCG(1, 2))
	start, n := time.Now(), 0
	for _, rate := range rates {
		if err := e.SetRate(encode.Rate{BitsPerSecond: rate, FPS: fps}); err != nil {
			t.Fatal(err)
		}
		bits := 0
		for k := range 2 * fps {
			f := newFrame(width, height)
			for i := range f.Pix {
				f.Pix[i] = byte(rng.Uint32()) & 0x3f
			}
			n++
			f.Time, f.Seq = start.Add(time.Duration(n)*time.Second/fps), uint64(n)
			unit, err := e.Encode(f, encode.Order{})
			if err != nil {
				t.Fatal(err)
			}
			if unit.Key && n > 1 {
				t.Errorf("picture %d of %d bit/s is a keyframe", k, rate)
			}
			if k >= fps/2 {
				bits += 8 * len(unit.Data)
			}
		}
		used = append(used, float64(bits)/1.5/float64(rate))
	}
	return used
}

func TestVPXFollowsItsRateFarWithoutAKeyframe(t *testing.T) {
	rates := []int{500_000, 4_000_000, 500_000, 1_000_000, 200_000}
	for _, f := range []encode.Factory{vpx(t, nil), vp8(t)} {
		for i, used := range noise(t, f, rates...) {
			t.Logf("%s, %d bit/s: %.2f", f.Profile().Name, rates[i], used)
			if used < 0.4 || used > 1.15 {
				t.Errorf("%s, %d bit/s: pictures took %.2f of it", f.Profile().Name, rates[i], used)
			}
		}
	}
}

// Should libavcodec learn to hand libvpx another rate, the encoder need not be given it by time.
func TestLibavcodecHandsLibvpxNoOtherRate(t *testing.T) {
	used := noise(t, vpx(t, func(p *encode.Profile) { p.RateByTime = false }), 600_000, 150_000)
	if used[1] < 3 {
		t.Errorf(
			"at a quarter of the rate that it was opened with the encoder took %.2f of it; want all of the former", used[1],
		)
	}
}

// A page of text that comes at once must not take many times its share of the rate, as the path would need so long for
// it.
func TestVPXBoundsAPictureThatIsAllNew(t *testing.T) {
	for _, c := range []struct {
		factory encode.Factory
		rate    int
		most    float64 // shares
		least   float64 // dB
	}{
		{vpx(t, nil), 2_000_000, 4, 40},
		{vp8(t), 700_000, 10, 34}, // its coarsest picture; without dropping any it takes 26
	} {
		t.Run(c.factory.Profile().Name, func(t *testing.T) {
			boundsNewPictures(t, c.factory, c.rate, c.most, c.least)
		})
	}
}

func boundsNewPictures(t *testing.T, f encode.Factory, rate int, most, least float64) {
	t.Helper()
	const width, height, fps = 640, 352, 30
	e := open(t, f, encode.Params{Width: width, Height: height, FPS: fps, BitsPerSecond: rate})
	d, err := newDecoder(f.Profile().Format.Codec)
	if err != nil {
		t.Fatal(err)
	}
	defer d.free()
	book := text(width, 3*height)
	start := time.Now()
	for n := range 3 * 75 {
		page := n / 75
		f := capture.NewFrame(nil)
		f.Width, f.Height, f.Stride, f.Pix = width, height, book.Stride, book.Pix[page*height*book.Stride:][:height*book.Stride] //nolint:lll // one expression
		f.Damage, f.Time, f.Seq = append(f.Damage, f.Bounds()), start.Add(time.Duration(n)*time.Second/fps), uint64(n+1)
		pix := f.Pix
		unit, err := e.Encode(f, encode.Order{})
		if err != nil {
			t.Fatal(err)
		}
		if shares := float64(8*len(unit.Data)*fps) / float64(rate); shares > most {
			t.Errorf("picture %d takes %.1f shares of a frame; want %v at most", n, shares, most)
		}
		p, err := d.decode(unit.Data)
		if err != nil {
			t.Fatal(err)
		}
		if n%75 != 74 {
			continue
		}
		if db, err := p.psnr(pix, width, height); err != nil || db < least {
			t.Errorf("page %d has %.1f dB after it stood for a while, %v; want it sharp", page, db, err)
		}
	}
}

func TestVPXStreamSaysWhatItIs(t *testing.T) {
	d, _ := first(t, vpx(t, nil), encode.CodecVP9)
	if s, r := d.frame.ColorSpace(), d.frame.ColorRange(); s != colorSpace || r != colorRange {
		t.Errorf("decoded with matrix %v, range %v; want %v, %v", s, r, colorSpace, colorRange)
	}
}

// first encodes a picture, and returns it with a decoder that has decoded it.
func first(t *testing.T, f encode.Factory, codec string) (*decoder, encode.AccessUnit) {
	t.Helper()
	e := open(t, f, encode.Params{Width: 640, Height: 360, FPS: 30, BitsPerSecond: 1e6})
	frame := newFrame(640, 360)
	frame.Time = time.Now()
	unit, err := e.Encode(frame, encode.Order{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDecoder(codec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.free)
	if _, err := d.decode(unit.Data); err != nil {
		t.Fatal(err)
	}
	return d, unit
}

// The other ways through the encoder, with the one codec that works everywhere.
func TestX264ReopenedAtEachRateKeepsTheContract(t *testing.T) {
	encodetest.Run(t, x264(t, func(p *encode.Profile) { p.Price = encode.PriceReopen }))
}

func TestX264FromNV12KeepsTheContract(t *testing.T) {
	encodetest.Run(t, x264(t, func(p *encode.Profile) { p.PixelFormat = "nv12" }))
}

// setOf gives an option of a profile another value. It removes the option if the value is empty.
func setOf(p *encode.Profile, name, value string) {
	p.Options = slices.DeleteFunc(p.Options, func(o encode.Option) bool { return o.Name == name })
	if value != "" {
		p.Options = append(p.Options, encode.Option{Name: name, Value: value})
	}
}

func TestX264OpensAndChangesItsRateWithoutComplaint(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	SetLogger(log)
	defer SetLogger(nil)
	p, _ := encode.FindProfile("libx264")
	e := open(t, New(p, log), encode.Params{Width: 1280, Height: 720, FPS: 60, BitsPerSecond: 4e6})
	f := newFrame(1280, 720)
	f.Time = time.Now()
	for n, rate := range []int{4e6, 2e6, 3e5, 8e6, 1000} {
		if err := e.SetRate(encode.Rate{BitsPerSecond: rate, FPS: 60}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Encode(f.Retain(), encode.Order{Key: n == 2}); err != nil {
			t.Fatal(err)
		}
	}
	if text.Len() != 0 {
		t.Errorf("FFmpeg complained:\n%s", text.String())
	}
	// The same way finds a mistake in the parameters that only x264 itself parses.
	setOf(&p, "x264-params", "me=umh:merrange=64")
	open(t, New(p, log), encode.Params{Width: 64, Height: 64, FPS: 30, BitsPerSecond: 1e6})
	if !strings.Contains(text.String(), "merrange") {
		t.Errorf("a misspelled parameter went unnoticed; log %q", text.String())
	}
}

func TestX264StreamSaysWhatItIs(t *testing.T) {
	d, unit := first(t, x264(t, nil), encode.CodecH264)
	at := bytes.Index(unit.Data, []byte{0, 0, 1, 0x67})
	if at < 0 {
		t.Fatal("no SPS")
	}
	if sps := unit.Data[at+4:]; sps[0] != 100 {
		t.Errorf("profile_idc %d; want 100, high", sps[0])
	}
	if s, r := d.frame.ColorSpace(), d.frame.ColorRange(); s != colorSpace || r != colorRange {
		t.Errorf("decoded with matrix %v, range %v; want %v, %v", s, r, colorSpace, colorRange)
	}
	if p, c := d.context.ColorPrimaries(), d.context.ColorTransferCharacteristic(); p != colorPrimaries ||
		c != colorTransfer {
		t.Errorf("decoded with primaries %v, transfer %v; want %v, %v", p, c, colorPrimaries, colorTransfer)
	}
}

// The stream uses the highest profile that its decoders support.
func TestX264StatesTheProfileOfItsDecoders(t *testing.T) {
	for most, want := range map[encode.H264Profile][2]byte{
		encode.ConstrainedBaseline: {66, 0x40}, encode.Main: {77, 0x40}, encode.High: {100, 0}, 0: {100, 0}, // set1: main
	} {
		sps := sequence(t, encode.Params{Width: 640, Height: 360, FPS: 30, BitsPerSecond: 1e6, H264: most})
		if sps[0] != want[0] || sps[1]&0x40 != want[1] {
			t.Errorf("for a decoder of %q: profile_idc %d, constraints %08b; want %d, %08b", most,
				sps[0], sps[1], want[0], want[1])
		}
	}
}

// A page of text that came at once and stays, at a rate that cannot show it sharp at first.
func TestX264SharpensAStillPicture(t *testing.T) {
	const width, height, pictures = 640, 352, 75
	e := open(t, x264(t, nil), encode.Params{Width: width, Height: height, FPS: 30, BitsPerSecond: 1e6})
	d, err := newDecoder(encode.CodecH264)
	if err != nil {
		t.Fatal(err)
	}
	defer d.free()
	f := text(width, height)
	f.Time = time.Now()
	var psnr, qp []float64
	for n := range pictures {
		given := f.Retain()
		if n > 0 {
			given.Release()
			given = nil
		}
		unit, err := e.Encode(given, encode.Order{Time: f.Time.Add(time.Duration(n) * time.Second / 30)})
		if err != nil {
			t.Fatal(err)
		}
		p, err := d.decode(unit.Data)
		if err != nil {
			t.Fatal(err)
		}
		db, err := p.psnr(f.Pix, width, height)
		if err != nil {
			t.Fatal(err)
		}
		psnr, qp = append(psnr, db), append(qp, unit.QP)
		if unit.QP < 0 || unit.QP > 51 {
			t.Fatalf("picture %d: QP %v is not from 0 to 51", n, unit.QP)
		}
	}
	first, last := 0, pictures-1
	if psnr[first] > 25 || psnr[last] < 40 {
		t.Errorf("PSNR %.1f dB at first, %.1f at last; want it coarse, then sharp", psnr[first], psnr[last])
	}
	if qp[first] < 30 || qp[last] >= qp[first]-20 {
		t.Errorf("QP %v at first, %v at last", qp[first], qp[last])
	}
}

// TestDamageOnlyEncodingShowsEveryChange sends changes with their damage alone and looks at what a viewer sees.
func TestDamageOnlyEncodingShowsEveryChange(t *testing.T) {
	const width, height = 320, 240
	rng := rand.New(rand.NewPCG(9, 10))
	e := open(t, x264(t, nil), encode.Params{Width: width, Height: height, FPS: 30, BitsPerSecond: 8e6})
	d, err := newDecoder(encode.CodecH264)
	if err != nil {
		t.Fatal(err)
	}
	defer d.free()
	f := capture.NewFrame(nil)
	f.Width, f.Height, f.Stride, f.Pix = width, height, 4*width, make([]byte, 4*width*height)
	f.Time = time.Now()
	f.Damage = append(f.Damage, f.Bounds())
	worst := math.Inf(1)
	for n := range 60 {
		if n > 0 {
			x, y, w, h := rng.IntN(width-60), rng.IntN(height-40), 1+rng.IntN(60), 1+rng.IntN(40)
			f.Damage = f.Damage[:0]
			r := f.Bounds()
			r.Min.X, r.Min.Y, r.Max.X, r.Max.Y = x, y, x+w, y+h
			f.Damage = append(f.Damage, r)
			colour := [4]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())}
			for y := r.Min.Y; y < r.Max.Y; y++ {
				for x := r.Min.X; x < r.Max.X; x++ {
					copy(f.Pix[y*f.Stride+4*x:], colour[:])
				}
			}
		}
		unit, err := e.Encode(f.Retain(), encode.Order{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := d.decode(unit.Data)
		if err != nil {
			t.Fatal(err)
		}
		psnr, err := p.psnr(f.Pix, width, height)
		if err != nil {
			t.Fatal(err)
		}
		worst = min(worst, psnr)
	}
	if worst < 35 {
		t.Errorf("worst PSNR %.1f dB; want 35", worst)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	p, _ := encode.FindProfile("libx264")
	params := encode.Params{Width: 64, Height: 64, FPS: 30, BitsPerSecond: 1e6}
	log := slog.New(slog.DiscardHandler)

	none := p
	none.Name = "no_such_codec"
	if _, err := New(
		none, log,
	).Open(
		params,
	); !errors.Is(err, encode.ErrNoEncoder) ||
		!strings.Contains(err.Error(), "no_such_codec") {
		t.Errorf("unknown codec: %v", err)
	}
	odd := p
	odd.Options = []encode.Option{{Name: "no_such_option", Value: "1"}}
	if _, err := New(odd, log).Open(params); err == nil || !strings.Contains(err.Error(), "no_such_option=1") {
		t.Errorf("unknown option: %v", err)
	}
	bad := p
	bad.Options = []encode.Option{{Name: "preset", Value: "sluggish"}}
	if _, err := New(
		bad, log,
	).Open(
		params,
	); err == nil ||
		!strings.Contains(err.Error(), "Error setting preset/tune sluggish") {
		t.Errorf("bad preset: got %v; want FFmpeg's own words", err)
	}
	if _, err := os.Stat("/dev/dri"); errors.Is(err, os.ErrNotExist) {
		va, _ := encode.FindProfile("h264_vaapi")
		va.Device, va.Limits = "/dev/dri/renderD199", encode.Limits{}
		_, err := New(va, log).Open(params)
		if !errors.Is(err, encode.ErrNoEncoder) || !strings.Contains(err.Error(), "renderD199") {
			t.Errorf("no device: got %v; want it named", err)
		}
	}
}

func TestProve(t *testing.T) {
	params := encode.Params{Width: 320, Height: 240, FPS: 30, BitsPerSecond: 1e6}
	swapped := func(f *capture.Frame) {
		for i := 0; i+3 < len(f.Pix); i += 4 {
			f.Pix[i], f.Pix[i+2] = f.Pix[i+2], f.Pix[i]
		}
	}
	for _, test := range []struct {
		name    string
		factory encode.Factory
		why     string
	}{
		{"works", x264(t, nil), ""},
		{"works in VP9", vpx(t, nil), ""},
		{"works in VP8", vp8(t), ""},
		{
			"does not decode as VP9",
			spoiled{vpx(t, nil), nil, func(b []byte) []byte { return b[:len(b)/2] }},
			"does not decode",
		},
		{"works when reopened", x264(t, func(p *encode.Profile) { p.Price = encode.PriceReopen }), ""},
		{"does not encode the picture", spoiled{x264(t, nil), swapped, nil}, "decodes to another picture"},
		{"does not decode", spoiled{x264(t, nil), nil, func(b []byte) []byte { return b[:len(b)/2] }}, "does not decode"},
		{"is a fake", encodetest.New(encodetest.Config{}), "does not decode"},
		{"holds frames back", x264(t, func(p *encode.Profile) {
			setOf(p, "tune", "")
			setOf(p, "rc-lookahead", "")
		}), "holds frames back"},
		{
			"fails", encodetest.New(encodetest.Config{OnEncode: func(int) error { return errors.New("driver down") }}),
			"frame 0: driver down",
		},
		{
			"is not there", encodetest.New(encodetest.Config{OpenErr: fmt.Errorf("no device: %w", encode.ErrNoEncoder)}),
			"no device",
		},
		{"has no room", encodetest.New(encodetest.Config{OpenErr: encodetest.ErrLimit}), "incompatible client key"},
		{
			"makes periodic keyframes", x264(t, func(p *encode.Profile) { setOf(p, "g", "5") }),
			"frame 5 is a keyframe without a request",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			proof := Prove(t.Context(), test.factory, params)
			if proof.Usable != (test.why == "") || !strings.Contains(proof.Why, test.why) {
				t.Fatalf("got %+v; want reason %q", proof, test.why)
			}
			want := encode.FailureBroken
			switch test.name {
			case "is not there":
				want = encode.FailureMissing
			case "has no room":
				want = encode.FailureBusy
			}
			if !proof.Usable && proof.Failure != want {
				t.Errorf("the failure is %q; want %q", proof.Failure, want)
			}
			// What a million pixels take is not measured on a machine that is too busy for it: TestMeasure has the
			// time.
			if proof.Usable &&
				(proof.PSNR < 30 || proof.FirstFrame <= 0 || proof.MeanEncode <= 0 ||
					proof.Profile != test.factory.Profile().Name) {
				t.Errorf("got figures %+v", proof)
			}
		})
	}
}

func TestMeasure(t *testing.T) {
	for _, f := range []encode.Factory{x264(t, nil), vpx(t, nil), vp8(t)} {
		perMegapixel, err := measure(t.Context(), f, 0, time.Minute)
		if err != nil || perMegapixel < 100*time.Microsecond || perMegapixel > time.Second {
			t.Errorf("a million pixels take %s %v, %v; want a time of an encoder", f.Profile().Name, perMegapixel, err)
		}
	}
	// Without the time for a few pictures there is no figure.
	if perMegapixel, err := measure(t.Context(), encodetest.New(encodetest.Config{}), 0, -1); err == nil {
		t.Errorf("measured %v in no time; want an error", perMegapixel)
	}
}

// spoiled changes what goes into an encoder or what comes out of it.
type spoiled struct {
	encode.Factory
	in  func(*capture.Frame)
	out func([]byte) []byte
}

type spoiledEncoder struct {
	encode.Encoder
	how spoiled
}

func (s spoiled) Open(p encode.Params) (encode.Encoder, error) {
	e, err := s.Factory.Open(p)
	return spoiledEncoder{e, s}, err
}

func (s spoiledEncoder) Encode(f *capture.Frame, o encode.Order) (encode.AccessUnit, error) {
	if s.how.in != nil {
		other := capture.NewFrame(nil)
		other.Pix, other.Stride, other.Width, other.Height = bytes.Clone(f.Pix), f.Stride, f.Width, f.Height
		other.Damage, other.Time, other.Seq = f.Damage, f.Time, f.Seq
		s.how.in(other)
		f.Release()
		f = other
	}
	unit, err := s.Encoder.Encode(f, o)
	if s.how.out != nil && err == nil {
		unit.Data = s.how.out(unit.Data)
	}
	return unit, err
}

func TestOpeningAndClosingLeaksNothing(t *testing.T) {
	f := newFrame(1280, 720)
	f.Time = time.Now()
	reopened := x264(t, func(p *encode.Profile) { p.Price = encode.PriceReopen })
	cycle := func() {
		e, err := reopened.Open(encode.Params{Width: 640, Height: 360, FPS: 30, BitsPerSecond: 1e6})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			if _, err := e.Encode(f.Retain(), encode.Order{}); err != nil {
				t.Fatal(err)
			}
			if err := e.SetRate(encode.Rate{BitsPerSecond: 2e6 + n, FPS: 30}); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// One picture of 640x360 has 0.35 MB, the codec's own state some MB. A leak leaves them behind each time; the C
	// library keeps some memory for each thread that is new to it, which ends.
	const opens, few = 50, 10 << 20
	var grown []int
	for range 4 {
		before := resident(t)
		for range opens {
			cycle()
		}
		grown = append(grown, resident(t)-before)
		if grown[len(grown)-1] <= few {
			return
		}
	}
	t.Errorf("%d encoders at a time left %d bytes behind", opens, grown)
}

// resident returns the size of the process's memory in bytes.
func resident(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skipf("skipped until there is a /proc: %v", err)
	}
	var total, pages int
	if _, err := fmt.Sscan(string(data), &total, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// sequence returns the sequence parameter set of a stream of x264: profile_idc, constraints, level_idc and so on.
func sequence(t *testing.T, p encode.Params) []byte {
	t.Helper()
	f := text(p.Width, p.Height)
	f.Time = time.Now()
	unit, err := open(t, x264(t, nil), p).Encode(f, encode.Order{})
	if err != nil {
		t.Fatal(err)
	}
	_, sps, found := bytes.Cut(unit.Data, []byte{0, 0, 1, 0x67})
	if !found || len(sps) < 3 {
		t.Fatal("the stream begins without a sequence parameter set")
	}
	return sps
}

// The stream states the agreed level, not the level that x264 would choose.
func TestX264StatesTheLevelAskedFor(t *testing.T) {
	for _, level := range []int{31, 40, 51} {
		sps := sequence(t, encode.Params{Width: 640, Height: 360, FPS: 30, BitsPerSecond: 1e6, Level: level})
		if int(sps[2]) != level {
			t.Errorf("level_idc %d; want %d", sps[2], level)
		}
	}
}
