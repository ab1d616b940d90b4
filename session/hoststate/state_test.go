package hoststate

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var errUnknown = errors.New("unknown session")

// crowd is sessions without viewers, and the host that they are on.
type crowd struct {
	*State
	now      time.Time
	ids      []string
	creating int
	told     []string // what was made known, with the time in seconds
	released int      // how often all reservations ended
	settings Settings
	trouble  string
	served   bool
	failed   bool
}

var _ Sessions = (*crowd)(nil)

// newCrowd returns a host that has begun, with sessions.
func newCrowd(ids ...string) *crowd {
	c := &crowd{now: time.Unix(0, 0), ids: ids, settings: Settings{
		MaxSessions: 16, ProbationSessions: 2, Probation: time.Minute, DrainPostpone: 10 * time.Second,
	}}
	c.State = New(Config{
		Settings: func() Settings { return c.settings }, Sessions: c, Trouble: func() string { return c.trouble },
		News: c.news,
		Emit: func(e Event) uint64 {
			if e.Kind == EventState {
				c.tell("%s to %s: %s", e.From, e.To, e.Reason)
			}
			return 0
		},
	}, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
	return c
}

func (c *crowd) news() (served, failed bool) {
	served, failed = c.served, c.failed
	c.served, c.failed = false, false
	return served, failed
}

func (c *crowd) tell(format string, args ...any) {
	c.told = append(c.told, fmt.Sprintf("%v %s", c.now.Sub(time.Unix(0, 0)), fmt.Sprintf(format, args...)))
}

func (c *crowd) Present() int      { return len(c.ids) + c.creating }
func (c *crowd) InOrder() []string { return slices.Clone(c.ids) }
func (c *crowd) Find(id string) error {
	if !slices.Contains(c.ids, id) {
		return errUnknown
	}
	return nil
}
func (c *crowd) Move(id string) { c.tell("move %s", id) }
func (c *crowd) Announce(id string, end time.Time, _ time.Duration, reason string) {
	c.tell("%s %s for %v", reason, id, end.Sub(time.Unix(0, 0)))
}

func (c *crowd) End(id string) {
	c.tell("end %s", id)
	c.ids = slices.DeleteFunc(c.ids, func(one string) bool { return one == id })
}
func (c *crowd) EndReservations() { c.released++ }
func (c *crowd) Wake()            {}

// passes lets the time pass, a second at a time.
func (c *crowd) passes(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); {
		c.now = c.now.Add(time.Second)
		c.Tend(c.now)
	}
}

// want compares what was made known since the last time.
func (c *crowd) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if !slices.Equal(c.told, want) {
		t.Errorf("%s: got %q; want %q", what, c.told, want)
	}
	c.told = nil
}

func TestDrainEndsSessionsOneAfterTheOther(t *testing.T) {
	c := newCrowd("a", "b")
	c.Begin(c.now, false, Orders{})
	c.Drain(c.now, DrainOrder{Policy: DrainEnd, Deadline: 8 * time.Second})
	if !c.Closed() || c.released != 1 {
		t.Errorf("closed %v, reservations ended %d times; want true and once", c.Closed(), c.released)
	}
	c.want(t, "the order", "0s planned a for 4s", "0s planned b for 8s", "0s active to draining: requested")
	if end, moving := c.Ending("b", c.now); end == nil || end.In != 8 || end.Postpone != 10 || moving {
		t.Errorf("the end is %+v, moving %v; want it in 8 s", end, moving)
	}
	if err := c.Postpone("b", 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := c.Postpone("b", time.Minute); err != nil { // what is left of ten seconds
		t.Fatal(err)
	}
	for id, want := range map[string]error{"b": ErrNotPostponable, "nobody's": errUnknown} {
		if err := c.Postpone(id, time.Second); !errors.Is(err, want) {
			t.Errorf("postponing the end of %s: %v; want %v", id, err, want)
		}
	}
	c.want(t, "postponed", "0s postponed b for 11s", "0s postponed b for 18s")
	c.passes(20 * time.Second)
	c.want(t, "the end", "4s end a", "18s end b")
	d := c.View().Drain
	if d.Left != 0 || d.AtStart != 2 || d.Done.IsZero() {
		t.Errorf("got %+v; want a drain that is done", d)
	}
	c.Resume(c.now)
	c.want(t, "the resumption", "20s draining to active: requested")
}

func TestDrainMovesSessionsInTheFirstHalf(t *testing.T) {
	c := newCrowd("a", "b", "c", "d")
	c.Begin(c.now, false, Orders{})
	c.Drain(c.now, DrainOrder{Policy: DrainMove, Deadline: 8 * time.Second})
	c.told = nil
	c.Tend(c.now)
	c.passes(4 * time.Second)
	c.want(t, "moves", "0s move a", "1s move b", "2s move c", "3s move d")
	if n := testutil.ToFloat64(c.met.drainDeadline); n != 8 {
		t.Errorf("the deadline is shown as %v; want 8", n)
	}
	c.creating = 1 // it began before the drain
	c.passes(5 * time.Second)
	if !c.View().Drain.Done.IsZero() {
		t.Error("the drain is done while a session is being created")
	}
}

func TestCordonEndsInTime(t *testing.T) {
	c := newCrowd()
	c.Begin(c.now, false, Orders{})
	c.Cordon(c.now, CordonOrder{Owner: "ann", For: 2 * time.Second})
	if !c.Closed() {
		t.Error("the host takes sessions")
	}
	kept := c.Orders()
	c.passes(3 * time.Second)
	c.want(t, "the cordon", "0s active to cordoned: requested", "2s cordoned to active: expired")

	next := newCrowd()
	next.Begin(next.now, false, kept)
	if v := next.View(); v.State != Cordoned || v.Cordon.Owner != "ann" {
		t.Errorf("the next daemon shows %+v; want Ann's cordon", v)
	}
	late := newCrowd()
	late.Begin(c.now, false, kept)
	if v := late.View(); v.State != Active {
		t.Errorf("a later one shows %+v; want no cordon", v)
	}
}

func TestProbationEndsOnceAViewerWasServed(t *testing.T) {
	c := newCrowd()
	c.Begin(c.now, true, Orders{})
	if c.Limit() != 2 || c.View().Reason != Started {
		t.Errorf("limit %d, reason %s; want 2 sessions after the start", c.Limit(), c.View().Reason)
	}
	c.passes(2 * time.Minute)
	c.want(t, "without a viewer")
	c.served, c.failed = true, true // the failure came first
	c.passes(30 * time.Second)
	c.trouble = "display_lost"
	c.passes(time.Second)
	c.trouble = ""
	c.passes(30 * time.Second)
	c.want(t, "with one", "2m31s probation to degraded: display_lost", "2m32s degraded to probation: recovered",
		"3m1s probation to active: proved")
	if c.Limit() != 16 {
		t.Errorf("the limit is %d; want 16", c.Limit())
	}
}

func TestOrdersAreChecked(t *testing.T) {
	for _, o := range []Orders{
		{Cordon: &CordonStatus{}}, {Drain: &DrainStatus{}}, {Drain: &DrainStatus{Begun: time.Unix(0, 0), Policy: "now"}},
	} {
		if o.Validate() == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
