package pipeline

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func TestPipelinePreparesWithoutViewersAndThenCapturesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		r := openRig(t, 60, enc)
		move(r.screen, time.Second)
		if n := r.count(frameCaptured); n != 1 {
			t.Errorf("captured %d frames with no viewer; want 1", n)
		}
		if s := enc.Stats(); s.Pictures != 0 {
			t.Errorf("encoded %d pictures with no viewer; want 0", s.Pictures)
		}
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		synctest.Wait()
		if n, keys := v.got(); n != 1 || keys != 1 {
			t.Errorf("got %d pictures, %d keyframes at once; want 1 and 1", n, keys)
		}
		r.close(t)
	})
}

func TestViewerWhoIsConnectingGetsNothingButTheEncoderIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		r := openRig(t, 60, enc)
		v := newFakeViewer()
		v.demand.Live = false
		r.encodings.list[0].Subscribe(v)
		time.Sleep(time.Second)
		if s := enc.Stats(); s.Opened != 1 || s.Pictures != 0 {
			t.Errorf("opened %d encoders, encoded %d pictures; want 1 and 0", s.Opened, s.Pictures)
		}
		v.set(func(a *Demand) { a.Live = true })
		r.encodings.list[0].Nudge()
		synctest.Wait()
		if n, keys := v.got(); n != 1 || keys != 1 {
			t.Errorf("got %d pictures, %d keyframes; want 1 and 1", n, keys)
		}
		if age := time.Since(v.pictures(0)[0].Time); age != 0 {
			t.Errorf("the first picture is %v old; want one captured at the connection", age)
		}
		r.close(t)
	})
}

func TestStillScreenIsRefinedAndThenKeptAliveAtOneHertz(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		r := openRig(t, 60, enc)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
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
		if n := r.count(frameCaptured); n > 2 {
			t.Errorf("captured %d frames of a still screen; want at most 2", n)
		}
		if n := testutil.ToFloat64(r.met.pictures.WithLabelValues(repeatAlive.String())); n < 9 {
			t.Errorf("counted %v keep-alives; want 9 or 10", n)
		}
		units := v.pictures(0)
		for i := 1; i < len(units); i++ {
			if !units[i].Time.After(units[i-1].Time) {
				t.Errorf("picture %d has the time of the one before", i)
			}
		}
		r.close(t)
	})
}

func TestChangeIsCapturedAtOnceAndThenAtTheFrameRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 50)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(5*time.Second + 3*time.Millisecond)
		before := len(r.screen.Source().Times())
		start := time.Now()
		move(r.screen, time.Second)
		times := r.screen.Source().Times()[before:]
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
		if n := r.count(frameEncoded); n < 49 {
			t.Errorf("encoded %d; want all that were captured", n)
		}
		r.close(t)
	})
}

func TestLostDisplayComesBackWithAKeyframe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		r := openRig(t, 60, enc)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(time.Second)
		r.screen.Lose(capture.ErrLost)
		time.Sleep(10 * time.Second)
		if s := r.Status().State; s != Lost {
			t.Errorf("state %q; want lost", s)
		}
		// 0.1 + 0.2 + 0.4 + 0.8 + 1.6 s, then every 2 s.
		if n := r.screen.Opened(); n < 8 || n > 11 {
			t.Errorf("tried to open it %d times in 10 s; want a backoff up to 2 s", n)
		}
		before, keys := v.got()
		r.screen.SetSize(800, 600)
		r.screen.Refuse(nil)
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
		if got, want := r.kinds(), []kind{displayLost, displayBack}; !slices.Equal(got, want) {
			t.Errorf("events %v; want %v", got, want)
		}
		if n := testutil.ToFloat64(r.met.displaysLost.WithLabelValues(LostGone.String())); n != 1 {
			t.Errorf("counted %v lost displays; want 1", n)
		}
		r.close(t)
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
			t.Error("the pipeline is kept")
		}
		broken.Refuse(nil)
		s, err := st.Acquire(t.Context(), display(broken), encode.H264)
		if err != nil {
			t.Fatal(err)
		}
		st.Release(s, encode.H264)
		st.Sweep(time.Now())
		if !st.Open("test") {
			t.Error("the pipeline did not linger")
		}
		st.Sweep(time.Now().Add(testConfig(60).Linger))
		st.Wait()
		if !broken.Source().Closed() {
			t.Error("the source is not closed")
		}
	})
}
