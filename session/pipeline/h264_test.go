package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// h264Encoder is an encoder of three H.264 profiles.
func h264Encoder() *encodetest.Fake {
	return encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "fake", H264: []encode.H264Options{
		{Profile: encode.ConstrainedBaseline}, {Profile: encode.Main}, {Profile: encode.High},
	}}})
}

func TestProfileIsTheBestThatAllDecodersSupport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := h264Encoder()
		th := openRig(t, 60, enc)
		high, low := newFakeViewer(), newFakeViewer()
		high.demand.Limits.H264, low.demand.Limits.H264 = encode.High, encode.ConstrainedBaseline
		profile := func() encode.H264Profile {
			opened := enc.Stats().Params
			return opened[len(opened)-1].H264
		}
		high.subscribe(th.encodings.list[0])
		move(th.screen, time.Second)
		if got := profile(); got != encode.High {
			t.Errorf("opened for %q with one viewer of high", got)
		}
		low.subscribe(th.encodings.list[0])
		move(th.screen, time.Second)
		if got := profile(); got != encode.ConstrainedBaseline {
			t.Errorf("opened for %q with a viewer of constrained baseline", got)
		}
		th.encodings.list[0].Unsubscribe(low)
		move(th.screen, time.Second)
		if got := profile(); got != encode.High {
			t.Errorf("opened for %q after that viewer has left", got)
		}
		if n := len(enc.Stats().Params); n != 3 {
			t.Errorf("%d encoders opened; want 3", n)
		}
		high.decodable(t)
		low.decodable(t)
		th.close(t)
	})
}

// A newcomer can decode the picture that is encoded again for it.
func TestNewcomerToAStillScreenGetsItsProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := h264Encoder()
		th := openRig(t, 60, enc)
		high, low := newFakeViewer(), newFakeViewer()
		high.demand.Limits.H264, low.demand.Limits.H264 = encode.High, encode.Main
		high.subscribe(th.encodings.list[0])
		move(th.screen, time.Second)
		th.live(5 * time.Second)
		low.subscribe(th.encodings.list[0])
		th.live(time.Second)
		if n, _ := low.got(); n == 0 {
			t.Fatal("the newcomer gets no picture")
		}
		opened := enc.Stats().Params
		if got := opened[len(opened)-1].H264; got != encode.Main {
			t.Errorf("its picture is of %q; want main", got)
		}
		low.decodable(t)
		th.close(t)
	})
}
