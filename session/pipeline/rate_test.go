package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// The viewers' controllers hold back rate changes from the first picture of a costly encoder on, not from its first
// rate change.
func TestPriceOfAFallbackIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "bad"}, OnEncode: func(n int) error {
			if n > 10 {
				return errTest
			}
			return nil
		}})
		costly := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "costly", Price: encode.PriceReopen}})
		r := openRig(t, 60, bad, costly)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(100 * time.Millisecond)
		if got := v.last().Price; got != adapt.PriceFree {
			t.Errorf("the first encoder's price is told as %d; want %d", got, adapt.PriceFree)
		}
		move(r.screen, time.Second)
		if got := v.last(); got.Price != adapt.PriceReopen ||
			got.BitsPerSecond != v.Demand(time.Now()).BitsPerSecond || got.Width == 0 {
			t.Errorf("after the fallback the viewer was told %+v; want the price, its rate and its size", got)
		}
		r.close(t)
	})
}

// Each of two viewers raises its rate every two seconds, as the price permits. The lower of the two then rises every
// second.
func TestLeastOfSeveralIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "costly", Price: encode.PriceKeyframe}})
		r := openRig(t, 60, enc)
		viewers := [2]*fakeViewer{newFakeViewer(), newFakeViewer()}
		rate := 500_000
		for i, v := range viewers {
			v.set(func(w *Demand) { w.BitsPerSecond = rate + i*rate/7 })
			r.encodings.list[0].Subscribe(v)
		}
		move(r.screen, 3*time.Second)
		before := len(enc.Stats().Rates)
		const steps = 12
		for i := range steps {
			rate += rate / 7
			// Above the other's, which is the least from here on.
			viewers[i%2].set(func(w *Demand) { w.BitsPerSecond = rate + rate/7 })
			move(r.screen, time.Second)
		}
		if n := len(enc.Stats().Rates) - before; n < steps/3 || n > steps/2 {
			t.Errorf("the encoder was told %d rates in %d s; want one in two seconds at most", n, steps)
		}
		r.close(t)
	})
}

func TestCostlyRateChangesAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "costly", Price: encode.PriceKeyframe}})
		r := openRig(t, 60, enc)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		move(r.screen, 3*time.Second)
		before := len(enc.Stats().Rates)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 100 {
				v.set(func(a *Demand) { a.BitsPerSecond = 2_000_000 + i%2*1_000_000 })
				time.Sleep(50 * time.Millisecond)
			}
		}()
		move(r.screen, 5*time.Second)
		<-done
		if n := len(enc.Stats().Rates) - before; n < 2 || n > 6 {
			t.Errorf("the encoder's rate was changed %d times in 5 s; want one raise every 2 s and the cuts between", n)
		}
		r.close(t)
	})
}

// The ladder for text has steps of the frame rate only.
func TestFrameRateAloneReachesAnEncoderWithAPrice(t *testing.T) {
	for _, price := range []encode.Price{encode.PriceFree, encode.PriceKeyframe, encode.PriceReopen} {
		t.Run(price.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				enc := encodetest.New(encodetest.Config{Profile: encode.Profile{Price: price}})
				r := openRig(t, 60, enc)
				v := newFakeViewer()
				v.demand.BitsPerSecond, v.demand.FPS = 1_000_000, 10
				r.encodings.list[0].Subscribe(v)
				time.Sleep(time.Second)
				if p := enc.Stats().Params[0]; price != encode.PriceFree && p.FPS != 10 {
					t.Errorf("opened for %d frames a second; want the 10 that there are", p.FPS)
				}
				for _, fps := range []int{10, 60, 20, 5} {
					v.set(func(a *Demand) { a.FPS = fps })
					move(r.screen, costlyRaise+time.Second)
					before, _ := v.got()
					move(r.screen, time.Second)
					units := v.pictures(before)
					share := 1_000_000 / 8 / fps
					for _, au := range units {
						if n := len(au.Data); n < share*9/10 || n > share*11/10 {
							t.Fatalf("a picture of %d frames a second takes %d bytes; want its share of the rate, %d",
								fps, n, share)
						}
					}
					if got := v.last(); got.FPS != fps || got.BitsPerSecond < 900_000 || got.BitsPerSecond > 1_100_000 {
						t.Errorf("at %d frames a second the viewer was told %+v", fps, got)
					}
				}
				if got := rateRatioMean(t, r.reg); got < 0.9 || got > 1.1 {
					t.Errorf("mean of the rate ratio %.2f; want 1, as the fake takes exactly its rate", got)
				}
				r.close(t)
			})
		})
	}
}

// A rate that is too low for all pictures takes fewer of them, in steps, so that the encoder can make each.
func TestLowRateTakesFewerPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		least := encode.Share{Bits: 1000, PerPixel: 0.01}
		r := openRig(t, 60, encodetest.New(encodetest.Config{Profile: encode.Profile{Least: least}}))
		r.screen.Resize(1280, 720)
		v := newFakeViewer()
		v.subscribe(r.encodings.list[0])
		move(r.screen, time.Second)
		for _, c := range []struct{ rate, fps int }{
			{2_000_000, 60},
			{620_000, 60},
			{600_000, 55},
			{300_000, 25},
			{290_000, 25},
			{40_000, 3},
			{10_000, 1},
			{2_000_000, 60},
		} {
			v.set(func(d *Demand) { d.BitsPerSecond = c.rate })
			move(r.screen, 2*time.Second)
			before, _ := v.got()
			move(r.screen, 2*time.Second)
			if n := len(v.pictures(before)); n < 2*c.fps-2 || n > 2*c.fps+2 {
				t.Errorf("at %d bit/s %d pictures in two seconds; want %d", c.rate, n, 2*c.fps)
			}
			if got := v.last(); got.FPS != c.fps {
				t.Errorf("at %d bit/s the viewer was told %d pictures a second; want %d", c.rate, got.FPS, c.fps)
			}
		}
		r.close(t)
	})
}

func rateRatioMean(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "wavry_host_encoder_rate_ratio" {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleSum() / float64(h.GetSampleCount())
		}
	}
	t.Fatal("no rate ratio")
	return 0
}
