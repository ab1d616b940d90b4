package pipeline

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func TestSizeChangeReopensTheEncoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		r := openRig(t, 60, enc)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(time.Second)
		before, _ := v.got()
		r.screen.Resize(1281, 721)
		time.Sleep(50 * time.Millisecond)
		if au := v.pictures(before)[0]; !au.Key || au.Width != 1282 || au.Height != 722 {
			t.Errorf("key %v, %dx%d; want a keyframe of 1282x722", au.Key, au.Width, au.Height)
		}
		v.set(func(a *Demand) { a.Scale = .5 })
		r.screen.Touch(spot)
		time.Sleep(50 * time.Millisecond)
		if units := v.pictures(0); units[len(units)-1].Width != 640 || units[len(units)-1].Height != 360 {
			t.Errorf("%dx%d; want half the size", units[len(units)-1].Width, units[len(units)-1].Height)
		}
		if s := enc.Stats(); s.Opened-s.Closed != 1 {
			t.Errorf("%d encoders are open; want 1", s.Opened-s.Closed)
		}
		if n := len(r.kinds()); n != 0 {
			t.Errorf("%d events; want none", n)
		}
		r.close(t)
	})
}

func TestFailingEncoderIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "bad"}, OnEncode: func(n int) error {
			if n > 10 {
				return errTest
			}
			return nil
		}})
		good := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "good"}})
		r := openRig(t, 60, bad, good)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(100 * time.Millisecond)
		before, keys := v.got()
		move(r.screen, time.Second)
		if n, k := v.got(); n-before < 55 || k-keys != 1 {
			t.Errorf("%d pictures, %d keyframes in the second of the fallback; want 57 or more and 1", n-before, k-keys)
		}
		if n := testutil.ToFloat64(r.met.fallbacks.WithLabelValues(encode.CodecH264, "bad", "good",
			FallbackError.String())); n != 1 {
			t.Errorf("counted %v fallbacks; want 1", n)
		}
		if got := r.encodings.list[0].Status().Encoder; got != "good" {
			t.Errorf("encoder %q in use; want good", got)
		}
		if got := r.kinds(); !slices.Equal(got, []kind{encoderReplaced}) {
			t.Errorf("events %v; want one fallback", got)
		}
		if s := bad.Stats(); s.Closed != s.Opened {
			t.Errorf("the failing encoder is not closed")
		}
		r.close(t)
	})
}

func TestHangingEncoderIsAbandonedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		bad := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "bad"}, OnEncode: func(n int) error {
			if n == 3 {
				<-release
			}
			return nil
		}})
		good := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "good"}})
		r := openRig(t, 60, bad, good)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		first := r.screen.Source()
		move(r.screen, time.Second)
		if n := testutil.ToFloat64(r.met.hungEncoders); n != 0 {
			t.Fatalf("%v encoders count as hung before the time", n)
		}
		move(r.screen, 2*time.Second)
		if n := testutil.ToFloat64(r.met.hungEncoders); n != 1 {
			t.Errorf("%v encoders count as hung; want 1", n)
		}
		if n := testutil.ToFloat64(r.met.fallbacks.WithLabelValues(encode.CodecH264, "bad", "good",
			FallbackHang.String())); n != 1 {
			t.Errorf("counted %v fallbacks; want 1", n)
		}
		before, _ := v.got()
		move(r.screen, time.Second)
		if n, _ := v.got(); n-before < 55 {
			t.Errorf("%d pictures in a second after the fallback", n-before)
		}
		if r.screen.Source() == first {
			t.Error("the source whose frame the encoder holds was not replaced")
		}
		if slices.Contains(r.kinds(), displayLost) {
			t.Error("the display counts as lost")
		}
		close(release)
		synctest.Wait()
		if n := testutil.ToFloat64(r.met.hungEncoders); n != 0 {
			t.Errorf("%v encoders count as hung after it returned; want 0", n)
		}
		if n := first.Leaked(); n != 0 {
			t.Errorf("%d frames of the first source are not released", n)
		}
		r.close(t)
	})
}

func TestWithoutAnEncoderThatWorksThePictureStandsAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		enc := encodetest.New(encodetest.Config{OnEncode: func(n int) error {
			if broken.Load() && n > 5 {
				return errTest
			}
			return nil
		}})
		r := openRig(t, 60, enc)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		move(r.screen, 200*time.Millisecond)
		if !r.encodings.list[0].Status().Stuck {
			t.Error("the encoding does not say that it is stuck")
		}
		move(r.screen, 20*time.Second)
		if n := enc.Stats().Opened; n < 3 || n > 8 {
			t.Errorf("opened %d encoders in 20 s; want a backoff", n)
		}
		broken.Store(false)
		before, _ := v.got()
		move(r.screen, 12*time.Second)
		if n, _ := v.got(); n == before || r.encodings.list[0].Status().Stuck {
			t.Errorf("%d pictures after an encoder works again; want some", n-before)
		}
		r.close(t)
	})
}
