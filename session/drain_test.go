//go:build !race

// Timers of a synctest bubble share one context of the race detector, whichever threads run them (runtime/time.go,
// unlockAndRun, of Go 1.26.8), and it crashes when two do at once, as with the many timers of vnet. These tests run
// without it.

package session

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/session/hoststate"
	"wavryhost/session/pipeline"
)

// crowd is a house with viewers in virtual time.
type crowd struct {
	*house
	path    *path
	remotes []*remote
	still   func()
}

// openCrowd opens a house with n viewers who have connected, on wide paths.
func openCrowd(t *testing.T, n int, change func(*Config)) *crowd {
	t.Helper()
	c := &crowd{path: newPath(t, 10_000_000, 5*time.Millisecond)}
	c.house = openHouse(t, func(cfg *Config) {
		cfg.Loopback, cfg.FPS, cfg.MaxBitrate = false, 10, 1_000_000
		if change != nil {
			change(cfg)
		}
	})
	c.on(c.path.host)
	for i := range n {
		viewer, _ := c.path.tail(t, fmt.Sprintf("192.0.2.%d", 10+i), 10_000_000, 5*time.Millisecond)
		r := vnetRemote(t, viewer)
		r.watch(c.house)
		time.Sleep(time.Second)
		c.remotes = append(c.remotes, r)
	}
	c.still = c.busy()
	time.Sleep(time.Second)
	return c
}

func (c *crowd) leave(t *testing.T) {
	t.Helper()
	c.still()
	for _, r := range c.remotes {
		r.close()
	}
	c.close(t)
	c.path.close(t)
}

// times returns when events of a kind came, after start, and their sessions.
func (h *house) times(kind EventKind, start time.Time) (at []time.Duration, sessions []string) {
	for _, e := range h.told() {
		if e.Kind == kind.String() {
			at = append(at, e.At.Sub(start).Round(100*time.Millisecond))
			sessions = append(sessions, e.Session)
		}
	}
	return at, sessions
}

func TestDrainPolicies(t *testing.T) {
	const second, milli = time.Second, time.Millisecond
	for _, c := range []struct {
		policy      hoststate.DrainPolicy
		deadline    time.Duration
		asked, ends []time.Duration
	}{
		// The last quarter of the time is for the ends, and the last one is at the deadline.
		{hoststate.DrainWait, 8 * second, nil, []time.Duration{6500 * milli, 7 * second, 7500 * milli, 8 * second}},
		{hoststate.DrainMove, 8 * second, []time.Duration{0, second, 2 * second, 3 * second}, []time.Duration{
			6500 * milli, 7 * second, 7500 * milli, 8 * second,
		}},
		{hoststate.DrainEnd, 8 * second, nil, []time.Duration{2 * second, 4 * second, 6 * second, 8 * second}},
		{hoststate.DrainEnd, 0, nil, []time.Duration{0, 0, 0, 0}},
		{hoststate.DrainWait, 0, nil, nil},
		{hoststate.DrainMove, 0, []time.Duration{0, 7500 * time.Millisecond}, nil}, // over half a minute
	} {
		t.Run(fmt.Sprint(c.policy, c.deadline), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				crowd := openCrowd(t, 4, nil)
				defer crowd.leave(t)
				last := crowd.remotes[3].id
				if _, err := crowd.Change(t.Context(), last, Change{Weight: new(1)}); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				s := crowd.host.Drain(hoststate.DrainOrder{Policy: c.policy, Deadline: c.deadline})
				if s.AtStart != 4 || s.Left != 4 || s.Policy != c.policy.String() {
					t.Errorf("status %+v", s)
				}
				time.Sleep(10 * time.Second)
				asked, first := crowd.times(EventMove, start)
				if !slices.Equal(asked, c.asked) {
					t.Errorf("asked to move at %v; want %v", asked, c.asked)
				}
				ends, ended := crowd.times(EventEnded, start)
				if !slices.Equal(ends, c.ends) {
					t.Errorf("sessions ended at %v; want %v", ends, c.ends)
				}
				if first = append(first, ended...); c.policy != hoststate.DrainWait && c.deadline > 0 && first[0] != last {
					t.Error("the least important session was not the first")
				}
				s, ok := crowd.host.Draining()
				if !ok || s.Left != 4-len(c.ends) || s.Asked != len(c.asked) || s.Done.IsZero() == (len(c.ends) == 4) {
					t.Errorf("status %+v", s)
				}
				if done := crowd.events(EventDrained); done != len(c.ends)/4 {
					t.Errorf("%d events of the end of the drain", done)
				}
				crowd.host.Resume()
				if _, ok := crowd.host.Draining(); ok || crowd.Host().State != hoststate.Active {
					t.Errorf("still draining: %s", crowd.Host().State)
				}
			})
		})
	}
}

// The end of each session is announced when the drain begins. Its viewer postpones it up to the limit of the drain, and
// other sessions end as planned.
func TestEndIsPostponed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crowd := openCrowd(t, 2, func(c *Config) { c.DrainPostpone = 10 * time.Second })
		defer crowd.leave(t)
		first, second := crowd.remotes[0].id, crowd.remotes[1].id
		if err := crowd.host.Postpone(first, time.Second); !errors.Is(err, hoststate.ErrNotPostponable) {
			t.Errorf("without a drain: got %v; want hoststate.ErrNotPostponable", err)
		}
		start := time.Now()
		crowd.host.Drain(hoststate.DrainOrder{Policy: hoststate.DrainEnd, Deadline: 8 * time.Second, Note: "new disks"})
		if s, err := crowd.Session(first); err != nil || s.Ending == nil || *s.Ending != (hoststate.PlannedEnd{
			At: start.Add(4 * time.Second), In: 4, Reason: "drained", Note: "new disks", Postpone: 10,
		}) {
			t.Errorf("the first session ends %+v, %v; want half of the time", s.Ending, err)
		}
		for _, c := range []struct {
			by  time.Duration
			end time.Duration
			err error
		}{
			{7 * time.Second, 11 * time.Second, nil},
			{7 * time.Second, 14 * time.Second, nil}, // the rest
			{time.Second, 0, hoststate.ErrNotPostponable},
			{-time.Second, 0, hoststate.ErrNotPostponable},
		} {
			err := crowd.host.Postpone(first, c.by)
			if s, _ := crowd.Session(first); !errors.Is(err, c.err) || err == nil && !s.Ending.At.Equal(start.Add(c.end)) {
				t.Errorf("by %v: it ends at %+v, %v; want %v, %v", c.by, s.Ending, err, c.end, c.err)
			}
		}
		if err := crowd.host.Postpone("nobody's", time.Second); !errors.Is(err, ErrUnknownSession) {
			t.Errorf("unknown session: got %v", err)
		}
		time.Sleep(9 * time.Second)
		if s, _ := crowd.host.Draining(); s.Postponed != 1 || s.Left != 1 || s.Postpone != 10 {
			t.Errorf("status %+v; want one session left, which is postponed", s)
		}
		got := seriesOf(t, crowd.reg, "wavry_host_drain_deadline_timestamp_seconds")
		if got != float64(start.Add(14*time.Second).Unix()) {
			t.Errorf("the drain's end is exported as %v; want the postponed end", got)
		}
		time.Sleep(6 * time.Second)
		ends, ended := crowd.times(EventEnded, start)
		if !slices.Equal(ends, []time.Duration{8 * time.Second, 14 * time.Second}) ||
			!slices.Equal(ended, []string{second, first}) {
			t.Errorf("sessions %v ended at %v", ended, ends)
		}
		var told []string
		for _, e := range crowd.told() {
			if e.Kind == EventEnding.String() {
				told = append(told, e.Reason)
			}
		}
		if want := []string{"planned", "planned", "postponed", "postponed"}; !slices.Equal(told, want) {
			t.Errorf("ends were announced as %v; want %v", told, want)
		}
	})
}

// A drain without postponement ends each session as planned.
func TestEndIsNotPostponed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crowd := openCrowd(t, 1, func(c *Config) { c.DrainPostpone = time.Hour })
		defer crowd.leave(t)
		id := crowd.remotes[0].id
		for _, o := range []hoststate.DrainOrder{
			{Policy: hoststate.DrainWait}, // there is no end
			{Policy: hoststate.DrainWait, Deadline: time.Minute, Postpone: new(time.Duration)},
		} {
			crowd.host.Drain(o)
			if err := crowd.host.Postpone(id, time.Second); !errors.Is(err, hoststate.ErrNotPostponable) {
				t.Errorf("%v: got %v; want hoststate.ErrNotPostponable", o.Deadline, err)
			}
		}
		crowd.host.Resume()
		if s, err := crowd.Session(id); err != nil || s.Ending != nil {
			t.Errorf("the session ends %+v, %v after the drain was taken back", s.Ending, err)
		}
	})
}

func TestProbation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCrowd(t, 2, func(c *Config) { c.OnProbation, c.Probation, c.ProbationSessions = true, time.Minute, 2 })
		defer c.leave(t)
		late := newRemote(t)
		defer late.close()
		if _, err := c.Create(t.Context(), Offer{Display: "default", SDP: late.offer(false)}); !errors.Is(err,
			ErrFull) {
			t.Errorf("a third session: got %v; want ErrFull", err)
		}
		if h := c.Host(); h.State != hoststate.Probation || h.Limit != 2 || h.StateReason != hoststate.Started {
			t.Errorf("host %s, limit %d, %q; want a probation", h.State, h.Limit, h.StateReason)
		}
		time.Sleep(30 * time.Second)
		c.screen.Lose(errTest) // it fails, and begins anew
		time.Sleep(5 * time.Second)
		if h := c.Host(); h.State != hoststate.Degraded || h.StateReason != pipeline.DisplayLost.String() {
			t.Errorf("host %s, %q while the display is lost", h.State, h.StateReason)
		}
		c.screen.Lose(nil)
		time.Sleep(50 * time.Second)
		if h := c.Host(); h.State != hoststate.Probation || h.StateReason != hoststate.Recovered {
			t.Errorf("host %s, %q; the time did not begin anew with the failure", h.State, h.StateReason)
		}
		if err := c.End(t.Context(), c.remotes[1].id, EndOperator, ""); err != nil {
			t.Fatal(err)
		}
		viewer, _ := c.path.tail(t, "192.0.2.99", 10_000_000, 5*time.Millisecond)
		r := vnetRemote(t, viewer)
		defer r.close()
		r.watch(c.house)
		time.Sleep(30 * time.Second)
		if h := c.Host(); h.State != hoststate.Active || h.Limit != 16 {
			t.Errorf("host %s, limit %d; want active, as a viewer was served and nothing failed for a "+
				"minute", h.State, h.Limit)
		}
	})
}

// A drain, a cordon and a probation are independent: each begins and ends alone, and the state is the first of them.
func TestStatesAreIndependent(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	for i, step := range []struct {
		do   func()
		want string
	}{
		{func() { h.host.SetProbation(true) }, hoststate.Probation},
		{func() { h.host.Cordon(hoststate.CordonOrder{}) }, hoststate.Cordoned},
		{func() { h.host.Drain(hoststate.DrainOrder{}) }, hoststate.Draining},
		{h.host.Uncordon, hoststate.Draining},
		{h.host.Resume, hoststate.Probation},
		{func() { h.host.SetProbation(false) }, hoststate.Active},
		{func() { h.host.Drain(hoststate.DrainOrder{}) }, hoststate.Draining},
		{func() { h.host.SetProbation(true) }, hoststate.Draining},
		{func() { h.host.SetProbation(false) }, hoststate.Draining},
		{h.host.Resume, hoststate.Active},
	} {
		step.do()
		if got := h.Host(); got.State != step.want || got.StateReason != hoststate.Requested {
			t.Errorf("step %d: state %s, %q; want %s, requested", i, got.State, got.StateReason, step.want)
		}
		if n := seriesOf(t, h.reg, "wavry_host_host_state", "state="+step.want); n != 1 {
			t.Errorf("step %d: the metric of %s is %v", i, step.want, n)
		}
	}
}

func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := newScreen(320, 240)
		c := openCrowd(t, 2, func(c *Config) {
			displays := c.Displays
			c.Displays = func(ctx context.Context) []Display {
				d := other.display()
				d.ID = "other"
				return append(displays(ctx), d)
			}
		})
		defer c.leave(t)
		time.Sleep(10 * time.Second)
		a, b := c.remotes[0], c.remotes[1]
		s, err := c.Change(t.Context(), a.id, Change{MaxBitrate: new(300_000), Weight: new(7)})
		if err != nil || s.MaxBitrate != 300_000 || s.Weight != 7 {
			t.Fatalf("%+v, %v", s, err)
		}
		time.Sleep(5 * time.Second)
		before, beside := a.bytes(), b.bytes()
		time.Sleep(5 * time.Second)
		if rate := (a.bytes() - before) * 8 / 5; rate > 350_000 || rate < 200_000 {
			t.Errorf("%d bit/s under a ceiling of 300000", rate)
		}
		if rate := (b.bytes() - beside) * 8 / 5; rate < 700_000 {
			t.Errorf("the ceiling of one session took another one down to %d bit/s", rate)
		}

		if _, err := c.Change(t.Context(), b.id, Change{Display: new("other")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		frames, _ := b.got()
		other.Touch(image.Rect(0, 0, 20, 20))
		time.Sleep(time.Second)
		if n, _ := b.got(); n == frames {
			t.Error("no picture of the other display arrives")
		}
		if s, err := c.Session(b.id); err != nil || s.Display != "other" || s.Width != 320 {
			t.Errorf("session of %q, %d wide, %v; want the other display", s.Display, s.Width, err)
		}
		if _, err := c.Change(t.Context(), a.id, Change{Display: new("other")}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if c.pool.Open("test") {
			t.Error("the display that nobody sees is open")
		}
		if _, users := c.pool.Status("other"); users != 2 {
			t.Errorf("%d users of the other display; want 2", users)
		}

		for _, bad := range []Change{
			{MaxBitrate: new(1000)},
			{MaxBitrate: new(-1)},
			{Weight: new(0)},
			{Weight: new(1001)},
			{Weight: new(5), MaxBitrate: new(1)},
		} {
			if _, err := c.Change(t.Context(), a.id, bad); !errors.Is(err, ErrBadChange) {
				t.Errorf("%+v: got %v; want ErrBadChange", bad, err)
			}
		}
		if _, err := c.Change(t.Context(), a.id, Change{Display: new("none"), Weight: new(5)}); !errors.Is(err,
			ErrUnknownDisplay) {
			t.Errorf("got %v; want ErrUnknownDisplay", err)
		}
		if s, _ := c.Session(a.id); s.Weight != 7 || s.MaxBitrate != 300_000 {
			t.Errorf("a change that was refused left its mark: %d, %d", s.Weight, s.MaxBitrate)
		}
		if _, err := c.Change(t.Context(), "none", Change{}); !errors.Is(err, ErrUnknownSession) {
			t.Errorf("got %v; want ErrUnknownSession", err)
		}
		if n := testutil.ToFloat64(c.met.encodingMoves.WithLabelValues(encodingDisplay)); n != 2 {
			t.Errorf("counted %v moves to another display; want 2", n)
		}
		for _, s := range c.Sessions() {
			if err := c.End(t.Context(), s.ID, EndOperator, ""); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		if n := other.Source().Leaked(); n != 0 || !other.Source().Closed() {
			t.Errorf("%d frames of the other display are not released", n)
		}
	})
}

func TestUplinkIsSharedByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCrowd(t, 3, func(c *Config) { c.Uplink, c.MaxBitrate, c.MinBitrate = 1_000_000, 2_000_000, 100_000 })
		defer c.leave(t)
		for i, w := range []int{100, 100, 200} {
			if _, err := c.Change(t.Context(), c.remotes[i].id, Change{Weight: &w}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Second)
		var before [3]int
		for i, r := range c.remotes {
			before[i] = r.bytes()
		}
		time.Sleep(10 * time.Second)
		sum := 0
		for i, r := range c.remotes {
			rate := (r.bytes() - before[i]) * 8 / 10
			sum += rate
			want := 225_000 // of 900 kbit/s
			if i == 2 {
				want = 450_000
			}
			if rate < want*8/10 || rate > want*12/10 {
				t.Errorf("viewer %d gets %d bit/s; want about %d", i, rate, want)
			}
		}
		if sum > 1_000_000 {
			t.Errorf("%d bit/s are sent over an uplink of 1 Mbit/s", sum)
		}
		next := *c.conf.get()
		next.Uplink = 0
		if err := c.Reconfigure(next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		for _, h := range c.registry.list() {
			h.limits.set(func(now *limits) {
				if now.share != 0 {
					t.Errorf("session %s is held to %d bit/s by an uplink that has no limit any more", h.id, now.share)
				}
			})
		}
	})
}
