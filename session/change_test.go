package session

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/admission"
)

// A session that is not connected has no rate of its own yet. It has to find a place on a display all of whose encodes are in use.
func TestUnconnectedSessionMovesToADisplayWithoutAFreeRung(t *testing.T) {
	h := openHouse(t, twoDisplays())
	defer h.close(t)
	other, err := h.display(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	st, err := h.stages.acquire(t.Context(), other, encode.H264)
	if err != nil {
		t.Fatal(err)
	}
	defer h.stages.release(st, encode.H264)
	rungs := st.rungsOf(encode.H264)
	for _, r := range rungs {
		w := newSpectator()
		w.sit(r)
		defer r.leave(w)
	}
	eventually(t, "all encodes of the display run", func() bool {
		for _, r := range rungs {
			if r.watchedRate() == 0 {
				return false
			}
		}
		return true
	})

	r := newRemote(t)
	defer r.close()
	a, err := h.Create(t.Context(), Offer{Display: "test", SDP: r.offer(false)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Change(t.Context(), a.ID, Change{Display: new("other")}); err != nil {
		t.Fatal(err)
	}
	h.Manager.mu.Lock()
	v := h.sessions[a.ID].viewer
	h.Manager.mu.Unlock()
	if next := v.seats.heading.Load(); next == nil || next.on == nil || next.stage != st {
		t.Errorf("the session is on its way to %+v; want a rung of the other display", next)
	}
	v.nudge()
	v.giveUp(time.Now().Add(moveTimeout))
	if v.moveTo(st, nil, true) {
		t.Error("a move to no rung was begun")
	}
	if s, err := h.Session(a.ID); err != nil || s.Display != "test" {
		t.Errorf("session of %q, %v; want its first display", s.Display, err)
	}
}

func TestSeatForAlwaysFindsARung(t *testing.T) {
	st := newStage(Display{ID: "test"}, Config{}.withDefaults(), slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()), newRoster(nil, func() int { return 0 }), nil)
	for _, occupied := range []int{0, 1, maxRungs} {
		for i, r := range st.rungsOf(encode.H264) {
			r.occupied.Store(i < occupied)
			r.active.Store(i < occupied)
			r.view.rate = 1000 << (5 * i)
		}
		for _, start := range []int{-1, 0, 1, 1_000_000, 1 << 62} {
			if st.seatFor(encode.H264, start) == nil {
				t.Errorf("%d rungs in use, a start at %d: no rung", occupied, start)
			}
		}
	}
}

// A session that ends finds every rung that it is on: leave sees a move from the moment on in which the rung knows of it, never before.
// Otherwise the rung would keep a viewer that left, and encode for it.
func TestMoveIsOneStep(t *testing.T) {
	st := &openStage{stage: newStage(Display{ID: "test"}, Config{}.withDefaults(), slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()),
		newRoster(nil, func() int { return 0 }), nil)}
	rungs := st.rungsOf(encode.H264)
	v := &viewer{}
	v.sit(st, rungs[0])
	v.join()
	rungs[1].mu.Lock() // so that the move stops in its middle
	var moved sync.WaitGroup
	moved.Go(func() { v.moveTo(st, rungs[1], false) })
	eventually(t, "the move begins", func() bool { return v.seats.heading.Load() != nil })
	for range 10_000 {
		if v.seats.mu.TryLock() {
			v.seats.mu.Unlock()
			t.Error("the session can leave in the middle of a move")
			break
		}
		runtime.Gosched()
	}
	rungs[1].mu.Unlock()
	moved.Wait()
	v.leave()
	for _, r := range rungs {
		if len(r.members) > 0 || r.occupied.Load() {
			t.Errorf("a session that left is on rung %d", r.index)
		}
	}
}

// A change of display that fails leaves nothing behind: the session is reckoned with as before.
func TestFailedChangeOfDisplayIsUndone(t *testing.T) {
	h := openHouse(t, func(c *Config) {
		c.Uplink, c.MaxSessions = 1_000_000_000, 1000
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			d := Display{ID: "dark", Width: 7680, Height: 4320, Open: func(context.Context) (capture.Source, error) { return nil, errTest }}
			return append(displays(ctx), d)
		}
	})
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	a, err := h.Create(t.Context(), Offer{Display: "test", SDP: r.offer(false)})
	if err != nil {
		t.Fatal(err)
	}
	before := h.Capacity()
	if before[0].LimitedBy != string(admission.Uplink) {
		t.Fatalf("capacity is limited by %s; want the uplink, whose use shows the load that is assumed", before[0].LimitedBy)
	}
	if _, err := h.Change(t.Context(), a.ID, Change{Display: new("dark")}); !errors.Is(err, ErrNoPicture) {
		t.Fatalf("got %v; want ErrNoPicture", err)
	}
	if after := h.Capacity(); !slices.Equal(after, before) {
		t.Errorf("capacity is %+v after a change that failed; want %+v as before", after, before)
	}
}

func TestBadCeilingOfAnOfferIsNoReservation(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	if _, err := h.Create(t.Context(), Offer{Display: "test", SDP: r.offer(false), MaxBitrate: 1}); !errors.Is(err, ErrBadChange) {
		t.Fatalf("got %v; want ErrBadChange", err)
	}
	for reason, want := range map[string]float64{refusedReservation: 0, refusedMalformed: 1} {
		if n := testutil.ToFloat64(h.met.refused.WithLabelValues(reason)); n != want {
			t.Errorf("%v offers are counted as refused for %s; want %v", n, reason, want)
		}
	}
}
