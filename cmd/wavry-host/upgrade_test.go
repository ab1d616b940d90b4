package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeDaemon answers as a host does, and notes what changes it.
type fakeDaemon struct {
	host    map[string]any
	changes []string
	asked   int
	empties int // the number of questions after which no session is left; 0 is never
	away    int // the number of refused connections
	// trial is the result of the trial: an error, or empty if it is passed. It takes three questions.
	trial string
	old   bool
	since int // the number of questions when the trial began
}

func (d *fakeDaemon) call(_ context.Context, method, path string, _, out any, _ io.Writer) error {
	if method == "POST" && path == "/v1/trial" {
		if d.old {
			return &refusalError{404, "no such path"}
		}
		d.since += d.asked
		d.host["trial"] = map[string]any{"state": "running"}
		return nil
	}
	if method == "GET" {
		d.asked++
		if d.host["trial"] != nil && d.asked > d.since+3 {
			d.host["trial"] = map[string]any{"state": "passed"}
			if d.trial != "" {
				d.host["trial"] = map[string]any{"state": "failed", "problems": []string{d.trial}}
			}
		}
		if d.empties > 0 && d.asked > d.empties {
			d.host["sessions"] = 0
		}
	} else {
		d.changes = append(d.changes, method+" "+path)
	}
	text, err := json.Marshal(d.host)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func TestUpgrade(t *testing.T) {
	const drain, undrain, restart = "PUT /v1/drain", "DELETE /v1/drain", "restart"
	drained := map[string]any{"owner": "somebody"}
	for name, one := range map[string]struct {
		daemon  fakeDaemon
		u       upgrade
		cancel  time.Duration
		want    string // what is done, in order
		says    string
		isError bool
	}{
		"nothing to do": {
			fakeDaemon{host: map[string]any{"sessions": 2, "version": "v1"}}, upgrade{}, 0, "", "nothing to do", false,
		},
		"no session": {
			fakeDaemon{host: map[string]any{"restart_pending": true}},
			upgrade{ifIdle: true},
			0,
			drain + "; " + restart + "; " + undrain, "the daemon runs v2", false,
		},
		"sessions stay": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 2}},
			upgrade{ifIdle: true},
			0,
			drain + "; " + undrain, "a restart is pending: 2 sessions", false,
		},
		"sessions end": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 2}, empties: 5},
			upgrade{},
			0,
			drain + "; " + restart + "; " + undrain, "waiting for 2 sessions", false,
		},
		"drained by somebody else": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "drain": drained}},
			upgrade{},
			0, restart,
			"the daemon runs v2", false,
		},
		"interrupted": {
			fakeDaemon{host: map[string]any{"restart_pending": true, "sessions": 1}},
			upgrade{},
			time.Minute,
			drain + "; " + undrain, "waiting for 1 session", true,
		},
		"slow to come back": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, away: 20},
			upgrade{},
			0,
			drain + "; " + restart + "; " + undrain, "the daemon runs v2", false,
		},
		"fails its trial": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, trial: "encoder libx264: crashed"},
			upgrade{},
			0, "",
			"trying", true,
		},
		"fails its trial, and is forced": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, trial: "encoder libx264: crashed"},
			upgrade{force: true},
			0, drain + "; " + restart + "; " + undrain,
			"started all the same: encoder libx264: crashed", false,
		},
		"by a daemon that tries nothing": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, old: true},
			upgrade{},
			0, drain + "; " + restart + "; " + undrain,
			"too old to try it", false,
		},
		"never finishes its trial": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, since: 1000},
			upgrade{},
			0, "",
			"trying", true,
		},
		"does not come back": {
			fakeDaemon{host: map[string]any{"restart_pending": true}, away: 1000},
			upgrade{},
			0, drain + "; " + restart,
			"restarting", true,
		},
		"forced": {
			fakeDaemon{host: map[string]any{}},
			upgrade{force: true},
			0, drain + "; " + restart + "; " + undrain,
			"restarting", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if one.cancel > 0 {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, one.cancel)
					defer stop()
				}
				d, u := one.daemon, one.u
				var said strings.Builder
				restarted := false
				u.poll = time.Second
				u.say = func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }
				u.restart = func(context.Context) error {
					restarted = true
					d.changes = append(d.changes, restart)
					d.host = map[string]any{"version": "v2", "state": "draining"}
					return nil
				}
				u.connect = func() (caller, error) {
					if restarted && d.away > 0 {
						d.away--
						return nil, errors.New("nobody there")
					}
					return &d, nil
				}
				err := u.run(ctx)
				if (err != nil) != one.isError || !strings.Contains(said.String(), one.says) {
					t.Errorf("got %v, %q; want %q", err, said.String(), one.says)
				}
				if got := strings.Join(slices.Clone(d.changes), "; "); got != one.want {
					t.Errorf("got %q; want %q", got, one.want)
				}
			})
		})
	}
}

// A running daemon is drained, asked, and accepts sessions again.
func TestUpgradeAsksTheRunningDaemon(t *testing.T) {
	_, env := startOnSocket(t)
	a := &app{env: env}
	restarted := false
	u := upgrade{
		say: func(string, ...any) {}, poll: 50 * time.Millisecond, force: true,
		connect: func() (caller, error) { return clientFlags{}.connect(a) },
	}
	u.restart = func(ctx context.Context) error {
		restarted = true
		c, err := u.connect()
		if err != nil {
			return err
		}
		var h hostStatus
		if err := c.call(ctx, "GET", "/v1/host", nil, &h, nil); err != nil || h.State != "draining" {
			t.Errorf("it is restarted as %q, %v", h.State, err)
		}
		return nil
	}
	if err := u.run(t.Context()); err != nil || !restarted {
		t.Errorf("restarted: %v, %v", restarted, err)
	}
	if got := try(t, env, "status"); !strings.Contains(got.out, "state:        active") {
		t.Errorf("left as %q", got.out)
	}
}
