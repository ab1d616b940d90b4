package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/admission"
)

// desk is a display that runs while something holds it, and is kept without a limit after that.
type desk struct {
	*screen

	id   string
	wait chan struct{} // delays a start; nil for no delay
	fail error         // of a start

	mu            sync.Mutex
	holds, starts int
	runs          bool
}

func (d *desk) display() Display {
	one := d.screen.display()
	one.ID, one.Group, one.Hold, one.Kept = d.id, "desk", d.hold, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.runs && d.holds == 0
	}
	return one
}

func (d *desk) hold(ctx context.Context, fresh bool) (release func(), err error) {
	if d.wait != nil {
		select {
		case <-d.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if d.fail != nil {
		return nil, d.fail
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.runs || fresh && d.holds == 0 {
		d.starts++
	}
	d.runs = true
	d.holds++
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.holds--
	}), nil
}

// state returns the numbers of holds and starts.
func (d *desk) state() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("%d held, %d starts", d.holds, d.starts)
}

// openDesks is openHouse with a group of so many displays, and the rules.
func openDesks(t *testing.T, n int, change func(*Config)) (*house, []*desk) {
	t.Helper()
	var all []*desk
	for i := range n {
		all = append(all, &desk{screen: newScreen(320, 240), id: fmt.Sprintf("desk-%d", i+1)})
	}
	return openHouse(t, func(c *Config) {
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			list := displays(ctx)
			for _, d := range all {
				list = append(list, d.display())
			}
			return list
		}
		if change != nil {
			change(c)
		}
	}), all
}

func wantState(t *testing.T, d *desk, want string) {
	t.Helper()
	if got := d.state(); got != want {
		t.Errorf("%s: %s; want %s", d.id, got, want)
	}
}

// wantFull checks that an error refuses because the group is full.
func wantFull(t *testing.T, err error, n int) {
	t.Helper()
	r, ok := errors.AsType[*RefusalError](err)
	if !ok || r.Resource != string(admission.DisplayViewers) || r.RetryAfter == 0 ||
		!strings.Contains(err.Error(), fmt.Sprintf("all %d displays of desk are in use", n)) {
		t.Errorf("got %v; want a refusal that names the group", err)
	}
}

func guest(name string) Owner {
	return Owner{Credential: CredentialGrant, Issuer: "gateway", Name: name}
}

func TestGroupGivesEachViewerADisplay(t *testing.T) {
	h, desks := openDesks(t, 2, nil)
	defer h.close(t)
	come := func(name, display string) (*remote, string, error) {
		t.Helper()
		r := newRemote(t)
		t.Cleanup(r.close)
		a, err := h.Create(t.Context(), Offer{Display: display, SDP: r.offer(false), Owner: guest(name), Guest: true})
		if err != nil {
			return r, "", err
		}
		r.accept(a)
		s, err := h.Session(a.ID)
		return r, s.Display, err
	}
	leave := func(r *remote) {
		t.Helper()
		if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
			t.Fatal(err)
		}
	}
	want := func(name, display string) *remote {
		t.Helper()
		r, got, err := come(name, "desk")
		if err != nil || got != display {
			t.Fatalf("%s got %s, %v; want %s", name, got, err, display)
		}
		r.playing(t, 1)
		return r
	}
	ann, ben := want("ann", "desk-1"), want("ben", "desk-2")
	_, _, err := come("cat", "desk")
	wantFull(t, err, 2)
	wantState(t, desks[0], "1 held, 1 starts")
	wantState(t, desks[1], "1 held, 1 starts")

	_, got, err := come("cat", "desk-2")
	if err != nil || got != "desk-2" {
		t.Errorf("who requests a member itself got %s, %v", got, err)
	}
	wantState(t, desks[1], "2 held, 1 starts")

	leave(ann)
	wantState(t, desks[0], "0 held, 1 starts")
	again := want("ann", "desk-1")
	wantState(t, desks[0], "1 held, 1 starts") // as it was left
	leave(again)
	want("dan", "desk-1")
	wantState(t, desks[0], "1 held, 2 starts") // nothing of ann's is left
	leave(ben)
	if n := len(h.Sessions()); n != 2 {
		t.Errorf("%d sessions", n)
	}
	for _, d := range h.Host().Displays[1:] {
		if d.Group != "desk" {
			t.Errorf("group %q of %s", d.Group, d.ID)
		}
	}
}

// Members that do not run come before members that are kept for others.
func TestGroupKeepsWhatWasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, desks := openDesks(t, 3, nil)
		defer h.close(t)
		reserve := func(subject string) admission.Reservation {
			t.Helper()
			l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "desk", Subject: subject})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		first := reserve("ann")
		if first.Display != "desk-1" {
			t.Errorf("the first one is %s", first.Display)
		}
		if err := h.reservations.Release(first.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, desks[0], "0 held, 1 starts")
		for _, want := range []string{"desk-2", "desk-3", "desk-1"} {
			if l := reserve(""); l.Display != want {
				t.Errorf("got %s; want %s", l.Display, want)
			}
		}
		wantState(t, desks[0], "1 held, 2 starts")
		_, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "desk"})
		wantFull(t, err, 3)
		time.Sleep(16 * time.Second) // they expire
		for _, d := range desks {
			if got := d.state(); !strings.HasPrefix(got, "0 held") {
				t.Errorf("%s: %s by reservations that have expired", d.id, got)
			}
		}
	})
}

// A start that takes long or fails delays nothing else, and leaves no reservation.
func TestDisplayOfReservationStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, desks := openDesks(t, 2, nil)
		defer h.close(t)
		desks[0].wait = make(chan struct{})
		type result struct {
			l   admission.Reservation
			err error
		}
		slow := make(chan result, 1)
		go func() {
			l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "desk"})
			slow <- result{l, err}
		}()
		synctest.Wait()
		l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "desk"})
		if err != nil || l.Display != "desk-2" {
			t.Errorf("another one: %+v, %v", l, err)
		}
		time.Sleep(10 * time.Second)
		close(desks[0].wait)
		got := <-slow
		if got.err != nil || got.l.Display != "desk-1" || time.Until(got.l.Expires) != 15*time.Second {
			t.Errorf("the slow one: %+v, %v; want 15 s from its start on", got.l, got.err)
		}
		if err := h.reservations.Release(got.l.ID); err != nil {
			t.Error(err)
		}
		desks[0].fail = errors.New("Xvfb is not installed")
		_, err = h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "desk-1"})
		if !errors.Is(err, ErrNoPicture) || !strings.Contains(err.Error(), "desk-1: Xvfb is not installed") {
			t.Errorf("a failed start: %v", err)
		}
		if n := len(h.reservations.List()); n != 1 {
			t.Errorf("%d reservations; want that of desk-2", n)
		}
		wantState(t, desks[0], "0 held, 1 starts")
	})
}

// The default display may stand for its group. A group has no size, and is not what its members' rules are about.
func TestGroupAsTheDefault(t *testing.T) {
	h, _ := openDesks(t, 2, func(c *Config) {
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			list := displays(ctx)[1:]
			list[0].ForGroup = true
			return list
		}
		c.Rules = []Rule{{Display: "desk-1", Hidden: true}}
	})
	defer h.close(t)
	if got := h.Host().Default; got != "desk-2" { // the member that stands for the group is hidden
		t.Errorf("the default is %q", got)
	}
	next := *h.conf.get()
	next.Rules = nil
	if err := h.Reconfigure(next); err != nil {
		t.Fatal(err)
	}
	if got := h.Host().Default; got != "desk" {
		t.Errorf("the default is %q", got)
	}
	for _, want := range []string{"desk-1", "desk-2"} {
		if l, err := h.reservations.Reserve(t.Context(),
			admission.ReservationRequest{Display: "default", Hold: time.Minute}); err != nil || l.Display != want {
			t.Errorf("got %+v, %v; want %s", l, err, want)
		}
	}
	list := h.reservations.List()
	r := newRemote(t)
	defer r.close()
	a, err := h.Create(t.Context(), Offer{Display: "desk", Reservation: list[1].ID, SDP: r.offer(false)})
	if err != nil {
		t.Fatal(err)
	}
	r.accept(a)
	if s, err := h.Session(a.ID); err != nil || s.Display != list[1].Display {
		t.Errorf("the session shows %s, %v; want the reserved %s", s.Display, err, list[1].Display)
	}
	if err := h.Resize(t.Context(), Resize{Display: "desk"}); !errors.Is(err, ErrUnknownDisplay) {
		t.Errorf("the size of a group: %v", err)
	}
}
