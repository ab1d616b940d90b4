package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/progress"
)

// A display that is polled because it hides changes is counted, logged and told once.
func TestPolledDisplayIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(time.Second)
		if got := r.kinds(); len(got) != 0 {
			t.Errorf("events %v of a display that reports its changes; want none", got)
		}
		r.screen.Poll()
		for range 5 {
			r.screen.Touch(spot)
			time.Sleep(time.Second)
		}
		if got, want := r.kinds(), []kind{displayPolled}; !slices.Equal(got, want) {
			t.Errorf("events %v; want %v", got, want)
		}
		if n := testutil.ToFloat64(r.met.polled.WithLabelValues()); n != 1 {
			t.Errorf("counted %v; want 1", n)
		}
		r.close(t)
	})
}

func TestDisplayThatHangsIsLostWithinTwoSecondsAndBackWithinOne(t *testing.T) {
	for name, moving := range map[string]bool{"still": false, "moving": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t, 60)
				v := newFakeViewer()
				r.encodings.list[0].Subscribe(v)
				time.Sleep(5 * time.Second)
				goOn := r.screen.Hang()
				if moving {
					r.screen.Touch(spot)
				}
				time.Sleep(2 * time.Second)
				if s := r.Status(); s.State != Lost || s.Reason == "" {
					t.Errorf("state %q, reason %q after 2 s; want lost and why", s.State, s.Reason)
				}
				time.Sleep(20 * time.Second)
				if got, want := r.kinds(), []kind{displayLost}; !slices.Equal(got, want) {
					t.Errorf("events %v; want %v", got, want)
				}
				if e := r.all()[0]; e.lost != LostHung || e.err == nil {
					t.Errorf("event with reason %q, error %v; want %q and an error", e.lost, e.err, LostHung)
				}
				if n := testutil.ToFloat64(r.met.displaysLost.WithLabelValues(LostHung.String())); n != 1 {
					t.Errorf("counted %v displays that hang; want 1", n)
				}
				goOn()
				time.Sleep(time.Second)
				if s := r.Status(); s.State != Live || s.Reason != "" {
					t.Errorf("state %q, reason %q 1 s after; want live", s.State, s.Reason)
				}
				if got, want := r.kinds(), []kind{displayLost, displayBack}; !slices.Equal(got, want) {
					t.Errorf("events %v; want %v", got, want)
				}
				if n := r.screen.Opened(); n != 1 {
					t.Errorf("opened %d times; want 1", n)
				}
				r.close(t)
			})
		})
	}
}

func TestStillDisplayIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60)
		r.encodings.list[0].Subscribe(newFakeViewer())
		time.Sleep(time.Minute)
		if got := r.kinds(); len(got) != 0 || r.Status().State != Live {
			t.Errorf("events %v, state %q; want none and live", got, r.Status().State)
		}
		r.close(t)
	})
}

// openPool returns a Pool with a fake encoder, a screen, and the Pool's metrics.
func openPool(t *testing.T) (*Pool, *capturetest.Screen, *Metrics) {
	t.Helper()
	deps, _, _ := testDeps()
	encoders := []encode.Factory{encodetest.New(encodetest.Config{})}
	return NewPool(func() Config { return testConfig(60) }, encoders, deps), capturetest.NewScreen(64, 64), deps.Metrics
}

func TestDriverThatHangsIsLeftBehindOnceAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, screen, met := openPool(t)
		s, err := st.Acquire(t.Context(), display(screen), encode.H264)
		if err != nil {
			t.Fatal(err)
		}
		goOn := screen.Hang()
		s.encodings.list[0].Subscribe(newFakeViewer()) // its refresh makes the capture loop ask the display
		time.Sleep(3 * time.Second)
		st.Release(s, encode.H264)
		st.Sweep(time.Now().Add(time.Minute))
		began := time.Now()
		st.Wait()
		if took := time.Since(began); took > driverPatience {
			t.Errorf("its end took %v; want %v at most", took, driverPatience)
		}
		hung := func() float64 { return testutil.ToFloat64(met.hungCaptures) }
		if n := hung(); n != 1 {
			t.Errorf("%v calls count as hung; want 1", n)
		}
		for range 3 {
			began := time.Now()
			if _, err := st.Acquire(t.Context(), display(screen), encode.H264); !errors.Is(err, ErrNoPicture) {
				t.Errorf("got %v; want ErrNoPicture", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the refusal took %v", took)
			}
		}
		if n := screen.Opened(); n != 1 || hung() != 1 {
			t.Errorf("opened %d times, %v calls hang; want 1 and 1", n, hung())
		}
		other := capturetest.NewScreen(64, 64)
		d := display(other)
		d.ID = "other"
		o, err := st.Acquire(t.Context(), d, encode.H264)
		if err != nil {
			t.Fatalf("another display: %v", err)
		}
		st.Release(o, encode.H264)
		goOn()
		synctest.Wait()
		if n := hung(); n != 0 {
			t.Errorf("%v calls count as hung after it returned; want 0", n)
		}
		if s, err = st.Acquire(t.Context(), display(screen), encode.H264); err != nil {
			t.Fatalf("after it returned: %v", err)
		}
		st.Release(s, encode.H264)
		st.Close()
		st.Wait()
		synctest.Wait()
		for _, one := range []*capturetest.Screen{screen, other} {
			if !one.Source().Closed() || one.Source().Leaked() != 0 {
				t.Errorf("closed %v, %d frames are not released", one.Source().Closed(), one.Source().Leaked())
			}
		}
	})
}

func TestOpenThatHangsIsRefusedInTimeAndItsSourceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, screen, met := openPool(t)
		goOn := screen.Hang()
		began := time.Now()
		if _, err := st.Acquire(t.Context(), display(screen), encode.H264); !errors.Is(err, ErrNoPicture) {
			t.Errorf("got %v; want ErrNoPicture", err)
		}
		if took := time.Since(began); took > openLimit {
			t.Errorf("the refusal took %v; want %v at most", took, openLimit)
		}
		st.Wait()
		if n := testutil.ToFloat64(met.hungCaptures); n != 1 {
			t.Errorf("%v calls count as hung; want 1", n)
		}
		goOn()
		synctest.Wait()
		if n := testutil.ToFloat64(met.hungCaptures); n != 0 || !screen.Source().Closed() {
			t.Errorf("%v calls count as hung, source closed: %v; want 0 and true", n, screen.Source().Closed())
		}
	})
}

func TestDisplayThatFlapsDoesNotFillTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60)
		r.encodings.list[0].Subscribe(newFakeViewer())
		time.Sleep(5 * time.Second)
		before := r.screen.Opened()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			r.screen.Source().Fail(capture.ErrLost) // after one frame
			time.Sleep(50 * time.Millisecond)
		}
		if n := r.screen.Opened() - before; n > 40 {
			t.Errorf("opened %d times in a minute; want a backoff up to 2 s", n)
		}
		if n := len(r.kinds()); n > 4 {
			t.Errorf("%d events in a minute; want 4 at most", n)
		}
		time.Sleep(5 * time.Second)
		if s := r.Status().State; s != Live {
			t.Errorf("state %q once it has lived for 2 s; want live", s)
		}
		r.close(t)
	})
}

// slowClose closes a source late.
type slowClose struct {
	capture.Source
	open *int
}

func (s slowClose) Close() error {
	time.Sleep(time.Second)
	*s.open--
	return s.Source.Close()
}

func TestDisplayIsNotOpenedTwiceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, screen, _ := openPool(t)
		open, peak := 0, 0
		d := display(screen)
		d.Open = func(ctx context.Context, demand capture.Demand) (capture.Source, error) {
			source, err := screen.Open(ctx, demand)
			open++
			peak = max(peak, open)
			return slowClose{source, &open}, err
		}
		for range 3 {
			s, err := st.Acquire(t.Context(), d, encode.H264)
			if err != nil {
				t.Fatal(err)
			}
			st.Release(s, encode.H264)
			st.Sweep(time.Now().Add(time.Minute))
		}
		st.Close()
		st.Wait()
		if peak != 1 {
			t.Errorf("the display was open %d times at once; want 1", peak)
		}
		synctest.Wait()
	})
}

// An encoder that returns nothing freezes the picture within 2 s and for as long as it does, where there is no other,
// and an event says so.
func TestEncoderThatReturnsNothingFreezesThePicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		release := make(chan struct{})
		r := openRig(t, 60, encodetest.New(encodetest.Config{OnEncode: func(int) error {
			if hangs.Load() {
				<-release
			}
			return nil
		}}))
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		move(r.screen, time.Second)
		hangs.Store(true)
		r.screen.Touch(spot)
		time.Sleep(2 * time.Second)
		for range 20 {
			if !r.encodings.list[0].Status().Stuck {
				t.Fatal("the picture does not count as frozen")
			}
			time.Sleep(time.Second)
		}
		if kinds := r.kinds(); !slices.Contains(kinds, encoderReplaced) {
			t.Errorf("events %v; want one of the encoder", kinds)
		}
		hangs.Store(false)
		close(release)
		time.Sleep(2 * encoderRetryMax)
		if r.encodings.list[0].Status().Stuck {
			t.Error("the picture counts as frozen though the encoder works again")
		}
		r.close(t)
	})
}

// heldViewer is a viewer that does not answer the encode loop while it hangs.
type heldViewer struct {
	*fakeViewer
	hangs atomic.Bool
	held  chan struct{}
}

func (v *heldViewer) Demand(now time.Time) Demand {
	if v.hangs.Load() {
		<-v.held
	}
	return v.fakeViewer.Demand(now)
}

// An encode loop that a viewer's part of the daemon blocks is seen.
func TestHungEncodeLoopIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := progress.New()
		r := openRigOn(t, board, 30)
		v := &heldViewer{fakeViewer: newFakeViewer(), held: make(chan struct{})}
		r.encodings.list[0].Subscribe(v)
		time.Sleep(time.Minute) // waiting for changes is no stall
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("without a fault: %v", got)
		}
		v.hangs.Store(true)
		r.encodings.list[0].Nudge()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := board.Longest(time.Now())[progress.Encode]; got < progress.Limit {
			t.Errorf("the longest step is %v; want over %v", got, progress.Limit)
		}
		v.hangs.Store(false)
		close(v.held)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("after the fault: %v", got)
		}
		r.close(t)
	})
}

// heldObserver is an observer that does not return from the report of a lost display.
type heldObserver struct {
	Observer
	held chan struct{}
}

func (o heldObserver) DisplayLost(display string, why LostReason, err error) uint64 {
	<-o.held
	return o.Observer.DisplayLost(display, why, err)
}

// A capture loop that another part of the daemon blocks is seen. Waiting for the display is no stall: a display that
// does not answer is lost, and reopened.
func TestHungCaptureLoopIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := progress.New()
		r := openRigOn(t, board, 30)
		r.encodings.list[0].Subscribe(newFakeViewer())
		goOn := r.screen.Hang()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("while the display hangs: %v", got)
		}
		goOn()
		time.Sleep(time.Second)
		synctest.Wait()
		o := heldObserver{Observer: r.display.observer, held: make(chan struct{})}
		r.display.observer = o
		r.screen.Lose(errors.New("the display is gone"))
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := board.Longest(time.Now())[progress.Capture]; got < progress.Limit {
			t.Errorf("the longest step is %v; want over %v", got, progress.Limit)
		}
		close(o.held)
		r.screen.Lose(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("after the fault: %v", got)
		}
		r.close(t)
	})
}
