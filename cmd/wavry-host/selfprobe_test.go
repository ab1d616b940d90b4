package main

import (
	"errors"
	"testing"
	"time"

	"wavryhost/cmd/wavry-host/selfprobe"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/hoststate"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestProbedDisplay(t *testing.T) {
	d := func(id, state string, viewers int) session.DisplayInfo {
		return session.DisplayInfo{ID: id, State: state, Viewers: viewers}
	}
	for name, c := range map[string]struct {
		host session.Host
		want string
	}{
		"the default one": {session.Host{Displays: []session.DisplayInfo{d("a", "idle", 0), d("b", "idle", 0)}}, "a"},
		"one without viewers": {
			session.Host{Displays: []session.DisplayInfo{d("a", "live", 1), d(idSynthetic, "idle", 0), d("b", "idle", 0)}}, "b",
		},
		"no other one works": {
			session.Host{Displays: []session.DisplayInfo{d("a", "live", 1), d("b", "unusable", 0), d("c", "slow", 0)}}, "a",
		},
		"the default one does not work": {
			session.Host{Displays: []session.DisplayInfo{d("a", "unusable", 0), d("b", "idle", 0)}}, "a",
		},
		"no display": {session.Host{}, ""},
		"a cordoned host": {
			session.Host{Cordon: &hoststate.CordonStatus{}, Displays: []session.DisplayInfo{d("a", "idle", 0)}}, "",
		},
		"a draining host": {
			session.Host{Drain: &hoststate.DrainStatus{}, Displays: []session.DisplayInfo{d("a", "idle", 0)}}, "",
		},
	} {
		if got := probed(c.host); got != c.want {
			t.Errorf("%s: %q; want %q", name, got, c.want)
		}
	}
}

func TestResultsOfTheProbe(t *testing.T) {
	p := newSelfProbe(nil, nil, nil, nil, prometheus.NewRegistry(), newTestLog(t))
	if p.status() != nil {
		t.Error("the API shows a probe before the first one")
	}
	p.ask()
	p.ask() // one at a time
	if last := p.status(); last.State != api.ProbeRunning || len(p.asked) != 1 {
		t.Errorf("after a request the API shows %+v", last)
	}
	p.skip("no display")
	if last := p.status(); last.State != api.ProbeSkipped || last.Problem != "no display" {
		t.Errorf("without a display the API shows %+v", last)
	}
	if n := testutil.CollectAndCount(p.success); n != 0 {
		t.Errorf("%d results before the first probe", n)
	}
	for name, c := range map[string]struct {
		result selfprobe.Result
		err    error
		want   float64
	}{
		"like the display":   {selfprobe.Result{FirstFrame: time.Second, Similarity: .99, Compared: true}, nil, 1},
		"nothing to compare": {selfprobe.Result{FirstFrame: time.Second}, nil, 1},
		"black":              {selfprobe.Result{FirstFrame: time.Second, Similarity: .05, Compared: true}, nil, 0},
		"no picture":         {selfprobe.Result{}, errors.New("no picture"), 0},
		"cut off afterward":  {selfprobe.Result{FirstFrame: time.Second}, errors.New("receive: EOF"), 0},
	} {
		p.note("x11:0", c.result, c.err)
		if got := testutil.ToFloat64(p.success.WithLabelValues()); got != c.want {
			t.Errorf("%s: success %v; want %v", name, got, c.want)
		}
		last := p.status()
		if (last.State == api.ProbePassed) != (c.want == 1) || (last.Problem == "") != (c.want == 1) ||
			last.Display != "x11:0" || last.Finished.IsZero() {
			t.Errorf("%s: the API shows %+v", name, last)
		}
		if n := testutil.CollectAndCount(p.similarity); (n == 1) != c.result.Compared {
			t.Errorf("%s: %d values of the similarity", name, n)
		}
	}
}
