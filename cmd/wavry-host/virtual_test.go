package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wavryhost/capture"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/desktop"
	"wavryhost/platform/display"
	"wavryhost/session"
)

// deskConfig has a display and a group.
func deskConfig() *config.Config {
	return &config.Config{Displays: config.Displays{
		Default: config.Auto, VirtualSize: config.Size{Width: 640, Height: 480},
		Virtual: []config.VirtualItem{{Name: "desk", Count: 2}, {Name: "ann", Size: config.Size{Width: 800, Height: 600}}},
	}}
}

// Displays that start on request are listed before they run, with their groups. They take part in nothing that would
// start them.
func TestDisplaysOnDemandAreListed(t *testing.T) {
	cfg := deskConfig()
	c := &catalog{
		cfg: cfg, log: slog.New(slog.DiscardHandler),
		desktop: newDisplaySearch(&app{}, config.Auto, slog.New(slog.DiscardHandler)),
	}
	var err error
	where := desktop.Config{Socket: filepath.Join(t.TempDir(), "s")}
	if c.onDemand, err = onDemand(t.Context(), cfg, where, c.log); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	all := made(cfg)
	for i := range all {
		all[i].State, all[i].Why = display.Usable, "" // Xvfb may be missing
	}
	id, _ := pick(config.Auto, "", all)
	if id != "virtual:desk" {
		t.Errorf("the default is %s; want the first item", id)
	}
	if id, _ := pick(config.Auto, "", append(all, candidate{ID: "x11:0", State: display.Usable})); id != "x11:0" {
		t.Errorf("the default is %s; want the display that exists", id)
	}
	var got []string
	list := c.offered(choose(id, all))
	for _, d := range list {
		got = append(got, d.ID+" "+d.Group)
		if config.IsOnDemand(d.ID) != (d.Hold != nil && d.Kept != nil) || isVirtual(d.ID) != d.Virtual {
			t.Errorf("%+v", d)
		}
	}
	want := []string{
		"virtual:desk-1 virtual:desk", "virtual ", "virtual:desk-2 virtual:desk", "virtual:ann ", "synthetic ",
	}
	if !slices.Equal(got, want) || !list[0].ForGroup || list[2].ForGroup || list[3].Width != 800 {
		t.Errorf("got %q; want %q, the first one for its group", got, want)
	}
	_, err = list[0].Open(t.Context(), capture.Demand{})
	if !errors.Is(err, capture.ErrNotFound) || !strings.Contains(err.Error(), "virtual:desk-1 does not run") {
		t.Errorf("a display that nothing holds opens with %v", err)
	}
	if _, err := list[0].Pointer(t.Context()); err == nil {
		t.Error("the pointer of a display that does not run opens")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := list[0].Hold(ctx, false); err == nil || list[0].Kept() {
		t.Error("a display without a supervisor is held")
	}
	if all := choose("virtual:desk-2", made(cfg)); !all[2].Default || all[2].ForGroup {
		t.Errorf("a member as the default: %+v", all[2])
	}
}

// The self-probe starts no display.
func TestProbeStartsNoDisplay(t *testing.T) {
	d := func(id string, viewers int) session.DisplayInfo { return session.DisplayInfo{ID: id, Viewers: viewers} }
	for want, list := range map[string][]session.DisplayInfo{
		"":               {d("virtual:desk-1", 0), d("virtual:desk-2", 0)},
		"virtual:desk-2": {d("virtual:desk-1", 0), d("virtual:desk-2", 1)},
		"x11:0":          {d("virtual:desk-1", 0), d("x11:0", 0)},
		"virtual":        {d("virtual", 0), d("virtual:desk-1", 0)},
	} {
		if got := probed(session.Host{Displays: list}); got != want {
			t.Errorf("%v: %q; want %q", list, got, want)
		}
	}
}

func TestMissingPrograms(t *testing.T) {
	cfg := deskConfig()
	cfg.Displays.VirtualPrograms = []string{"no-such-program -x", "sh -c true"}
	cfg.Displays.Virtual[1].Programs = []string{"no-such-program", "another-missing 'one'"}
	if got := missingPrograms(cfg); !slices.Equal(got, []string{"no-such-program", "another-missing"}) {
		t.Errorf("got %q", got)
	}
}
