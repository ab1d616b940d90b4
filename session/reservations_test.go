package session

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/hoststate"
)

func TestReservationsAreExactAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHouse(t, func(c *Config) { c.MaxSessions = 7 })
		defer h.close(t)
		var got, full atomic.Int32
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				_, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{
					Display: "default",
					Hold:    10 * time.Second,
				})
				switch {
				case err == nil:
					got.Add(1)
				case errors.Is(err, ErrFull):
					full.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 7 || full.Load() != 193 {
			t.Errorf("%d places were given, %d refused; want 7 and 193", got.Load(), full.Load())
		}
		if n := testutil.ToFloat64(h.met.reservations); n != 7 {
			t.Errorf("the gauge shows %v", n)
		}
		if n := h.events(EventRefused); n != 1 {
			t.Errorf("%d events of refusals in no time; want 1", n)
		}
		one := h.reservations.List()[0]
		if err := h.reservations.Release(one.ID); err != nil {
			t.Error(err)
		}
		if err := h.reservations.Release(one.ID); !errors.Is(err, ErrUnknownReservation) {
			t.Errorf("got %v; want ErrUnknownReservation", err)
		}
		if _, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{
			Display: "default",
			Hold:    time.Minute,
		}); err != nil {
			t.Errorf("the place that was given back: %v", err)
		}
		time.Sleep(10*time.Second + 2*janitorInterval)
		if n := len(h.reservations.List()); n != 1 {
			t.Errorf("%d places are kept after 10 s; want 1", n)
		}
		h.host.Drain(hoststate.DrainOrder{})
		if n := len(h.reservations.List()); n != 0 {
			t.Errorf("%d places are kept by a host that drains", n)
		}
		if _, err := h.reservations.Reserve(t.Context(),
			admission.ReservationRequest{Display: "default"}); !errors.Is(err, ErrDraining) {
			t.Errorf("got %v; want ErrDraining", err)
		}
		for why, want := range map[string]float64{
			admission.EndReleased: 1, admission.EndExpired: 6,
			admission.EndDrained: 1, admission.EndUsed: 0,
		} {
			if n := testutil.ToFloat64(h.met.reservationsEnded.WithLabelValues(why)); n != want {
				t.Errorf("%v reservations %s; want %v", n, why, want)
			}
		}
		kept := make(map[string]int)
		for _, e := range h.journaled(t) {
			switch e.Kind {
			case EventReserved.String():
				kept[e.Reservation]++
			case EventReservationEnded.String():
				kept[e.Reservation] += 10
			}
		}
		for id, n := range kept {
			if id == "" || n != 11 {
				t.Errorf("the events tell of reservation %q that it began and ended %d times", id, n)
			}
		}
		if len(kept) != 8 {
			t.Errorf("the events tell of %d reservations; want 8", len(kept))
		}
	})
}

// A reservation whose session was being made when the drain began, and then failed, is given up by it like the others.
func TestDrainDuringCreation(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default", Hold: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := newRemote(t)
	defer r.close()
	h.useNet(func(time.Duration) (transport.Net, error) {
		h.host.Drain(hoststate.DrainOrder{})
		return nil, errTest
	})
	if _, err := h.Create(t.Context(), Offer{
		Display: "default", SDP: r.offer(false),
		Reservation: l.ID,
	}); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	told := slices.ContainsFunc(h.journaled(t), func(e EventRecord) bool {
		return e.Kind == EventReservationEnded.String() && e.Reservation == l.ID && e.Reason == admission.EndDrained
	})
	if n := testutil.ToFloat64(h.met.reservationsEnded.WithLabelValues(admission.EndDrained)); !told ||
		n != 1 || len(h.reservations.List()) != 0 {
		t.Errorf("its end is told: %v, counted %v times, %d are left", told, n, len(h.reservations.List()))
	}
}

// journaled returns the events that are kept.
func (h *house) journaled(t *testing.T) []EventRecord {
	t.Helper()
	list, lost, _ := h.journal.Events(0)
	if lost {
		t.Fatal("events are lost")
	}
	return list
}

func TestReservationIsTaken(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.MaxSessions = 1 })
	defer h.close(t)
	h.alive(t)
	l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{
		Display:    "default",
		MaxBitrate: 2_000_000, Weight: 40, Hold: time.Minute,
	})
	if err != nil || l.Display != "test" {
		t.Fatalf("%+v, %v", l, err)
	}
	r := newRemote(t)
	defer r.close()
	offer := r.offer(false)
	for name, o := range map[string]Offer{
		"no lease":      {Display: "default", SDP: offer},
		"another lease": {Display: "default", SDP: offer, Reservation: "another"},
		"bad offer":     {Display: "default", SDP: "v=0", Reservation: l.ID},
		"bad ceiling":   {Display: "default", SDP: offer, Reservation: l.ID, MaxBitrate: 5},
	} {
		if _, err := h.Create(t.Context(), o); err == nil {
			t.Errorf("%s: a session", name)
		}
	}
	var made atomic.Int32
	var wg sync.WaitGroup
	var answer Answer
	for range 20 {
		wg.Go(func() {
			switch a, err := h.Create(t.Context(), Offer{
				Display: "default", SDP: offer, Reservation: l.ID,
				MaxBitrate: 5_000_000,
			}); {
			case err == nil:
				made.Add(1)
				answer = a
			case !errors.Is(err, ErrUnknownReservation):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Fatalf("%d sessions by one reservation", made.Load())
	}
	r.accept(answer)
	r.playing(t, 3)
	if s, err := h.Session(answer.ID); err != nil || s.MaxBitrate != 2_000_000 || s.Weight != 40 {
		t.Errorf("ceiling %d, weight %d, %v; want what was reserved", s.MaxBitrate, s.Weight, err)
	}
}

func TestBadReservations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHouse(t, func(c *Config) { c.MaxSessions = 10_000 })
		defer h.close(t)
		for name, bad := range map[string]admission.ReservationRequest{
			"too long": {Display: "default", Hold: 2*time.Minute + 1}, "negative": {Display: "default", Hold: -1},
		} {
			if _, err := h.reservations.Reserve(t.Context(), bad); !errors.Is(err, ErrBadReservation) {
				t.Errorf("%s: got %v; want ErrBadReservation", name, err)
			}
		}
		if _, err := h.reservations.Reserve(t.Context(),
			admission.ReservationRequest{Display: "none"}); !errors.Is(err, ErrUnknownDisplay) {
			t.Errorf("got %v; want ErrUnknownDisplay", err)
		}
	})
}

// A gateway keeps a place for a viewer who is late.
func TestReservationIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHouse(t, func(c *Config) { c.MaxSessions = 1 })
		defer h.close(t)
		l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default"})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(10 * time.Second)
			if _, err := h.reservations.Renew(l.ID, 15*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Second)
		if _, err := h.reservations.Renew(l.ID, time.Second); !errors.Is(err, ErrUnknownReservation) {
			t.Errorf("after its end: %v; want ErrUnknownReservation", err)
		}
	})
}

// Who comes with a reservation has a place at the display while it connects, whatever format it takes.
func TestPlaceAtAConsoleIsKeptWhileItsViewerConnects(t *testing.T) {
	h := openHouse(t, func(c *Config) {
		c.Encoders = append(c.Encoders, encoderOf(encode.VP9))
		c.Rules = []Rule{{Display: "test", MaxViewers: 1}}
	})
	defer h.close(t)
	for _, format := range h.pool.Formats() {
		l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{
			Display: "default",
			Hold:    time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		place, _, _, err := h.registry.tryAdmit(Offer{Reservation: l.ID}, h.screen.display(), format, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.reservations.Reserve(t.Context(),
			admission.ReservationRequest{Display: "default"}); !errors.Is(err, ErrFull) {
			t.Errorf("a place beside a viewer of %s that connects to a console: %v; want ErrFull", format, err)
		}
		h.registry.cancel(place)
		h.registry.wg.Done()
		if err := h.reservations.Release(l.ID); err != nil {
			t.Error(err)
		}
	}
}

// A viewer takes a reserved place and gives it back. A host that drains meanwhile does not keep the place, and reports
// its end like that of other reservations.
func TestPlaceGivenBackToAHostThatDrains(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default", Hold: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	place, _, _, err := h.registry.tryAdmit(Offer{Reservation: l.ID}, h.screen.display(),
		h.registry.capacity.usualFormat(), false)
	if err != nil {
		t.Fatal(err)
	}
	h.host.Drain(hoststate.DrainOrder{})
	h.registry.cancel(place)
	h.registry.wg.Done()
	if n := testutil.ToFloat64(h.met.reservations); n != 0 {
		t.Errorf("the gauge shows %v places; want none", n)
	}
	if n := testutil.ToFloat64(h.met.reservationsEnded.WithLabelValues(admission.EndDrained)); n != 1 ||
		h.events(EventReservationEnded) != 1 {
		t.Errorf("%v reservations ended by the drain, %d events; want one", n, h.events(EventReservationEnded))
	}
}
