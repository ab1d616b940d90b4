package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/session/admission"
	"wavryhost/session/floor/floortest"
	"wavryhost/session/hoststate"
	"wavryhost/session/peer/peertest"
)

// A host that was handed over keeps its sessions until they have moved, and accepts nothing. The next daemon knows
// nothing of that.
func TestHandOver(t *testing.T) {
	kept := 0
	h := openHouse(t, func(c *Config) { c.Keep = func(hoststate.Orders) error { kept++; return nil } })
	defer h.close(t)
	offer := Offer{Display: "default", SDP: peertest.ChromiumOffer}
	a, err := h.Create(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default", Hold: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if one, err := h.Session(a.ID); err != nil || one.Moving {
		t.Errorf("before: %+v, %v", one, err)
	}

	h.host.HandOver(time.Second)
	one, err := h.Session(a.ID)
	if err != nil || !one.Moving || one.Ending == nil || one.Ending.In > 1 {
		t.Errorf("after: moving %v, ending %+v, %v", one.Moving, one.Ending, err)
	}
	if _, err := h.Create(t.Context(), offer); !errors.Is(err, ErrDraining) {
		t.Errorf("another session: %v", err)
	}
	if list := h.reservations.List(); len(list) != 1 || h.events(EventReservationEnded) != 0 {
		t.Errorf("reservations %+v", list)
	}
	eventually(t, "the session has ended", func() bool {
		_, err := h.Session(a.ID)
		return errors.Is(err, ErrUnknownSession)
	})
	if kept != 0 {
		t.Errorf("orders were kept %d times", kept)
	}

	next := openHouse(t, nil)
	defer next.close(t)
	old := l
	old.ID, old.Expires = "over", time.Now()
	if err := next.reservations.Inherit(t.Context(), []admission.Reservation{l, old}); err != nil {
		t.Fatal(err)
	}
	got := next.reservations.List()
	if len(got) != 1 || got[0].ID != l.ID || got[0].Display != l.Display ||
		got[0].Expires.Sub(l.Expires).Abs() > time.Second {
		t.Errorf("inherited %+v; want %+v", got, l)
	}
	offer.Reservation = l.ID
	if _, err := next.Create(t.Context(), offer); err != nil {
		t.Errorf("the session of the reservation: %v", err)
	}
}

// A session that replaces one begins at half its rate, since both share the path for a moment, and controls the display
// if that did.
func TestSessionBesideTheOneItReplaces(t *testing.T) {
	keys := &floortest.Keyboard{}
	h := openHouse(t, func(c *Config) {
		inner := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			list := inner(ctx)
			list[0].Input = injector(keys)
			return list
		}
	})
	defer h.close(t)
	a, err := h.Create(t.Context(), Offer{
		Display: "default", SDP: peertest.ChromiumOffer, Replaces: "former", Rate: 3_000_000, Control: true,
		Role: RoleController,
	})
	if err != nil {
		t.Fatal(err)
	}
	one, err := h.Session(a.ID)
	if err != nil || one.TargetBitrate < 1_300_000 || one.TargetBitrate > 1_500_000 || !one.Control {
		t.Errorf("target %d, control %v, %v", one.TargetBitrate, one.Control, err)
	}
	for _, c := range []struct {
		rate int
		a    adapt.Config
		want int
	}{
		{0, adapt.Config{Start: 2e6}, 2e6},
		{8e6, adapt.Config{Start: 2e6}, 4e6},
		{8e6, adapt.Config{Start: 2e6, Max: 3e6}, 3e6},
		{1000, adapt.Config{Start: 2e6, Min: 200_000}, 200_000},
		{8e6, adapt.Config{Start: 2e6, Fixed: 1e6}, 2e6},
	} {
		if got := beside(c.rate, c.a).Start; got != c.want {
			t.Errorf("beside(%d, %+v) starts at %d; want %d", c.rate, c.a, got, c.want)
		}
	}
}
