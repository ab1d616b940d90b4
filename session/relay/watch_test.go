package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/platform/guard"
)

// network is servers that fail as they are told, by host name.
type network struct {
	mu     sync.Mutex
	errs   map[string]error
	hang   map[string]bool
	asked  map[string]int
	now    int // probes under way
	most   int
	users  []string
	events []string
}

func (n *network) probe(ctx context.Context, a address, username, _ string) (time.Duration, error) {
	n.mu.Lock()
	n.asked[a.host]++
	n.now++
	n.most = max(n.most, n.now)
	n.users = append(n.users, username)
	err, hang := n.errs[a.host], n.hang[a.host]
	n.mu.Unlock()
	defer func() { n.mu.Lock(); n.now--; n.mu.Unlock() }()
	if hang {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	select {
	case <-time.After(20 * time.Millisecond):
		return 20 * time.Millisecond, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (n *network) set(host string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs[host] = err
}

func (n *network) heard() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.events
	n.events = nil
	return list
}

// watched runs a Watch over a network of errs in the bubble of the test.
func watched(t *testing.T, servers []Server, prefer ...string) (*Watch, *network, *prometheus.Registry) {
	t.Helper()
	n := &network{errs: map[string]error{}, hang: map[string]bool{}, asked: map[string]int{}}
	reg := prometheus.NewRegistry()
	w := New(Config{Tell: func(s ServerStatus) uint64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.events = append(n.events, fmt.Sprintf("%s %s %s", s.URL, s.State, s.Reason))
		return uint64(len(n.events))
	}}, NewMetrics(reg), slog.New(slog.DiscardHandler))
	w.probe = n.probe
	w.Set(servers, prefer)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w, n, reg
}

func turnAt(region string, hosts ...string) []Server {
	var list []Server
	for _, h := range hosts {
		list = append(list, Server{URLs: []string{"turn:" + h}, Secret: "north", Lifetime: time.Hour, Region: region})
	}
	return list
}

func urls(list []Server) string {
	var all []string
	for _, s := range list {
		all = append(all, strings.TrimPrefix(strings.Join(s.URLs, ","), "turn:"))
	}
	return strings.Join(all, " ")
}

func states(w *Watch) string {
	var all []string
	for _, s := range w.Status() {
		all = append(all, s.State)
	}
	return strings.Join(all, " ")
}

func answer(code stun.ErrorCode) error {
	return &stun.TurnError{ErrorCodeAttr: stun.ErrorCodeAttribute{Code: code, Reason: []byte("the secret is north")}}
}

func TestServerFallsAndRises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, reg := watched(t, turnAt("", "a", "b"))
		if got := states(w) + " " + urls(w.Choose("")); got != "unknown unknown a b" {
			t.Errorf("at first: %s", got)
		}
		time.Sleep(time.Second)
		if got := states(w); got != "up up" || len(n.heard()) != 0 {
			t.Errorf("after the first probe: %s", got)
		}
		n.set("a", answer(stun.CodeUnauthorized))
		broken := time.Now()
		for states(w) != "down up" && time.Since(broken) < time.Hour {
			time.Sleep(100 * time.Millisecond)
		}
		// 36 s to the next probe at most, and two more of 2.4 s.
		if took := time.Since(broken); took > 42*time.Second {
			t.Errorf("it fell after %v; want 42 s at most", took)
		}
		if got := n.heard(); !slices.Equal(got, []string{"turn:a down unauthorized"}) {
			t.Errorf("events %q", got)
		}
		if s := w.Status()[0]; !strings.Contains(s.Error, "401") || strings.Contains(s.Error, "north") {
			t.Errorf("error %q; want the code, and nothing that the server said", s.Error)
		}
		if got := urls(w.Choose("")); got != "b" {
			t.Errorf("sessions use %s; want b", got)
		}
		want := "# HELP wavry_host_ice_server_up 1 if a STUN or TURN server works, 0 if it is down. " +
			"Absent before the first result.\n# TYPE wavry_host_ice_server_up gauge\n" +
			"wavry_host_ice_server_up{region=\"\",server=\"turn:a\"} 0\n" +
			"wavry_host_ice_server_up{region=\"\",server=\"turn:b\"} 1\n"
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "wavry_host_ice_server_up"); err != nil {
			t.Error(err)
		}
		n.set("b", context.DeadlineExceeded)
		time.Sleep(time.Minute)
		if got := states(w) + " " + urls(w.Choose("")); got != "down down a b" {
			t.Errorf("with all down: %s", got)
		}
		n.set("a", nil)
		time.Sleep(30 * time.Second)
		if got := states(w) + " " + urls(w.Choose("")); got != "up down a" {
			t.Errorf("with one back: %s", got)
		}
		if got := n.heard(); !slices.Equal(got, []string{"turn:b down timeout", "turn:a up "}) {
			t.Errorf("events %q", got)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if user := n.users[0]; !strings.HasSuffix(user, ":probe") {
			t.Errorf("asked as %q", user)
		}
	})
}

func TestServerThatFlapsStaysWhatItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, _ := watched(t, turnAt("", "a"))
		time.Sleep(time.Second)
		// Two of three probes fail, and never three in a row.
		for range 20 {
			n.set("a", errors.New("gone"))
			for seen := n.count("a"); n.count("a") < seen+2; {
				time.Sleep(100 * time.Millisecond)
			}
			n.set("a", nil)
			for seen := n.count("a"); n.count("a") < seen+1; {
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if got := states(w); got != "up" || len(n.heard()) != 0 {
			t.Errorf("it is %s, with events", got)
		}
	})
}

func (n *network) count(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[host]
}

func TestProbesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hosts []string
		for i := range 40 {
			hosts = append(hosts, fmt.Sprint("h", i))
		}
		w, n, _ := watched(t, nil)
		n.mu.Lock()
		for _, h := range hosts[:10] {
			n.hang[h] = true
		}
		n.mu.Unlock()
		w.Set(turnAt("", hosts...), nil)
		time.Sleep(10 * time.Minute)
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.most > atOnce {
			t.Errorf("%d probes at a time; want %d at most", n.most, atOnce)
		}
		for _, h := range hosts[10:] {
			if got := n.asked[h]; got < 15 || got > 26 {
				t.Errorf("%s was asked %d times in ten minutes; want about 20", h, got)
			}
		}
		if got := states(w); strings.Count(got, "down") != 10 || strings.Count(got, "up") != 30 {
			t.Errorf("states %s", got)
		}
	})
}

func TestWithoutServersNothingIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, _ := watched(t, nil)
		time.Sleep(24 * time.Hour)
		if n.most != 0 || len(w.Choose("eu")) != 0 || len(w.Status()) != 0 {
			t.Errorf("%d probes, %v", n.most, w.Choose(""))
		}
	})
}

func TestReloadKeepsWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, reg := watched(t, turnAt("eu", "a", "b"), "eu")
		n.set("a", errors.New("gone"))
		time.Sleep(time.Minute)
		w.Set(append(turnAt("us", "c"), turnAt("eu", "a")...), []string{"us"})
		synctest.Wait()
		if got := states(w) + " " + urls(w.Choose("")) + " " + urls(w.Choose("eu")); got != "unknown down c c" {
			t.Errorf("after the reload: %s", got)
		}
		if got, err := testutil.GatherAndCount(reg, "wavry_host_ice_server_up"); got != 1 || err != nil {
			t.Errorf("%d states, %v; want that of a alone", got, err)
		}
		changed := turnAt("eu", "a")
		changed[0].Secret = "south"
		w.Set(changed, nil)
		if got := states(w); got != "unknown" {
			t.Errorf("with another secret it is %s; want unknown", got)
		}
	})
}

func TestRegionOfASession(t *testing.T) {
	w := New(Config{}, NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	w.Set(slices.Concat(turnAt("eu", "a"), turnAt("us", "b")), []string{"eu"})
	for region, want := range map[string]string{"": "a", "eu": "a", "us": "b", "mars": "a"} {
		if got := urls(w.Choose(region)); got != want {
			t.Errorf("region %q: %s; want %s", region, got, want)
		}
	}
}

func TestDoubtBringsTheNextProbeForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n, _ := watched(t, turnAt("", "a", "b"))
		time.Sleep(5 * time.Second)
		for range 100 {
			w.Doubt(turnAt("", "a"))
		}
		time.Sleep(time.Second)
		if n.count("a") != 2 || n.count("b") != 1 {
			t.Errorf("a was asked %d times and b %d; want 2 and 1", n.count("a"), n.count("b"))
		}
		if s := w.Status(); s[0].Unhelpful != 100 || s[1].Unhelpful != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{answer(stun.CodeUnauthorized), ReasonUnauthorized},
		{answer(stun.CodeWrongCredentials), ReasonUnauthorized},
		{answer(stun.CodeAllocQuotaReached), ReasonRefused},
		{answer(stun.CodeInsufficientCapacity), ReasonRefused},
		{fmt.Errorf("read: %w", stun.ErrAttributeNotFound), ReasonRefused},
		{&net.DNSError{Err: "no such host", Name: "a", IsTimeout: true}, ReasonDNS},
		{tlsError{errors.New("bad certificate")}, ReasonTLS},
		{context.DeadlineExceeded, ReasonTimeout},
		{ErrNoSource, ReasonUnreachable},
	} {
		if got, _ := reasonOf(c.err); got != c.want || !slices.Contains(Reasons(), string(got)) {
			t.Errorf("%v: %s; want %s", c.err, got, c.want)
		}
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := New(Config{}, NewMetrics(reg), slog.New(slog.DiscardHandler))
	w.Set(turnAt("eu", "a"), nil)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// A panic on the way of a probe, as of what parses the server's answer, is a failure of that probe alone.
func TestPanicOfAProbeIsItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := 0
		g := guard.New(slog.New(slog.DiscardHandler), func(string) { panics++ }, nil)
		w := New(Config{Guard: g}, NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		n := &network{errs: map[string]error{}, hang: map[string]bool{}, asked: map[string]int{}}
		w.probe = func(ctx context.Context, a address, username, credential string) (time.Duration, error) {
			if a.host == "b" {
				panic("planted in the answer")
			}
			return n.probe(ctx, a, username, credential)
		}
		w.Set(turnAt("", "a", "b"), nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		if got := states(w); got != "up down" || panics < 3 || n.asked["a"] < 3 {
			t.Errorf("%s after %d panics; want the other server asked as before (%d times)", got, panics, n.asked["a"])
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
