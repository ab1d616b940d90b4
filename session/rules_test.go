package session

import (
	"context"
	"errors"
	"image"
	"strings"
	"testing"
	"time"

	"wavryhost/session/admission"
)

// twoDisplays adds a second display, "other", and rules.
func twoDisplays(rules ...Rule) func(*Config) {
	other := newScreen(640, 480)
	return func(c *Config) {
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			d := other.display()
			d.ID = "other"
			return append(displays(ctx), d)
		}
		c.Rules = rules
	}
}

func TestConsoleHasOneViewer(t *testing.T) {
	h := openHouse(t, twoDisplays(Rule{Display: "oth*", MaxViewers: 1}, Rule{Display: "*", Weight: 7}))
	defer h.close(t)
	full := func(err error) {
		t.Helper()
		r, ok := errors.AsType[*RefusalError](err)
		if !ok || r.Resource != string(admission.DisplayViewers) || !strings.Contains(err.Error(), "1 at a time "+
			"may watch other, and 1 do") || r.RetryAfter == 0 || r.Fit != "" {
			t.Errorf("got %v", err)
		}
	}
	lease, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "other", Hold: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "other"})
	full(err)
	first, second := newRemote(t), newRemote(t)
	defer first.close()
	defer second.close()
	offer := first.offer(false)
	_, err = h.Create(t.Context(), Offer{Display: "other", SDP: offer})
	full(err)
	a, err := h.Create(t.Context(), Offer{Display: "other", SDP: offer, Reservation: lease.ID})
	if err != nil {
		t.Fatalf("with the place that was reserved: %v", err)
	}
	first.accept(a)
	first.playing(t, 1)
	second.watch(h)
	second.playing(t, 1)
	if s, err := h.Session(second.id); err != nil || s.Weight != 7 {
		t.Errorf("weight %d, %v; want that of the rule", s.Weight, err)
	}
	_, err = h.Change(t.Context(), second.id, Change{Display: new("other")})
	full(err)
	if err := h.End(t.Context(), a.ID, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Change(t.Context(), second.id, Change{Display: new("other")}); err != nil {
		t.Errorf("to a console that nobody is at: %v", err)
	}
	// From the moment of the change on, before anything of it is seen.
	_, err = h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "other"})
	full(err)
	for _, d := range h.Host().Displays {
		if want := map[string]int{"other": 1}[d.ID]; d.Most != want {
			t.Errorf("%+v", d)
		}
	}
}

func TestHiddenDisplay(t *testing.T) {
	h := openHouse(t, twoDisplays(Rule{Display: "test", Hidden: true}))
	defer h.close(t)
	if d := h.Host().Displays; len(d) != 1 || d[0].ID != "other" {
		t.Errorf("%+v", d)
	}
	if _, err := h.reservations.Reserve(t.Context(),
		admission.ReservationRequest{Display: "test"}); !errors.Is(err, ErrUnknownDisplay) {
		t.Errorf("got %v; want ErrUnknownDisplay", err)
	}
	if l, err := h.reservations.Reserve(t.Context(),
		admission.ReservationRequest{Display: "default"}); err != nil || l.Display != "other" {
		t.Errorf("%+v, %v; want the other display as the default", l, err)
	}
	next := *h.conf.get()
	next.Rules = nil
	if err := h.Reconfigure(next); err != nil {
		t.Fatal(err)
	}
	if _, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "test"}); err != nil {
		t.Errorf("after a reload without the rule: %v", err)
	}
}

func TestRules(t *testing.T) {
	c := Config{FPS: 60, Rules: []Rule{
		{Display: "x11:0", FPS: 30},
		{Display: "x11:*", FPS: 20},
		{Display: "a[b]", FPS: 90},
		{Display: "a[b]c", FPS: 7},
	}}
	for id, want := range map[string]int{"x11:0": 30, "x11:12": 20, "synthetic": 60, "ab": 60, "a[b]c": 7} {
		if got := c.fps(id); got != want {
			t.Errorf("%s has %d; want %d", id, got, want)
		}
	}
	for in, want := range map[image.Point]image.Point{{1920, 1080}: {1280, 720}, {640, 480}: {640, 480}, {
		1080,
		1920,
	}: {405, 720}, {1280, 720}: {1280, 720}} {
		if got := (Rule{MaxWidth: 1280, MaxHeight: 720}).size(in); got != want {
			t.Errorf("%v becomes %v; want %v", in, got, want)
		}
	}
	for _, bad := range []Rule{
		{},
		{Display: "["},
		{Display: "a", FPS: 241},
		{Display: "a", MaxWidth: 100},
		{Display: "a", MaxWidth: 8, MaxHeight: 8},
		{Display: "a", Weight: 1001},
		{Display: "a", MaxViewers: -1},
	} {
		if bad.validate() == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
}

// A session that moves to a display that nobody watches needs an encode there: it is admitted as a new one is, but for
// what it has already.
func TestMoveIsAdmitted(t *testing.T) {
	b := &burden{l: Load{Cores: 4, CoresUsed: 1, MemoryFree: 8 << 30}}
	h := openHouse(t, func(c *Config) {
		twoDisplays()(c)
		c.Load, c.EncoderInfo, c.MaxSessions = b.read, measured(.01), 2
	})
	defer h.close(t)
	stays, moves := newRemote(t), newRemote(t)
	defer stays.close()
	defer moves.close()
	for _, r := range []*remote{stays, moves} {
		r.watch(h)
		r.playing(t, 1)
	}
	b.set(3.95)
	_, err := h.Change(t.Context(), moves.id, Change{Display: new("other")})
	if r, ok := errors.AsType[*RefusalError](err); !ok || r.Resource != string(admission.CPU) {
		t.Errorf("to a display that there are no cores for: %v", err)
	}
	if s, err := h.Session(moves.id); err != nil || s.Display == "other" {
		t.Errorf("it shows %q, %v", s.Display, err)
	}
	b.set(1)
	// The host has as many sessions as it takes, of which this is one.
	if _, err := h.Change(t.Context(), moves.id, Change{Display: new("other")}); err != nil {
		t.Errorf("with room: %v", err)
	}
	if err := h.End(t.Context(), moves.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	// A viewer alone on a display can move freely: its old encoding makes room.
	b.set(3.95)
	if _, err := h.Change(t.Context(), stays.id, Change{Display: new("other")}); err != nil {
		t.Errorf("the only session: %v", err)
	}
}
