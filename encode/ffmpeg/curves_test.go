//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest/scene"
)

// setting is an encoder with changed options.
type setting struct {
	name    string
	profile encode.Profile
	params  encode.Params
	content encode.Content
}

// point is what a setting makes of a scene at a rate.
type point struct {
	rate  int // bits per second that came out
	ssim  float64
	psnr  float64
	took  time.Duration // CPU of a picture, conversion included
	qp    float64       // mean quantizer
	worst float64       // largest picture after the first second, in shares of the rate
}

// settings parses settings: NAME=ENCODER[,OPTION=VALUE…] separated by ";". The option h264 is the highest profile.
func settings(t testing.TB, text string) (list []setting) {
	t.Helper()
	for one := range strings.SplitSeq(text, ";") {
		name, rest, _ := strings.Cut(strings.TrimSpace(one), "=")
		parts := strings.Split(rest, ",")
		s := setting{name: name}
		var ok bool
		if s.profile, ok = encode.FindProfile(parts[0]); !ok {
			t.Fatalf("no encoder %q", parts[0])
		}
		for _, o := range parts[1:] {
			key, value, _ := strings.Cut(o, "=")
			n, _ := strconv.Atoi(value)
			switch key {
			case "h264":
				s.params.H264 = encode.H264Profile(n)
			case "content":
				s.content = encode.Content(n)
			case "threads":
				s.params.Threads = n
			case "finest":
				s.profile.Finest = n
			case "buffer":
				s.profile.Buffer = n
			default:
				s.profile.Options = slices.DeleteFunc(s.profile.Options, func(o encode.Option) bool { return o.Name == key })
				for i := range s.profile.H264 {
					h := &s.profile.H264[i]
					h.Options = slices.DeleteFunc(h.Options, func(o encode.Option) bool { return o.Name == key })
				}
				if value != "" {
					s.profile.Options = append(s.profile.Options, encode.Option{Name: key, Value: value})
				}
			}
		}
		list = append(list, s)
	}
	return list
}

// measure encodes a scene for some seconds, and scores all but the first.
func (s setting) measure(t testing.TB, sc scene.Scene, width, height, rate, seconds int) (p point) {
	t.Helper()
	s.params.Width, s.params.Height, s.params.FPS, s.params.BitsPerSecond = width, height, 60, rate
	enc, err := New(s.profile, slog.New(slog.DiscardHandler)).Open(s.params)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	d, err := newDecoder(s.profile.Format.Codec)
	if err != nil {
		t.Fatal(err)
	}
	defer d.free()
	pix, start := make([]byte, 4*width*height), time.Now()
	var bits, count, scored int
	var square float64
	for n := range 60 * seconds {
		f := sc.Frame(pix, width, height, n, start)
		if len(f.Damage) == 0 && n%6 != 0 { // a still picture is refined, but here less often than by the daemon
			f.Release()
			continue
		}
		before := cpuTime(t)
		unit, err := enc.Encode(f, encode.Order{Content: s.content})
		took := cpuTime(t) - before
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.decode(unit.Data)
		if err != nil {
			t.Fatal(err)
		}
		if n < 60 {
			continue
		}
		p.qp += unit.QP
		count++
		bits += 8 * len(unit.Data)
		p.took += took
		p.worst = max(p.worst, float64(8*len(unit.Data)*60)/float64(rate))
		if n%3 != 0 {
			continue
		}
		scored++
		c := converterOf(enc)
		luma := planeOf(c)
		p.ssim += scene.SSIM(got.data, luma, width, height, width, width)
		db, err := lumaPSNR(got, c)
		if err != nil {
			t.Fatal(err)
		}
		square += math.Pow(10, -db/10)
	}
	p.rate = bits / (seconds - 1)
	p.qp /= float64(max(count, 1))
	p.took /= time.Duration(max(count, 1))
	p.ssim /= float64(max(scored, 1))
	p.psnr = -10 * math.Log10(square/float64(max(scored, 1)))
	return p
}

// bits returns how much more rate b takes than a for the same SSIM, on average over the curve: -0.1 is a tenth less.
func bits(a, b []point) float64 {
	db := func(p point) float64 { return -10 * math.Log10(1-min(p.ssim, 0.999999)) }
	low := math.Max(db(a[0]), db(b[0]))
	high := math.Min(db(a[len(a)-1]), db(b[len(b)-1]))
	at := func(curve []point, q float64) float64 {
		for i := 1; i < len(curve); i++ {
			p, n := curve[i-1], curve[i]
			if q <= db(n) || i == len(curve)-1 {
				f := (q - db(p)) / (db(n) - db(p))
				return math.Log(float64(p.rate)) + f*(math.Log(float64(n.rate))-math.Log(float64(p.rate)))
			}
		}
		return math.NaN()
	}
	if high <= low {
		return math.NaN()
	}
	const steps = 50
	sum := 0.0
	for i := range steps {
		q := low + (high-low)*(float64(i)+0.5)/steps
		sum += at(b, q) - at(a, q)
	}
	return math.Exp(sum/steps) - 1
}

// BenchmarkCurves compares settings of encoders by rate, quality and CPU on the scenes, all in one run. WAVRY_CURVES
// has other settings, WAVRY_SCENES some of the scenes, WAVRY_RATES rates in kbit/s, WAVRY_SIZE the height in pixels.
func BenchmarkCurves(b *testing.B) {
	list := settings(b, cmp.Or(os.Getenv("WAVRY_CURVES"), defaultCurves))
	height, _ := strconv.Atoi(cmp.Or(os.Getenv("WAVRY_SIZE"), "720"))
	width := height * 16 / 9
	var rates []int
	for one := range strings.SplitSeq(cmp.Or(os.Getenv("WAVRY_RATES"), "1000,2000,4000,8000"), ",") {
		n, _ := strconv.Atoi(one)
		rates = append(rates, 1000*n)
	}
	for b.Loop() {
		for _, sc := range scene.All(width, height) {
			if only := os.Getenv("WAVRY_SCENES"); only != "" && !slices.Contains(strings.Split(only, ","), sc.Name) {
				continue
			}
			curves := make([][]point, len(list))
			for _, rate := range rates {
				for i, s := range list {
					curves[i] = append(curves[i], s.measure(b, sc, width, height, rate, 3))
				}
			}
			for i, s := range list {
				text, took := "", time.Duration(0)
				for _, p := range curves[i] {
					text += fmt.Sprintf(" | %.4f %.1f qp %.1f (%d, %.1f)", p.ssim, p.psnr, p.qp, p.rate/1000, p.worst)
					took += p.took
				}
				b.Logf("%-11s | %-22s%s | %+.0f %% | %.2f ms", sc.Name, s.name, text, 100*bits(curves[0], curves[i]),
					(took/time.Duration(len(rates))).Seconds()*1000)
			}
		}
	}
}

// defaultCurves are the settings in docs/develop/encoders.md.
const defaultCurves = "baseline, deblocking off=libx264,h264=1,deblock=;baseline=libx264,h264=1;main=libx264,h264=2;" +
	"high=libx264;high, text=libx264,content=1;high, film=libx264,content=3;VP9=libvpx-vp9;VP8=libvpx"

// planeOf returns the luma of the picture that was encoded last, without gaps between the rows.
func planeOf(c *converter) []byte {
	pixels, err := c.picture.Data().Bytes(1)
	if err != nil {
		panic(err)
	}
	return pixels
}

// converterOf returns the converter of an encoder.
func converterOf(e encode.Encoder) *converter {
	if a, ok := e.(*aomEncoder); ok {
		return a.converter
	}
	return e.(*encoder).converter
}

func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	d, ok := processorTime()
	if !ok {
		t.Fatal("processor time is not known here")
	}
	return d
}
