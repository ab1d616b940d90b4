package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
	"wavryhost/session/api"
)

// noted is a manager that records calls.
type noted struct {
	mu       sync.Mutex
	limits   []int
	outcomes []string
	refuse   error
}

func (n *noted) Reconfigure(c session.Config) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse != nil {
		return n.refuse
	}
	n.limits = append(n.limits, c.MaxSessions)
	return nil
}

// told returns the limits and the outcomes so far.
func (n *noted) told() (limits []int, outcomes []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.limits), slices.Clone(n.outcomes)
}

func (n *noted) Configured(outcome string, _ error) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.outcomes = append(n.outcomes, outcome)
	return uint64(len(n.outcomes))
}

// served is an API that notes what it is to serve by.
type served struct{ now api.Config }

func (s *served) Prepare(c api.Config) (apply func(), err error) {
	return func() { s.now = c }, c.Validate()
}

// reloadRig is a reloader of a file.
type reloadRig struct {
	*reloader
	manager *noted
	served  *served
	path    string
	level   *slog.LevelVar
}

func newReloadRig(t *testing.T, text string) *reloadRig {
	t.Helper()
	rig := &reloadRig{
		manager: &noted{}, served: &served{}, path: write(t, "c.yaml", nested(text)),
		level: new(slog.LevelVar),
	}
	read := func() (*loaded, error) { return load(config.Sources{Path: rig.path}) }
	l, err := read()
	if err != nil {
		t.Fatal(err)
	}
	m := rig.manager
	rig.reloader = newReloader(l, read, rig.level, m, m.Configured, prometheus.NewRegistry(), newTestLog(t))
	rig.api = rig.served
	return rig
}

func (r *reloadRig) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(r.path, []byte(nested(text)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReloadAppliesWhatCanChange(t *testing.T) {
	r := newReloadRig(t, "sessions.max: 3")
	looks := 0
	r.look = func() { looks++ }
	r.write(t, "sessions.max: 5\nlog.level: debug\napi.listen: 127.0.0.1:9999\nauth.token: 0123456789abcdef")
	got, err := r.reload(0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Applied, []string{"auth.token", "sessions.max", "log.level"}) ||
		!slices.Equal(got.NeedsRestart, []string{"api.listen"}) {
		t.Errorf("%+v", got)
	}
	if !slices.Equal(r.manager.limits, []int{5}) || r.level.Level() != slog.LevelDebug {
		t.Errorf("limits %v, level %v", r.manager.limits, r.level.Level())
	}
	if r.served.now.Token != "0123456789abcdef" {
		t.Error("the API does not have the token")
	}
	if got, err := r.reload(0); err != nil || len(got.Applied)+len(got.NeedsRestart) != 0 {
		t.Errorf("again: %+v, %v; want no change", got, err)
	}
	if looks != 2 {
		t.Errorf("drivers of graphics cards were looked for %d times at two reloads", looks)
	}
	if err := r.confirm(); !errors.Is(err, api.ErrNothingToConfirm) {
		t.Errorf("got %v; want ErrNothingToConfirm", err)
	}
}

func TestBadFileChangesNothing(t *testing.T) {
	r := newReloadRig(t, "sessions.max: 3")
	for _, text := range []string{"sessions.max: 0", "sessions.maxx: 4", "displays.fps: [", "api.listen: 0.0.0.0:80"} {
		r.write(t, text+"\nlog.level: debug")
		if _, err := r.reload(0); !errors.Is(err, api.ErrBadConfiguration) {
			t.Errorf("%q: got %v; want ErrBadConfiguration", text, err)
		}
	}
	if n := testutil.ToFloat64(r.good); n != 0 {
		t.Error("the metric says that all is well")
	}
	r.manager.refuse = errors.New("session: no")
	r.write(t, "sessions.max: 4\nlog.level: debug")
	if _, err := r.reload(0); !errors.Is(err, api.ErrBadConfiguration) {
		t.Errorf("refused by the manager: %v", err)
	}
	if len(r.manager.limits) != 0 || r.level.Level() != slog.LevelInfo {
		t.Errorf("limits %v, level %v; want nothing changed", r.manager.limits, r.level.Level())
	}
	r.manager.refuse = nil
	if _, err := r.reload(0); err != nil {
		t.Error(err)
	}
	if good, refused := testutil.ToFloat64(
		r.good,
	), testutil.ToFloat64(
		r.results.WithLabelValues(session.ConfigRefused),
	); good != 1 ||
		refused != 5 {
		t.Errorf("good %v, refused %v; want 1 and 5", good, refused)
	}
}

func TestChangeThatNobodyConfirmsIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloadRig(t, "sessions.max: 3")
		r.write(t, "sessions.max: 5")
		got, err := r.reload(10 * time.Second)
		if err != nil || time.Until(got.ConfirmBy) != 10*time.Second {
			t.Fatalf("%+v, %v", got, err)
		}
		time.Sleep(5 * time.Second)
		r.write(t, "sessions.max: 6")
		if _, err := r.reload(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if got, _ := r.manager.told(); !slices.Equal(got, []int{5, 6}) {
			t.Errorf("limits %v before the time", got)
		}
		time.Sleep(2 * time.Second)
		if got, _ := r.manager.told(); !slices.Equal(got, []int{5, 6, 3}) {
			t.Errorf("limits %v; want the first back", got)
		}
		if _, err := r.reload(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		if err := r.confirm(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if got, _ := r.manager.told(); !slices.Equal(got, []int{5, 6, 3, 6}) {
			t.Errorf("limits %v; want what was confirmed", got)
		}
		want := []string{
			session.ConfigApplied, session.ConfigApplied, session.ConfigRolledBack, session.ConfigApplied,
			session.ConfigConfirmed,
		}
		if _, got := r.manager.told(); !slices.Equal(got, want) {
			t.Errorf("told %v; want %v", got, want)
		}
		r.settle()
	})
}

// A reload by somebody else confirms nothing.
func TestReloadConfirmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReloadRig(t, "sessions.max: 4")
		r.write(t, "sessions.max: 5")
		first, err := r.reload(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		for _, text := range []string{"sessions.max: 5", "sessions.max: 6"} {
			r.write(t, text)
			if got, err := r.reload(0); err != nil || !got.ConfirmBy.Equal(first.ConfirmBy) {
				t.Errorf("%s: to be confirmed by %v, %v; want %v as before", text, got.ConfirmBy, err, first.ConfirmBy)
			}
		}
		time.Sleep(6 * time.Second)
		if got, _ := r.manager.told(); !slices.Equal(got, []int{5, 5, 6, 4}) {
			t.Errorf("limits %v; want the first back", got)
		}
		if got, err := r.reload(0); err != nil || !got.ConfirmBy.IsZero() {
			t.Errorf("nothing waits: %+v, %v", got, err)
		}
	})
}

// policed is a link to a gateway that notes who may watch.
type policed struct{ now string }

func (p *policed) Prepare(allow []string, role session.Role) (apply func(), err error) {
	if slices.Contains(allow, "refused") {
		return nil, errors.New("gateway: no")
	}
	return func() { p.now = fmt.Sprint(allow, role) }, nil
}

// Users of the gateway are removed without a restart, and nothing is applied if the list cannot be.
func TestReloadChangesWhoMayWatchByTheGateway(t *testing.T) {
	const gateway = "gateway.url: wss://gateway.example/ws\ngateway.token_file: /t\n"
	r, link := newReloadRig(t, gateway+"gateway.allow: [ann, bob]"), &policed{}
	r.link = link
	r.write(t, gateway+"gateway.allow: [ann]\ngateway.role: controller")
	got, err := r.reload(0)
	if err != nil || !slices.Equal(got.Applied, []string{"gateway.allow", "gateway.role"}) ||
		link.now != "[ann] controller" {
		t.Errorf("%+v, %v; the link has %q", got, err, link.now)
	}
	r.write(t, gateway+"gateway.allow: [refused]\nsessions.max: 5")
	if _, err := r.reload(
		0,
	); !errors.Is(err, api.ErrBadConfiguration) || link.now != "[ann] controller" ||
		len(r.manager.limits) != 1 {
		t.Errorf("%v; the link has %q, limits %v", err, link.now, r.manager.limits)
	}
}
