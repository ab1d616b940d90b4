package session

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/admission"
	"wavryhost/session/hoststate"
)

// A cordoned host refuses sessions and reservations, shows who ordered it and why, and takes sessions again when the
// time is over. A drain and a cordon are independent.
func TestCordon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openHouse(t, nil)
		defer h.close(t)
		at := time.Now()
		c := h.host.Cordon(hoststate.CordonOrder{Owner: "ann", Note: "new fan", For: time.Minute})
		if c.Owner != "ann" || c.Note != "new fan" || !c.Begun.Equal(at) || !c.Until.Equal(at.Add(time.Minute)) {
			t.Errorf("got %+v", c)
		}
		if got := h.Host(); got.State != hoststate.Cordoned || got.Cordon == nil || *got.Cordon != c || got.Drain != nil ||
			got.StateReason != hoststate.Requested {
			t.Errorf("host %+v", got)
		}
		if _, err := h.Create(t.Context(), Offer{Display: "default", SDP: "v=0"}); !errors.Is(err, ErrDraining) {
			t.Errorf("a session: %v; want ErrDraining", err)
		}
		_, err := h.Reservations().Reserve(t.Context(), admission.ReservationRequest{Display: "default"})
		if !errors.Is(err, ErrDraining) {
			t.Errorf("a reservation: %v; want ErrDraining", err)
		}
		h.host.Drain(hoststate.DrainOrder{Owner: "bob", Note: "update"})
		if got := h.Host(); got.State != hoststate.Draining || got.Cordon == nil || got.Drain.Owner != "bob" ||
			got.Drain.Note != "update" {
			t.Errorf("host %+v", got)
		}
		h.host.Resume()
		if got := h.Host().State; got != hoststate.Cordoned {
			t.Errorf("after the drain: %s; want cordoned", got)
		}
		time.Sleep(time.Second)
		if n := seriesOf(t, h.reg, "wavry_host_cordoned"); n != 1 {
			t.Errorf("the metric is %v", n)
		}
		time.Sleep(time.Minute)
		if got := h.Host(); got.State != hoststate.Active || got.Cordon != nil || got.StateReason != hoststate.Expired {
			t.Errorf("after its time: %+v", got)
		}
		if n := seriesOf(t, h.reg, "wavry_host_cordoned"); n != 0 {
			t.Errorf("the metric is %v", n)
		}
		h.host.Cordon(hoststate.CordonOrder{})
		h.host.Uncordon()
		h.host.Uncordon() // a second one does nothing
		if n, m := h.events(EventCordon), h.events(EventUncordon); n != 2 || m != 2 {
			t.Errorf("%d and %d events; want 2 and 2", n, m)
		}
	})
}

// What operators order is kept, and the next manager continues with it. A cordon whose time is over meanwhile is not.
func TestOrdersSurviveTheManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []byte
		keep := func(s hoststate.Orders) (err error) { kept, err = json.Marshal(s); return err }
		next := func() *house {
			var s hoststate.Orders
			if err := json.Unmarshal(kept, &s); len(kept) > 0 && err != nil {
				t.Fatal(err)
			}
			return openHouse(t, func(c *Config) { c.Orders, c.Keep = s, keep })
		}
		h := next()
		c := h.host.Cordon(hoststate.CordonOrder{Owner: "ann", Note: "new fan", For: time.Hour})
		d := h.host.Drain(hoststate.DrainOrder{
			Policy: hoststate.DrainMove, Deadline: time.Minute, Owner: "bob", Note: "update",
		})
		h.close(t)

		time.Sleep(10 * time.Minute)
		h = next()
		got := h.Host()
		if got.State != hoststate.Draining || got.Cordon == nil || !got.Cordon.Until.Equal(c.Until) ||
			got.Cordon.Note != c.Note ||
			got.Drain == nil || got.Drain.Policy != "move" || got.Drain.Owner != "bob" || !got.Drain.Begun.Equal(d.Begun) {
			t.Errorf("after a restart: %+v, %+v", got.Cordon, got.Drain)
		}
		h.host.Resume()
		if n := h.events(EventDrained); n != 0 {
			t.Errorf("%d events of the end of a drain that was over", n)
		}
		h.close(t)

		h = next()
		if got := h.Host(); got.State != hoststate.Cordoned || got.Drain != nil {
			t.Errorf("after the end of the drain: %+v, %+v", got.Cordon, got.Drain)
		}
		h.close(t)
		time.Sleep(time.Hour)
		h = next()
		if got := h.Host(); got.State != hoststate.Active || got.Cordon != nil {
			t.Errorf("after its time: %+v", got)
		}
		h.close(t)
	})
}

// Orders that cannot be kept are one error in the log, and hold.
func TestOrdersThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		h := openHouseWith(t, slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}), func(c *Config) {
			c.Keep = func(hoststate.Orders) error { return errors.New("read-only file system") }
		})
		defer h.close(t)
		h.host.Cordon(hoststate.CordonOrder{})
		if got := h.Host().State; got != hoststate.Cordoned {
			t.Errorf("state %s", got)
		}
		if n := strings.Count(log.String(), "read-only file system"); n != 1 || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("the log has %q; want one line that says so", log.String())
		}
	})
	for _, s := range []hoststate.Orders{
		{Cordon: &hoststate.CordonStatus{}},
		{Drain: &hoststate.DrainStatus{}},
		{Drain: &hoststate.DrainStatus{Begun: time.Now(), Policy: "now"}},
	} {
		if err := s.Validate(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
