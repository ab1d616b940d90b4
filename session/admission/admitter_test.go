package admission

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/encode"
)

// house is a fake owner of sessions: its snapshot is what a test says.
type house struct {
	*Admitter
	Snapshot

	told []string // ends of reservations
}

func newHouse(limits Limits) *house {
	h := &house{Snapshot: Snapshot{
		Now: time.Unix(1_700_000_000, 0), Limits: limits, Displays: make(map[string]Display),
		Host: Host{Best: Encoder{PerPixel: 2e-8, OnCPU: true}},
	}}
	n := 0
	h.Admitter = New(func() string {
		n++
		return fmt.Sprint("r", n)
	}, func(r Reservation, why string) { h.told = append(h.told, r.ID+" "+why) })
	return h
}

// request asks for a display, for an owner.
func (h *house) request(display, owner string, guest bool) Request {
	return Request{
		Display: display, Format: encode.H264, Profile: Profile{640, 480, 30, 1_000_000}, Weight: 100,
		Owner: Owner{Credential: "token", Name: owner}, Guest: guest,
	}
}

// open creates a session as the owner of sessions does: a session that must make room is gone at once.
func (h *house) open(r Request, id string) error {
	for try := 1; ; try++ {
		t, replace, err := h.Admit(r, h.Snapshot, try < 3)
		switch {
		case err != nil:
			return err
		case replace != "":
			h.close(replace)
			continue
		}
		h.Use(t, id)
		h.Sessions = append(h.Sessions, Session{
			ID: id, Display: r.Display, Owner: r.Owner, Guest: r.Guest, Created: h.Now, Connecting: true,
		})
		d := h.Displays[r.Display]
		d.Viewers++
		d.Encodes, d.Shared = 1, true
		h.Displays[r.Display] = d
		return nil
	}
}

// close ends a session.
func (h *house) close(id string) {
	h.Sessions = slices.DeleteFunc(h.Sessions, func(s Session) bool { return s.ID == id })
	h.Forget(id)
}

// connect marks a session as connected.
func (h *house) connect(id string) {
	s := &h.Sessions[h.find(id)]
	s.Connected, s.Connecting = h.Now, false
}

func (h *house) has(id string) bool { return h.find(id) >= 0 }

// shortOf checks that a request is refused because a resource is short.
func shortOf(t *testing.T, err error, want Resource) {
	t.Helper()
	r, ok := errors.AsType[*RefusalError](err)
	if !ok || r.Resource != string(want) || r.RetryAfter <= 0 || !errors.Is(err, ErrFull) {
		t.Errorf("got %v; want to be short of %s", err, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Tickets and reservations count like sessions, whichever question is asked.
func TestEachPlaceIsGivenOnce(t *testing.T) {
	h := newHouse(Limits{Sessions: 3, Handshakes: 100, PerOwner: 100})
	operator := h.request("a", "op", false)
	ok(t, h.open(operator, "s1"))
	ticket, _, err := h.Admit(operator, h.Snapshot, false)
	ok(t, err)
	_, err = h.Reserve(ReservationRequest{Display: "a"}, operator, h.Snapshot)
	ok(t, err)
	_, _, err = h.Admit(operator, h.Snapshot, false)
	shortOf(t, err, Sessions)
	_, err = h.Reserve(ReservationRequest{Display: "a"}, operator, h.Snapshot)
	shortOf(t, err, Sessions)
	forecast := h.Forecast(Request{Format: encode.H264}, h.Snapshot)
	if c := forecast.Capacity(Profiles()[6:]); c[0].More != 0 || c[0].LimitedBy != string(Sessions) {
		t.Errorf("capacity is %+v; want none", c)
	}
	h.Cancel(ticket, false)
	h.Cancel(ticket, false) // a second time gives nothing back
	ok(t, h.open(operator, "s2"))
	_, _, err = h.Admit(operator, h.Snapshot, false)
	shortOf(t, err, Sessions)
}

// The load of a new session is reserved until it shows in what is measured, and never counts twice.
func TestReservedLoad(t *testing.T) {
	h := newHouse(Limits{Sessions: 100, Handshakes: 100, PerOwner: 100})
	h.Host.Uplink = 10_000_000 // 9 of which may be used
	left := func() int {
		return h.Forecast(Request{Format: encode.H264}, h.Snapshot).Capacity([]Profile{{640, 480, 30, 1_000_000}})[0].More
	}
	r := h.request("a", "op", false)
	ok(t, h.open(r, "s1"))
	ok(t, h.open(r, "s2"))
	if n := left(); n != 7 {
		t.Errorf("room for %d beside two new sessions; want 7", n)
	}
	h.connect("s1")
	h.Sessions[0].Sent = 4_000_000
	if n := left(); n != 7 {
		t.Errorf("room for %d when one has just connected; want 7", n)
	}
	h.Now = h.Now.Add(settling)
	if n := left(); n != 4 {
		t.Errorf("room for %d when one sends 4 Mbit/s; want 4", n)
	}
	m, err := h.Move("s1", h.request("b", "op", false), h.Snapshot)
	ok(t, err)
	if n := left(); n != 7 {
		t.Errorf("room for %d when it moves; want 7", n)
	}
	h.Done(m, true)
	if n := left(); n != 4 {
		t.Errorf("room for %d when it stays where it was; want 4", n)
	}
	h.close("s1")
	h.close("s2")
	if n := left(); n != 9 {
		t.Errorf("room for %d when both are gone; want 9", n)
	}
	if len(h.sessions) != 0 {
		t.Errorf("%d sessions that are gone are remembered", len(h.sessions))
	}
	if _, err := h.Move("s1", r, h.Snapshot); !errors.Is(err, ErrFull) {
		t.Errorf("a session that has ended moves: %v", err)
	}
}

// The first encode of a display is promised once, however many sessions are to share it.
func TestEncodesArePromisedOnce(t *testing.T) {
	h := newHouse(Limits{Sessions: 100, Handshakes: 100, PerOwner: 100})
	h.Host.EncodeLimit = 2
	for i := range 3 {
		_, err := h.Reserve(ReservationRequest{Display: "a"}, h.request("a", "op", false), h.Snapshot)
		if err != nil {
			t.Fatalf("reservation %d of one display: %v", i, err)
		}
	}
	_, err := h.Reserve(ReservationRequest{Display: "b"}, h.request("b", "op", false), h.Snapshot)
	ok(t, err)
	_, err = h.Reserve(ReservationRequest{Display: "c"}, h.request("c", "op", false), h.Snapshot)
	shortOf(t, err, Encoders)
}

// A session that moves needs no place beside its own, and what its encode takes alone is free then.
func TestMoveIsFreeOfWhatItLeaves(t *testing.T) {
	h := newHouse(Limits{Sessions: 1, Handshakes: 10, PerOwner: 10})
	h.Host.Cores, h.Host.MemoryFree = 4, 8<<30
	ok(t, h.open(h.request("a", "op", false), "s1"))
	h.connect("s1")
	h.Sessions = append(h.Sessions, Session{ID: "other", Display: "b", Connected: h.Now, Created: h.Now})
	h.Limits.Sessions = 2
	h.Now = h.Now.Add(time.Minute)
	h.Host.CoresUsed = 3.3
	big := h.request("c", "op", false)
	big.Profile = Profile{1280, 720, 30, 1_000_000}
	_, err := h.Move("s1", big, h.Snapshot)
	shortOf(t, err, CPU)
	h.Displays["a"] = Display{Viewers: 1, Cost: 1, Encodes: 1, Shared: true}
	m, err := h.Move("s1", big, h.Snapshot)
	ok(t, err)
	h.Done(m, false)
}

// A guest has so many sessions. The oldest of its own that never connected makes room for the next.
func TestGuestIsLimited(t *testing.T) {
	h := newHouse(Limits{Sessions: 16, Handshakes: 32, PerOwner: 2})
	ann := h.request("a", "ann", true)
	for i := range 4 {
		h.Now = h.Now.Add(time.Second)
		ok(t, h.open(ann, fmt.Sprint("s", i)))
	}
	if h.has("s0") || h.has("s1") || !h.has("s2") || !h.has("s3") {
		t.Errorf("%v are left; want the newest two", h.Sessions)
	}
	h.connect("s2")
	h.connect("s3")
	shortOf(t, h.open(ann, "s4"), PerOwner)
	ann.MaxSessions = 3
	ok(t, h.open(ann, "s4"))
	same := ann
	same.Owner.Credential = "grant" // the same name by another credential is another owner
	ok(t, h.open(same, "s5"))
}

// A guest without sessions gets the place of a guest with several that are not connected; the last place is kept for
// operators, who need not wait for anybody.
func TestPlacesAreSharedBetweenOwners(t *testing.T) {
	h := newHouse(Limits{Sessions: 7, Handshakes: 100, PerOwner: 3})
	for i := range 3 {
		ok(t, h.open(h.request("a", "ann", true), fmt.Sprint("ann", i)))
		ok(t, h.open(h.request("a", "bob", true), fmt.Sprint("bob", i)))
		h.connect(fmt.Sprint("ann", i))
	}
	ok(t, h.open(h.request("a", "cid", true), "cid"))
	ok(t, h.open(h.request("a", "dan", true), "dan"))
	if !h.has("ann0") || !h.has("ann1") || !h.has("ann2") || len(h.Sessions) != 6 {
		t.Errorf("%d sessions, %v; want ann's, which are connected, to stay", len(h.Sessions), h.Sessions)
	}
	shortOf(t, h.open(h.request("a", "eve", true), "eve"), Sessions)
	ok(t, h.open(h.request("a", "op", false), "op1"))
	ok(t, h.open(h.request("a", "op", false), "op2"))
	if len(h.Sessions) != 7 {
		t.Errorf("%d sessions; want 7", len(h.Sessions))
	}
}

// Handshakes are shared like places, and sessions that are being created are among them.
func TestHandshakesAreLimited(t *testing.T) {
	h := newHouse(Limits{Sessions: 100, Handshakes: 9, PerOwner: 100})
	for i := range 5 { // a quarter of 8 each
		ok(t, h.open(h.request("a", "ann", true), fmt.Sprint("ann", i)))
	}
	if len(h.Sessions) != 2 {
		t.Errorf("%d sessions of one owner are connecting; want 2", len(h.Sessions))
	}
	for i := range 7 {
		_, _, err := h.Admit(h.request("a", fmt.Sprint("bob", i), true), h.Snapshot, false)
		if want := i == 6; want != (err != nil) {
			t.Fatalf("guest %d: %v", i, err)
		}
		if err != nil {
			shortOf(t, err, Handshakes)
		}
	}
	if h.Creating() != 6 {
		t.Errorf("%d sessions are being created; want 6", h.Creating())
	}
	_, _, err := h.Admit(h.request("a", "op", false), h.Snapshot, false)
	ok(t, err)
}

// Whatever takes a place at a display counts: sessions, those on their way to it, tickets, reservations and moves.
func TestDisplayIsLimited(t *testing.T) {
	limited := func(h *house) Request {
		r := h.request("a", "op", false)
		r.Viewers = 1
		return r
	}
	for name, occupy := range map[string]func(h *house){
		"session": func(h *house) {
			h.Sessions = append(h.Sessions, Session{ID: "s", Display: "a", Connected: h.Now})
		},
		"session on its way": func(h *house) {
			h.Sessions = append(h.Sessions, Session{ID: "s", Display: "b", Heading: "a", Connected: h.Now})
		},
		"ticket": func(h *house) {
			_, _, err := h.Admit(limited(h), h.Snapshot, false)
			ok(t, err)
		},
		"reservation": func(h *house) {
			_, err := h.Reserve(ReservationRequest{Display: "a"}, limited(h), h.Snapshot)
			ok(t, err)
		},
		"move": func(h *house) {
			h.Sessions = append(h.Sessions, Session{ID: "s", Display: "b", Connected: h.Now})
			_, err := h.Move("s", limited(h), h.Snapshot)
			ok(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(Limits{Sessions: 9, Handshakes: 9, PerOwner: 9})
			r := limited(h)
			occupy(h)
			_, replace, err := h.Admit(r, h.Snapshot, true)
			shortOf(t, err, DisplayViewers)
			if replace != "" {
				t.Errorf("%s makes room", replace)
			}
			r.Display = "c"
			_, _, err = h.Admit(r, h.Snapshot, true)
			ok(t, err)
		})
	}
}

// A session that never connected holds a full display for its grace alone; that of the same guest gives way at once.
func TestOfferThatNeverConnectsGivesWay(t *testing.T) {
	h := newHouse(Limits{Sessions: 9, Handshakes: 9, PerOwner: 9})
	ann, bob, op := h.request("a", "ann", true), h.request("a", "bob", true), h.request("a", "op", false)
	ann.Viewers, bob.Viewers, op.Viewers = 1, 1, 1
	ok(t, h.open(ann, "s1"))
	ok(t, h.open(ann, "s2"))
	err := h.open(bob, "s3")
	shortOf(t, err, DisplayViewers)
	if r, ok := errors.AsType[*RefusalError](err); !ok || r.RetryAfter > ConnectGrace+time.Second {
		t.Errorf("bob is told to come back after more than the grace: %+v", r)
	}
	h.Now = h.Now.Add(ConnectGrace)
	ok(t, h.open(bob, "s3"))
	if len(h.Sessions) != 1 || !h.has("s3") {
		t.Errorf("%v are left; want bob's", h.Sessions)
	}
	h.connect("s3")
	h.Now = h.Now.Add(time.Hour)
	shortOf(t, h.open(ann, "s4"), DisplayViewers)
	h.close("s3")
	ok(t, h.open(op, "s5"))
	shortOf(t, h.open(op, "s6"), DisplayViewers) // operators open sessions for several viewers
}

// A reservation ends once, and its place is free or used then.
func TestLifeOfReservations(t *testing.T) {
	h := newHouse(Limits{Sessions: 5, Handshakes: 9, PerOwner: 9})
	r := h.request("a", "op", false)
	keep := func(hold time.Duration) Reservation {
		t.Helper()
		l, err := h.Reserve(ReservationRequest{Display: "a", Hold: hold, MaxBitrate: 7}, r, h.Snapshot)
		ok(t, err)
		if l.Weight != 100 || l.MaxBitrate != 7 || l.Expires != h.Now.Add(max(hold, defaultHold)) {
			t.Errorf("%+v", l)
		}
		return l
	}
	released, expired, used, failed, drained := keep(time.Minute), keep(0), keep(time.Minute),
		keep(time.Minute), keep(time.Minute)
	if l := h.Reservations(); len(l) != 5 || l[0].ID != expired.ID {
		t.Errorf("%+v; want five, the one that expires next first", l)
	}
	ok(t, h.Release(released.ID))
	if err := h.Release(released.ID); !errors.Is(err, ErrUnknownReservation) {
		t.Errorf("released twice: %v", err)
	}
	h.Now = h.Now.Add(defaultHold)
	admit := func(id, display string) (*Ticket, error) {
		r := r
		r.Reservation, r.Display = id, display
		ticket, _, err := h.Admit(r, h.Snapshot, false)
		return ticket, err
	}
	if _, err := admit(expired.ID, "a"); !errors.Is(err, ErrUnknownReservation) {
		t.Errorf("an expired one is used: %v", err)
	}
	h.Expire(h.Now)
	if _, err := admit(used.ID, "b"); !errors.Is(err, ErrBadReservation) {
		t.Errorf("one is used for another display: %v", err)
	}
	ticket, err := admit(used.ID, "a")
	ok(t, err)
	if _, err := admit(used.ID, "a"); !errors.Is(err, ErrUnknownReservation) {
		t.Errorf("one is used twice: %v", err)
	}
	h.Use(ticket, "s1")
	if l, ok := ticket.Reservation(); !ok || l.Session != "s1" {
		t.Errorf("the one that was used is %+v", l)
	}
	ticket, err = admit(failed.ID, "a")
	ok(t, err)
	h.Cancel(ticket, false)
	ticket, err = admit(failed.ID, "a")
	if err != nil {
		t.Fatalf("one whose session failed is used again: %v", err)
	}
	h.Drain()
	h.Cancel(ticket, true)
	want := []string{
		released.ID + " released", expired.ID + " expired", used.ID + " used", drained.ID + " drained",
		failed.ID + " drained",
	}
	if !slices.Equal(h.told, want) || h.Reserved() != 0 {
		t.Errorf("told %v, %d left; want %v", h.told, h.Reserved(), want)
	}
}

// The place of a reservation is kept whatever its viewer's codec takes, and that is reserved for it.
func TestReservationForAnotherCodec(t *testing.T) {
	h := newHouse(Limits{Sessions: 1, Handshakes: 9, PerOwner: 9})
	r := h.request("a", "op", false)
	l, err := h.Reserve(ReservationRequest{Display: "a"}, r, h.Snapshot)
	ok(t, err)
	r.Reservation, r.Format, r.Profile.BitsPerSecond = l.ID, encode.VP9, 5
	ticket, _, err := h.Admit(r, h.Snapshot, false)
	ok(t, err)
	if ticket.load.format != encode.VP9 || ticket.load.Bits != 5 {
		t.Errorf("%+v is reserved", ticket.load)
	}
}

// A renewed reservation is held from then on. After its end it cannot be renewed.
func TestReservationIsRenewed(t *testing.T) {
	h := newHouse(Limits{Sessions: 9, Handshakes: 9, PerOwner: 9})
	l, err := h.Reserve(ReservationRequest{Display: "a"}, h.request("a", "op", false), h.Snapshot)
	ok(t, err)
	at := l.Expires.Add(-time.Second)
	renewed, err := h.Renew(l.ID, time.Minute, at)
	if err != nil || !renewed.Expires.Equal(at.Add(time.Minute)) {
		t.Errorf("renewed until %v, %v", renewed.Expires, err)
	}
	h.Expire(l.Expires)
	if _, held := h.Reservation(l.ID); !held {
		t.Error("the renewed reservation expired at its first time")
	}
	for _, hold := range []time.Duration{-1, 0, longestHold + 1} {
		if _, err := h.Renew(l.ID, hold, at); !errors.Is(err, ErrBadReservation) {
			t.Errorf("%v: got %v; want ErrBadReservation", hold, err)
		}
	}
	if _, err := h.Renew(l.ID, time.Minute, renewed.Expires); !errors.Is(err, ErrUnknownReservation) {
		t.Errorf("at its end: got %v; want ErrUnknownReservation", err)
	}
	for name, bad := range map[string]ReservationRequest{
		"too long": {Hold: longestHold + 1}, "negative": {Hold: -1},
	} {
		if err := bad.Validate(); !errors.Is(err, ErrBadReservation) {
			t.Errorf("%s: got %v; want ErrBadReservation", name, err)
		}
	}
}

// A refusal says in words what is short, what would fit, and when to retry.
func TestRefusalIsWorded(t *testing.T) {
	h := newHouse(Limits{Sessions: 9, Handshakes: 9, PerOwner: 9})
	h.Host.Cores, h.Host.CoresUsed = 4, 3.3
	ok(t, h.open(h.request("a", "op", false), "s1"))
	r := h.request("b", "op", false)
	r.Profile = Profile{1920, 1080, 60, 9_000_000}
	_, _, err := h.Admit(r, h.Snapshot, false)
	shortOf(t, err, CPU)
	e, _ := errors.AsType[*RefusalError](err)
	if !strings.Contains(err.Error(), "of 4.00 cores are in "+
		"use") || e.RetryAfter < 5*time.Second || e.RetryAfter > 15*time.Second {
		t.Errorf("got %v, again after %v", err, e.RetryAfter)
	}
	err = Refuse(Memory, "%d bytes", 3)
	shortOf(t, err, Memory)
	if !strings.HasSuffix(err.Error(), ": 3 bytes") {
		t.Errorf("got %q", err)
	}
}

func TestParseProfile(t *testing.T) {
	if p, err := ParseProfile("1280x720@30"); err != nil || p.String() != "1280x720@30" || p.BitsPerSecond < 1e6 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{"", "1280x720", "1280x720@", "x@", "1280x720@30fps", "1280x720@30 " +
		"", "-1x720@30", "8x8@30", "9000x720@30", "1280x720@0", "1280x720@241"} {
		if _, err := ParseProfile(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
