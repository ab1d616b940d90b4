package pipeline

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// A device that stops to work costs its viewers less than a second, whatever it does. Once its ban has ended, it is
// used again.
func TestDeviceThatFailsIsReplacedWithinASecondAndUsedAgain(t *testing.T) {
	for _, c := range []struct {
		reason FallbackReason
		fault  func(release <-chan struct{}) error
	}{
		{FallbackError, func(<-chan struct{}) error { return errTest }},
		{FallbackOutput, func(<-chan struct{}) error { return fmt.Errorf("keyframe: %w", encode.ErrOutput) }},
		{FallbackHang, func(release <-chan struct{}) error { <-release; return nil }},
	} {
		t.Run(c.reason.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const fails = 90
				release := make(chan struct{})
				var calls atomic.Int64
				device := encodetest.New(encodetest.Config{
					Profile: encode.Profile{Name: "device", Hardware: true},
					OnEncode: func(int) error {
						if calls.Add(1) == fails {
							return c.fault(release)
						}
						return nil
					},
				})
				software := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "software"}})
				r := openRig(t, 60, device, software)
				v := newFakeViewer()
				r.encodings.list[0].Subscribe(v)
				move(r.screen, time.Second)
				before, keys := v.got()
				move(r.screen, 3*time.Second/2)
				if n, k := v.got(); n-before < 40 || k-keys < 1 || k-keys > 2 {
					t.Errorf("%d pictures, %d keyframes in 1.5 s; want 40 at least, and 1 or 2 with another source", n-before, k-keys)
				}
				if n := testutil.ToFloat64(r.met.fallbacks.WithLabelValues(encode.CodecH264, "device", "software",
					c.reason.String())); n != 1 {
					t.Errorf("counted %v fallbacks for this reason; want 1", n)
				}
				// The first trial hangs again, and costs no more than before.
				calls.Store(fails - 1)
				before, _ = v.got()
				move(r.screen, firstBan)
				if n, _ := v.got(); n-before < 60*int(firstBan/time.Second)-60 {
					t.Errorf("%d pictures during the ban and the first trial after it", n-before)
				}
				close(release)
				move(r.screen, 2*firstBan+2*time.Second)
				if got := r.encodings.list[0].Status().Encoder; got != "device" {
					t.Errorf("encoder %q after the ban; want the device", got)
				}
				r.close(t)
			})
		})
	}
}

func TestDeviceThatIsSlowOnceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := encodetest.New(encodetest.Config{
			Profile: encode.Profile{Name: "device", Hardware: true},
			OnEncode: func(n int) error {
				if n == 30 {
					time.Sleep(deviceTimeout * 9 / 10)
				}
				return nil
			},
		})
		r := openRig(t, 60, device)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		move(r.screen, 2*time.Second)
		if n := len(r.kinds()); n != 0 {
			t.Errorf("%d events; want none for a device that is slow once", n)
		}
		r.close(t)
	})
}

// heavyFactory's encoders make pictures of several times their share.
type heavyFactory struct {
	encode.Factory
	times int
}

type heavyEncoder struct {
	encode.Encoder
	times int
}

func (f heavyFactory) Open(p encode.Params) (encode.Encoder, error) {
	e, err := f.Factory.Open(p)
	return heavyEncoder{e, f.times}, err
}

func (e heavyEncoder) Encode(f *capture.Frame, o encode.Order) (encode.AccessUnit, error) {
	au, err := e.Encoder.Encode(f, o)
	au.Data = bytes.Repeat(au.Data, e.times)
	return au, err
}

func TestDeviceThatDoesNotKeepItsRateIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name     string
		hardware bool
		times    int
		rate     int
		want     string
	}{
		{"three times the rate", true, 3, 5_000_000, "software"},
		{"a little more than the rate", true, 1, 5_000_000, "device"},
		{"a rate that is too low for any encoder", true, 3, 150_000, "device"},
		{"software at its coarsest", false, 3, 5_000_000, "device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				device := heavyFactory{encodetest.New(encodetest.Config{
					Profile: encode.Profile{Name: "device", Hardware: c.hardware},
				}), c.times}
				software := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "software"}})
				r := openRig(t, 60, device, software)
				v := newFakeViewer()
				v.demand.BitsPerSecond = c.rate
				r.encodings.list[0].Subscribe(v)
				move(r.screen, 4*time.Second)
				if got := r.encodings.list[0].Status().Encoder; got != c.want {
					t.Errorf("encoder %q after 4 s; want %q", got, c.want)
				}
				n := testutil.ToFloat64(r.met.fallbacks.WithLabelValues(encode.CodecH264, "device", "software",
					FallbackRate.String()))
				if (n == 1) != (c.want == "software") {
					t.Errorf("counted %v fallbacks for the rate", n)
				}
				r.close(t)
			})
		})
	}
}
