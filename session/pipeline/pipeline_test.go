package pipeline

import (
	"errors"
	"image"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func TestStagePreparesWithoutViewersAndThenCapturesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		move(th.screen, time.Second)
		if n := th.count(frameCaptured); n != 1 {
			t.Errorf("captured %d frames with no viewer; want 1", n)
		}
		if s := enc.Stats(); s.Pictures != 0 {
			t.Errorf("encoded %d pictures with no viewer; want 0", s.Pictures)
		}
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		synctest.Wait()
		if n, keys := v.got(); n != 1 || keys != 1 {
			t.Errorf("got %d pictures, %d keyframes at once; want 1 and 1", n, keys)
		}
		th.close(t)
	})
}

func TestViewerWhoIsConnectingGetsNothingButTheEncoderIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		v := newFakeViewer()
		v.demand.Live = false
		th.encodings[0].Subscribe(v)
		time.Sleep(time.Second)
		if s := enc.Stats(); s.Opened != 1 || s.Pictures != 0 {
			t.Errorf("opened %d encoders, encoded %d pictures; want 1 and 0", s.Opened, s.Pictures)
		}
		v.set(func(a *Demand) { a.Live = true })
		th.encodings[0].Nudge()
		synctest.Wait()
		if n, keys := v.got(); n != 1 || keys != 1 {
			t.Errorf("got %d pictures, %d keyframes; want 1 and 1", n, keys)
		}
		if age := time.Since(v.pictures(0)[0].Time); age != 0 {
			t.Errorf("the first picture is %v old; want one captured at the connection", age)
		}
		th.close(t)
	})
}

func TestStillScreenIsRefinedAndThenKeptAliveAtOneHertz(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(600 * time.Millisecond)
		// The fake's quantizer begins at 26 and falls by 2 each time.
		const repeats = 7
		refined := enc.Stats()
		if refined.Pictures != 1+repeats || refined.Repeats != repeats {
			t.Errorf("%d pictures, %d of them repeats, in 0.6 s; want %d and %d",
				refined.Pictures, refined.Repeats, 1+repeats, repeats)
		}
		if took := v.sentAt(repeats).Sub(v.sentAt(0)); took > (repeats+1)*time.Second/60 {
			t.Errorf("%d repeats took %v; want one in each frame time", repeats, took)
		}
		time.Sleep(10 * time.Second)
		if n := enc.Stats().Pictures - refined.Pictures; n < 9 || n > 10 {
			t.Errorf("%d pictures in the next 10 s; want at most one a second", n)
		}
		if n := th.count(frameCaptured); n > 2 {
			t.Errorf("captured %d frames of a still screen; want at most 2", n)
		}
		if n := testutil.ToFloat64(th.met.pictures.WithLabelValues(repeatAlive.String())); n < 9 {
			t.Errorf("counted %v keep-alives; want 9 or 10", n)
		}
		units := v.pictures(0)
		for i := 1; i < len(units); i++ {
			if !units[i].Time.After(units[i-1].Time) {
				t.Errorf("picture %d has the time of the one before", i)
			}
		}
		th.close(t)
	})
}

func TestChangeIsCapturedAtOnceAndThenAtTheFrameRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openRig(t, 50)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(5*time.Second + 3*time.Millisecond)
		before := len(th.screen.Source().Times())
		start := time.Now()
		move(th.screen, time.Second)
		times := th.screen.Source().Times()[before:]
		if d := times[0].Sub(start); d != 0 {
			t.Errorf("the first change was captured after %v; want at once", d)
		}
		if n := len(times); n < 49 || n > 51 {
			t.Errorf("captured %d frames in a second at 50 fps", n)
		}
		for i := 1; i < len(times); i++ {
			if d := times[i].Sub(times[i-1]); d < 19*time.Millisecond {
				t.Errorf("frames %d and %d are %v apart; want 20 ms", i-1, i, d)
			}
		}
		if n := th.count(frameEncoded); n < 49 {
			t.Errorf("encoded %d; want all that were captured", n)
		}
		th.close(t)
	})
}

func TestFrameRateFollowsTheLeastOfTheViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		a, b := newFakeViewer(), newFakeViewer()
		b.demand.FPS, b.demand.BitsPerSecond = 10, 500_000
		th.encodings[0].Subscribe(a)
		th.encodings[0].Subscribe(b)
		time.Sleep(time.Second)
		before, _ := a.got()
		move(th.screen, time.Second)
		if n, _ := a.got(); n-before < 9 || n-before > 12 {
			t.Errorf("got %d pictures in a second; want 10", n-before)
		}
		rates := enc.Stats().Rates
		if got, want := rates[len(rates)-1], (encodetest.Rate{BitsPerSecond: 500_000, FPS: 10}); got != want {
			t.Errorf("encoder was told %+v; want %+v", got, want)
		}
		if got := a.last(); got.BitsPerSecond != 500_000 || got.FPS != 10 {
			t.Errorf("the viewer was told %+v; want what was applied", got)
		}
		th.encodings[0].Unsubscribe(b)
		time.Sleep(100 * time.Millisecond)
		move(th.screen, time.Second)
		rates = enc.Stats().Rates
		if got, want := rates[len(rates)-1], (encodetest.Rate{BitsPerSecond: 2_000_000, FPS: 60}); got != want {
			t.Errorf("after the slow one left the encoder was told %+v; want %+v", got, want)
		}
		th.close(t)
	})
}

func TestEncoderThatIsBehindDropsFramesAndKeepsTheirDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{OnEncode: func(n int) error {
			if n > 1 {
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		}})
		th := openRig(t, 60, enc)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(2 * time.Second)
		captured, got := th.count(frameCaptured), len(v.pictures(0))
		// Ten changes in ten places while the encoder works on the first.
		for i := range 10 {
			th.screen.Touch(image.Rect(i*64, 0, i*64+64, 48))
			time.Sleep(17 * time.Millisecond)
		}
		time.Sleep(400 * time.Millisecond)
		captured = th.count(frameCaptured) - captured
		if th.dropped(DropBusy) == 0 || th.dropped(DropCongested) != 0 {
			t.Errorf("dropped %d busy, %d congested; want some and none",
				th.dropped(DropBusy), th.dropped(DropCongested))
		}
		v.mu.Lock()
		sum, frames := 0.0, 0
		for _, d := range v.dirty[got:] {
			sum += d
			if d > 0 {
				frames++
			}
		}
		v.mu.Unlock()
		if frames+th.dropped(DropBusy) != captured {
			t.Errorf("%d captured, %d encoded, %d dropped: some are not counted",
				captured, frames, th.dropped(DropBusy))
		}
		if want := 10 * 64 * 48 / 640.0 / 480.0; sum < want*.999 || sum > want*1.001 {
			t.Errorf("damage of %.3f of the picture reached the encoder; want %.3f", sum, want)
		}
		th.close(t)
	})
}

func TestOneViewerWithoutRoomHoldsTheNewestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openRig(t, 60)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(2 * time.Second)
		before, keys := v.got()
		v.set(func(a *Demand) { a.Ready = false })
		move(th.screen, 2*time.Second)
		if n, _ := v.got(); n > before {
			t.Errorf("%d pictures were encoded for a viewer without room", n-before)
		}
		if n := th.dropped(DropCongested); n < 5 || n > 40 {
			t.Errorf("dropped %d congested frames in 2 s; want about 10 a second", n)
		}
		v.set(func(a *Demand) { a.Ready = true })
		time.Sleep(congestedPoll + time.Millisecond)
		n, k := v.got()
		if n == before {
			t.Fatal("the frame that waited was not sent")
		}
		if k != keys {
			t.Error("a keyframe was made though no picture was missed")
		}
		age := v.sentAt(before).Sub(v.pictures(before)[0].Time)
		if age > slowCapture+congestedPoll+10*time.Millisecond {
			t.Errorf("the frame that waited is %v old; want a fresh one", age)
		}
		th.close(t)
	})
}

func TestSlowViewerDegradesItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		quick, slow := newFakeViewer(), newFakeViewer()
		slow.demand.BitsPerSecond = 300_000
		th.encodings[0].Subscribe(quick)
		th.encodings[0].Subscribe(slow)
		time.Sleep(2 * time.Second)
		slow.set(func(a *Demand) { a.Ready = false })
		before, keys := quick.got()
		n0, _ := slow.got()
		move(th.screen, 4*time.Second)
		n, k := quick.got()
		if n-before < 225 {
			t.Errorf("the quick viewer got %d pictures in 4 s; want 60 a second but for the wait of %v",
				n-before, patience)
		}
		if k != keys {
			t.Errorf("the quick viewer got %d keyframes; want none", k-keys)
		}
		if n1, _ := slow.got(); n1 != n0 {
			t.Errorf("the slow viewer got %d pictures without having room", n1-n0)
		}
		if missed := slow.misses(); th.dropped(DropSlowViewer) != 1 || missed < 200 {
			t.Errorf("counted %d misses of the slow viewer, %d drops; want all and the first",
				missed, th.dropped(DropSlowViewer))
		}
		rates := enc.Stats().Rates
		if got := rates[len(rates)-1].BitsPerSecond; got != 2_000_000 {
			t.Errorf("rate %d while the slow viewer is left out; want the quick one's", got)
		}

		slow.set(func(a *Demand) { a.Ready = true })
		move(th.screen, time.Second)
		n1, _ := slow.got()
		if n1 == n0 || !slow.pictures(n0)[0].Key {
			t.Fatalf("the slow viewer is not let back in with a keyframe: %d pictures", n1-n0)
		}
		if _, k := quick.got(); k != keys+1 {
			t.Errorf("letting it back in cost the quick viewer %d keyframes; want 1", k-keys)
		}
		if needs := slow.asked(); !slices.Contains(needs, adapt.KeyframeRecovery) {
			t.Errorf("the slow viewer's controller was asked for %v; want a recovery", needs)
		}
		th.close(t)
	})
}

func TestViewerThatKeepsFallingBehindCostsFewKeyframes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openRig(t, 60)
		quick, flapping := newFakeViewer(), newFakeViewer()
		th.encodings[0].Subscribe(quick)
		th.encodings[0].Subscribe(flapping)
		time.Sleep(time.Second)
		_, keys := quick.got()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 30 {
				flapping.set(func(a *Demand) { a.Ready = false })
				time.Sleep(500 * time.Millisecond)
				flapping.set(func(a *Demand) { a.Ready = true })
				time.Sleep(500 * time.Millisecond)
			}
		}()
		move(th.screen, 30*time.Second)
		<-done
		// 1, 2, 4, 8 and 16 s: the fifth comes after the end.
		if _, k := quick.got(); k-keys < 3 || k-keys > 5 {
			t.Errorf("the quick viewer got %d keyframes in 30 s; want 3 to 5", k-keys)
		}
		flapping.decodable(t)
		th.close(t)
	})
}

func TestTwoViewersShareOneCaptureAndOneEncode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		a, b := newFakeViewer(), newFakeViewer()
		th.encodings[0].Subscribe(a)
		time.Sleep(time.Second)
		move(th.screen, time.Second)
		before, keys := a.got()
		th.encodings[0].Subscribe(b)
		move(th.screen, time.Second)
		n, k := a.got()
		if n-before < 58 {
			t.Errorf("joining cost the first viewer pictures: got %d in a second", n-before)
		}
		if k-keys != 1 {
			t.Errorf("joining made %d keyframes; want 1", k-keys)
		}
		b.decodable(t)
		if nb, _ := b.got(); nb < 58 {
			t.Errorf("the second viewer got %d pictures in a second", nb)
		}
		if s := enc.Stats(); s.Opened != 1 || th.screen.Opened() != 1 || s.Pictures != n {
			t.Errorf("%d encoders, %d captures, %d pictures encoded; want 1, 1 and the first viewer's %d",
				s.Opened, th.screen.Opened(), s.Pictures, n)
		}
		th.encodings[0].Unsubscribe(b)
		before = n
		move(th.screen, time.Second)
		if n, k2 := a.got(); n-before < 58 || k2 != k {
			t.Errorf("leaving disturbed the first viewer: %d pictures, %d keyframes in a second", n-before, k2-k)
		}
		th.close(t)
	})
}

func TestKeyframeRequestsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openRig(t, 60)
		a, b := newFakeViewer(), newFakeViewer()
		th.encodings[0].Subscribe(a)
		th.encodings[0].Subscribe(b)
		time.Sleep(2 * time.Second)
		_, before := a.got()
		for range 10 {
			a.set(func(a *Demand) { a.Keyframe = true })
			b.set(func(a *Demand) { a.Keyframe = true })
			th.encodings[0].Nudge()
			th.screen.Touch(spot)
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if _, k := a.got(); k-before != 2 {
			t.Errorf("20 requests in 0.2 s made %d keyframes; want 2", k-before)
		}
		th.close(t)
	})
}

func TestKeyframeIsMadeOfAStillPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openRig(t, 60)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(5*time.Second + 300*time.Millisecond)
		captured := th.count(frameCaptured)
		_, keys := v.got()
		v.set(func(a *Demand) { a.Keyframe = true })
		th.encodings[0].Nudge()
		synctest.Wait()
		if _, k := v.got(); k != keys+1 {
			t.Errorf("%d keyframes at once; want 1", k-keys)
		}
		if n := th.count(frameCaptured); n != captured {
			t.Errorf("%d frames were captured for it; want none", n-captured)
		}
		th.close(t)
	})
}

func TestLostDisplayComesBackWithAKeyframe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(time.Second)
		th.screen.Lose(capture.ErrLost)
		time.Sleep(10 * time.Second)
		if s := th.Status().State; s != Lost {
			t.Errorf("state %q; want lost", s)
		}
		// 0.1 + 0.2 + 0.4 + 0.8 + 1.6 s, then every 2 s.
		if n := th.screen.Opened(); n < 8 || n > 11 {
			t.Errorf("tried to open it %d times in 10 s; want a backoff up to 2 s", n)
		}
		before, keys := v.got()
		th.screen.SetSize(800, 600)
		th.screen.Refuse(nil)
		time.Sleep(2 * time.Second)
		n, k := v.got()
		if n == before || k != keys+1 {
			t.Fatalf("%d pictures, %d keyframes after it came back; want some and 1", n-before, k-keys)
		}
		first := slices.IndexFunc(v.pictures(before), func(au encode.AccessUnit) bool { return au.Key })
		if au := v.pictures(before)[first]; au.Width != 800 || au.Height != 600 {
			t.Errorf("encoded at %dx%d; want the new size", au.Width, au.Height)
		}
		if s := enc.Stats(); s.Opened != 2 || s.Closed != 1 {
			t.Errorf("opened %d encoders and closed %d; want 2 and 1", s.Opened, s.Closed)
		}
		if got, want := th.kinds(), []kind{displayLost, displayBack}; !slices.Equal(got, want) {
			t.Errorf("events %v; want %v", got, want)
		}
		if n := testutil.ToFloat64(th.met.displaysLost.WithLabelValues(LostGone.String())); n != 1 {
			t.Errorf("counted %v lost displays; want 1", n)
		}
		th.close(t)
	})
}

func TestDisplayThatCannotBeOpenedHasNoPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, broken, _ := openPool(t)
		broken.Refuse(errTest)
		if _, err := st.Acquire(t.Context(), display(broken), encode.H264); !errors.Is(err, ErrNoPicture) ||
			!errors.Is(err, errTest) {
			t.Errorf("got %v; want ErrNoPicture because of the display", err)
		}
		st.Wait()
		if st.Open("test") {
			t.Error("the stage is kept")
		}
		broken.Refuse(nil)
		s, err := st.Acquire(t.Context(), display(broken), encode.H264)
		if err != nil {
			t.Fatal(err)
		}
		st.Release(s, encode.H264)
		st.Sweep(time.Now())
		if !st.Open("test") {
			t.Error("the stage did not linger")
		}
		st.Sweep(time.Now().Add(testConfig(60).Linger))
		st.Wait()
		if !broken.Source().Closed() {
			t.Error("the source is not closed")
		}
	})
}

func TestSizeChangeReopensTheEncoder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(time.Second)
		before, _ := v.got()
		th.screen.Resize(1281, 721)
		time.Sleep(50 * time.Millisecond)
		if au := v.pictures(before)[0]; !au.Key || au.Width != 1282 || au.Height != 722 {
			t.Errorf("key %v, %dx%d; want a keyframe of 1282x722", au.Key, au.Width, au.Height)
		}
		v.set(func(a *Demand) { a.Scale = .5 })
		th.screen.Touch(spot)
		time.Sleep(50 * time.Millisecond)
		if units := v.pictures(0); units[len(units)-1].Width != 640 || units[len(units)-1].Height != 360 {
			t.Errorf("%dx%d; want half the size", units[len(units)-1].Width, units[len(units)-1].Height)
		}
		if s := enc.Stats(); s.Opened-s.Closed != 1 {
			t.Errorf("%d encoders are open; want 1", s.Opened-s.Closed)
		}
		if n := len(th.kinds()); n != 0 {
			t.Errorf("%d events; want none", n)
		}
		th.close(t)
	})
}

// The viewers' controllers hold back what is dear from the first picture of a dear encoder on, not from its first
// change of rate.
func TestPriceOfAFallbackIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "bad"}, OnEncode: func(n int) error {
			if n > 10 {
				return errTest
			}
			return nil
		}})
		dear := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "dear", Price: encode.PriceReopen}})
		th := openRig(t, 60, bad, dear)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(100 * time.Millisecond)
		if got := v.last().Price; got != adapt.PriceFree {
			t.Errorf("the first encoder's price is told as %d; want %d", got, adapt.PriceFree)
		}
		move(th.screen, time.Second)
		if got := v.last(); got.Price != adapt.PriceReopen ||
			got.BitsPerSecond != v.Demand(time.Now()).BitsPerSecond || got.Width == 0 {
			t.Errorf("after the fallback the viewer was told %+v; want the price, its rate and its size", got)
		}
		th.close(t)
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
		th := openRig(t, 60, bad, good)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(100 * time.Millisecond)
		before, keys := v.got()
		move(th.screen, time.Second)
		if n, k := v.got(); n-before < 55 || k-keys != 1 {
			t.Errorf("%d pictures, %d keyframes in the second of the fallback; want 57 or more and 1", n-before, k-keys)
		}
		if n := testutil.ToFloat64(th.met.fallbacks.WithLabelValues(encode.H264, "bad", "good",
			FallbackError.String())); n != 1 {
			t.Errorf("counted %v fallbacks; want 1", n)
		}
		if got := th.encodings[0].Status().Encoder; got != "good" {
			t.Errorf("encoder %q in use; want good", got)
		}
		if got := th.kinds(); !slices.Equal(got, []kind{encoderReplaced}) {
			t.Errorf("events %v; want one fallback", got)
		}
		if s := bad.Stats(); s.Closed != s.Opened {
			t.Errorf("the failing encoder is not closed")
		}
		th.close(t)
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
		th := openRig(t, 60, bad, good)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		first := th.screen.Source()
		move(th.screen, time.Second)
		if n := testutil.ToFloat64(th.met.hungEncoders); n != 0 {
			t.Fatalf("%v encoders count as hung before the time", n)
		}
		move(th.screen, 2*time.Second)
		if n := testutil.ToFloat64(th.met.hungEncoders); n != 1 {
			t.Errorf("%v encoders count as hung; want 1", n)
		}
		if n := testutil.ToFloat64(th.met.fallbacks.WithLabelValues(encode.H264, "bad", "good",
			FallbackHang.String())); n != 1 {
			t.Errorf("counted %v fallbacks; want 1", n)
		}
		before, _ := v.got()
		move(th.screen, time.Second)
		if n, _ := v.got(); n-before < 55 {
			t.Errorf("%d pictures in a second after the fallback", n-before)
		}
		if th.screen.Source() == first {
			t.Error("the source whose frame the encoder holds was not replaced")
		}
		if slices.Contains(th.kinds(), displayLost) {
			t.Error("the display counts as lost")
		}
		close(release)
		synctest.Wait()
		if n := testutil.ToFloat64(th.met.hungEncoders); n != 0 {
			t.Errorf("%v encoders count as hung after it returned; want 0", n)
		}
		if n := first.Leaked(); n != 0 {
			t.Errorf("%d frames of the first source are not released", n)
		}
		th.close(t)
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
		th := openRig(t, 60, enc)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		move(th.screen, 200*time.Millisecond)
		if !th.encodings[0].Status().Stuck {
			t.Error("the rung does not say that it is stuck")
		}
		move(th.screen, 20*time.Second)
		if n := enc.Stats().Opened; n < 3 || n > 8 {
			t.Errorf("opened %d encoders in 20 s; want a backoff", n)
		}
		broken.Store(false)
		before, _ := v.got()
		move(th.screen, 12*time.Second)
		if n, _ := v.got(); n == before || th.encodings[0].Status().Stuck {
			t.Errorf("%d pictures after an encoder works again; want some", n-before)
		}
		th.close(t)
	})
}

// The rates of two viewers, of which each rises every two seconds as the price allows, make a least that rises every
// second.
func TestLeastOfSeveralIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "dear", Price: encode.PriceKeyframe}})
		th := openRig(t, 60, enc)
		viewers := [2]*fakeViewer{newFakeViewer(), newFakeViewer()}
		rate := 500_000
		for i, v := range viewers {
			v.set(func(w *Demand) { w.BitsPerSecond = rate + i*rate/7 })
			th.encodings[0].Subscribe(v)
		}
		move(th.screen, 3*time.Second)
		before := len(enc.Stats().Rates)
		const steps = 12
		for i := range steps {
			rate += rate / 7
			// Above the other's, which is the least from here on.
			viewers[i%2].set(func(w *Demand) { w.BitsPerSecond = rate + rate/7 })
			move(th.screen, time.Second)
		}
		if n := len(enc.Stats().Rates) - before; n < steps/3 || n > steps/2 {
			t.Errorf("the encoder was told %d rates in %d s; want one in two seconds at most", n, steps)
		}
		th.close(t)
	})
}

func TestDearRateChangesAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "dear", Price: encode.PriceKeyframe}})
		th := openRig(t, 60, enc)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		move(th.screen, 3*time.Second)
		before := len(enc.Stats().Rates)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 100 {
				v.set(func(a *Demand) { a.BitsPerSecond = 2_000_000 + i%2*1_000_000 })
				time.Sleep(50 * time.Millisecond)
			}
		}()
		move(th.screen, 5*time.Second)
		<-done
		if n := len(enc.Stats().Rates) - before; n < 2 || n > 6 {
			t.Errorf("the encoder's rate was changed %d times in 5 s; want one raise every 2 s and the cuts between", n)
		}
		th.close(t)
	})
}

func TestPictureThatCannotBeHandedOverIsFollowedByAKeyframe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openRig(t, 60)
		v := newFakeViewer()
		th.encodings[0].Subscribe(v)
		time.Sleep(time.Second)
		v.mu.Lock()
		v.fail = errTest
		v.mu.Unlock()
		th.screen.Touch(spot)
		time.Sleep(50 * time.Millisecond)
		v.mu.Lock()
		v.fail = nil
		n := len(v.units)
		v.mu.Unlock()
		move(th.screen, 2*time.Second)
		if units := v.pictures(n); len(units) == 0 || !units[0].Key {
			t.Error("the picture after the one that failed is no keyframe")
		}
		if th.dropped(DropFailed) != 1 {
			t.Errorf("counted %d; want 1", th.dropped(DropFailed))
		}
		th.close(t)
	})
}

// The ladder of text has nothing but steps of the frame rate.
func TestFrameRateAloneReachesAnEncoderWithAPrice(t *testing.T) {
	for _, price := range []encode.Price{encode.PriceFree, encode.PriceKeyframe, encode.PriceReopen} {
		t.Run(price.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				enc := encodetest.New(encodetest.Config{Profile: encode.Profile{Price: price}})
				th := openRig(t, 60, enc)
				v := newFakeViewer()
				v.demand.BitsPerSecond, v.demand.FPS = 1_000_000, 10
				th.encodings[0].Subscribe(v)
				time.Sleep(time.Second)
				if p := enc.Stats().Params[0]; price != encode.PriceFree && p.FPS != 10 {
					t.Errorf("opened for %d frames a second; want the 10 that there are", p.FPS)
				}
				for _, fps := range []int{10, 60, 20, 5} {
					v.set(func(a *Demand) { a.FPS = fps })
					move(th.screen, dearRaise+time.Second)
					before, _ := v.got()
					move(th.screen, time.Second)
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
				if got := rateRatioMean(t, th.reg); got < 0.9 || got > 1.1 {
					t.Errorf("mean of the rate ratio %.2f; want 1, as the fake takes exactly its rate", got)
				}
				th.close(t)
			})
		})
	}
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
