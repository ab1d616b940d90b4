package session

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
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func TestDisplayThatHangsIsLostWithinTwoSecondsAndBackWithinOne(t *testing.T) {
	for name, moving := range map[string]bool{"still": false, "moving": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th := openTheater(t, Config{})
				v := newSpectator()
				th.rungs[0].join(v)
				time.Sleep(5 * time.Second)
				goOn := th.screen.hang()
				if moving {
					th.screen.touch(spot)
				}
				time.Sleep(2 * time.Second)
				if s := th.see(); s.state != stageLost || s.reason == "" {
					t.Errorf("state %q, reason %q after 2 s; want lost and why", s.state, s.reason)
				}
				time.Sleep(20 * time.Second)
				if got, want := th.kinds(), []EventKind{EventDisplayLost}; !slices.Equal(got, want) {
					t.Errorf("events %v; want %v", got, want)
				}
				if e := th.events[0]; e.Reason != lostHung || e.Err == nil {
					t.Errorf("event with reason %q, error %v; want %q and an error", e.Reason, e.Err, lostHung)
				}
				if n := testutil.ToFloat64(th.met.displaysLost.WithLabelValues(lostHung)); n != 1 {
					t.Errorf("counted %v displays that hang; want 1", n)
				}
				goOn()
				time.Sleep(time.Second)
				if s := th.see(); s.state != stageLive || s.reason != "" {
					t.Errorf("state %q, reason %q 1 s after; want live", s.state, s.reason)
				}
				if got, want := th.kinds(), []EventKind{EventDisplayLost, EventDisplayBack}; !slices.Equal(got, want) {
					t.Errorf("events %v; want %v", got, want)
				}
				if n := th.screen.opened(); n != 1 {
					t.Errorf("opened %d times; want 1", n)
				}
				th.close(t)
			})
		})
	}
}

func TestStillDisplayIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openTheater(t, Config{})
		th.rungs[0].join(newSpectator())
		time.Sleep(time.Minute)
		if got := th.kinds(); len(got) != 0 || th.see().state != stageLive {
			t.Errorf("events %v, state %q; want none and live", got, th.see().state)
		}
		th.close(t)
	})
}

// openStages returns stages of a display of its own.
func openStages(t *testing.T) (*stages, *screen, *theater) {
	t.Helper()
	cfg := Config{Encoders: []encode.Factory{encodetest.New(encodetest.Config{})}}.withDefaults()
	th := openTheater(t, cfg)
	th.close(t)
	return newStages(newLive(cfg), th.log, th.met, th.emit), newScreen(64, 64), th
}

func TestDriverThatHangsIsLeftBehindOnceAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, screen, th := openStages(t)
		s, err := st.acquire(t.Context(), screen.display(), encode.H264)
		if err != nil {
			t.Fatal(err)
		}
		goOn := screen.hang()
		s.rungs[0].join(newSpectator()) // its refresh makes the capture loop ask the display
		time.Sleep(3 * time.Second)
		st.release(s, encode.H264)
		st.sweep(time.Now().Add(time.Minute))
		began := time.Now()
		st.wait()
		if took := time.Since(began); took > driverPatience {
			t.Errorf("its end took %v; want %v at most", took, driverPatience)
		}
		hung := func() float64 { return testutil.ToFloat64(th.met.hungCaptures) }
		if n := hung(); n != 1 {
			t.Errorf("%v calls count as hung; want 1", n)
		}
		for range 3 {
			began := time.Now()
			if _, err := st.acquire(t.Context(), screen.display(), encode.H264); !errors.Is(err, ErrNoPicture) {
				t.Errorf("got %v; want ErrNoPicture", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the refusal took %v", took)
			}
		}
		if n := screen.opened(); n != 1 || hung() != 1 {
			t.Errorf("opened %d times, %v calls hang; want 1 and 1", n, hung())
		}
		other := newScreen(64, 64)
		d := other.display()
		d.ID = "other"
		o, err := st.acquire(t.Context(), d, encode.H264)
		if err != nil {
			t.Fatalf("another display: %v", err)
		}
		st.release(o, encode.H264)
		goOn()
		synctest.Wait()
		if n := hung(); n != 0 {
			t.Errorf("%v calls count as hung after it returned; want 0", n)
		}
		if s, err = st.acquire(t.Context(), screen.display(), encode.H264); err != nil {
			t.Fatalf("after it returned: %v", err)
		}
		st.release(s, encode.H264)
		st.close()
		st.wait()
		synctest.Wait()
		for _, one := range [...]interface{ now() *screenSource }{screen, other} {
			if !one.now().closed || one.now().leaked() != 0 {
				t.Errorf("closed %v, %d frames are not released", one.now().closed, one.now().leaked())
			}
		}
	})
}

func TestOpenThatHangsIsRefusedInTimeAndItsSourceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, screen, th := openStages(t)
		goOn := screen.hang()
		began := time.Now()
		if _, err := st.acquire(t.Context(), screen.display(), encode.H264); !errors.Is(err, ErrNoPicture) {
			t.Errorf("got %v; want ErrNoPicture", err)
		}
		if took := time.Since(began); took > openLimit {
			t.Errorf("the refusal took %v; want %v at most", took, openLimit)
		}
		st.wait()
		if n := testutil.ToFloat64(th.met.hungCaptures); n != 1 {
			t.Errorf("%v calls count as hung; want 1", n)
		}
		goOn()
		synctest.Wait()
		if n := testutil.ToFloat64(th.met.hungCaptures); n != 0 || !screen.now().closed {
			t.Errorf("%v calls count as hung, source closed: %v; want 0 and true", n, screen.now().closed)
		}
	})
}

func TestDisplayThatFlapsDoesNotFillTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openTheater(t, Config{})
		th.rungs[0].join(newSpectator())
		time.Sleep(5 * time.Second)
		before := th.screen.opened()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			th.screen.now().fail(capture.ErrLost) // after one frame
			time.Sleep(50 * time.Millisecond)
		}
		if n := th.screen.opened() - before; n > 40 {
			t.Errorf("opened %d times in a minute; want a backoff up to 2 s", n)
		}
		if n := len(th.kinds()); n > 4 {
			t.Errorf("%d events in a minute; want 4 at most", n)
		}
		time.Sleep(5 * time.Second)
		if s := th.see().state; s != stageLive {
			t.Errorf("state %q once it has lived for 2 s; want live", s)
		}
		th.close(t)
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
		st, screen, _ := openStages(t)
		open, peak := 0, 0
		d := screen.display()
		d.Open = func(ctx context.Context) (capture.Source, error) {
			source, err := screen.Open(ctx)
			open++
			peak = max(peak, open)
			return slowClose{source, &open}, err
		}
		for range 3 {
			s, err := st.acquire(t.Context(), d, encode.H264)
			if err != nil {
				t.Fatal(err)
			}
			st.release(s, encode.H264)
			st.sweep(time.Now().Add(time.Minute))
		}
		st.close()
		st.wait()
		if peak != 1 {
			t.Errorf("the display was open %d times at once; want 1", peak)
		}
		synctest.Wait()
	})
}

// An encoder that returns nothing freezes the picture within 2 s and for as long as it does, where there is no other, and an event says so.
func TestEncoderThatReturnsNothingFreezesThePicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		release := make(chan struct{})
		th := openTheater(t, Config{}, encodetest.New(encodetest.Config{OnEncode: func(int) error {
			if hangs.Load() {
				<-release
			}
			return nil
		}}))
		v := newSpectator()
		th.rungs[0].join(v)
		move(th.screen, time.Second)
		hangs.Store(true)
		th.screen.touch(spot)
		time.Sleep(2 * time.Second)
		for range 20 {
			if !th.rungs[0].see().stuck {
				t.Fatal("the picture does not count as frozen")
			}
			time.Sleep(time.Second)
		}
		if kinds := th.kinds(); !slices.Contains(kinds, EventEncoderFallback) {
			t.Errorf("events %v; want one of the encoder", kinds)
		}
		hangs.Store(false)
		close(release)
		time.Sleep(2 * encoderRetryMax)
		if th.rungs[0].see().stuck {
			t.Error("the picture counts as frozen though the encoder works again")
		}
		th.close(t)
	})
}
