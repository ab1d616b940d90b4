package main

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"wavryhost/capture"
	"wavryhost/capture/synthetic"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/display"
)

func TestPick(t *testing.T) {
	lost := candidate{ID: "x11:0", State: display.Unusable, Why: "gone"}
	slow := candidate{ID: "x11:1", State: display.Slow, Why: "no answer"}
	there := candidate{ID: "x11:1", State: display.Usable}
	named := candidate{ID: "x11:2", State: display.Usable, Named: true}
	remote := candidate{ID: "x11localhost:10", State: display.Usable, Remote: true, Named: true}
	ours := []candidate{{ID: idVirtual, State: display.Usable}, {ID: idSynthetic, State: display.Usable}}
	bare := []candidate{{ID: idVirtual, State: display.Unusable, Why: "no Xvfb"}, {ID: idSynthetic, State: display.Usable}}
	pattern := ours[1:]
	for _, tc := range []struct {
		name, setting, before string
		found, made           []candidate
		want, why             string
	}{
		{"the first that works", "auto", "", []candidate{lost, there}, ours, "x11:1", "first on this machine"},
		{"the one that DISPLAY names", "auto", "", []candidate{named, there}, ours, "x11:2", "DISPLAY"},
		{"another than what DISPLAY names", "auto", "", []candidate{{
			ID: "x11:3", State: display.Unusable, Why: "depth 8",
			Named: true,
		}, there}, ours, "x11:1", "x11:3, which is not: depth 8"},
		{"a virtual one when none works", "auto", "", []candidate{lost}, ours, idVirtual, "x11:0: gone"},
		{"the pattern when nothing else can be made", "auto", "", nil, bare, idSynthetic, "no display"},
		{"another machine's never", "auto", "", []candidate{remote}, ours, idVirtual, "no display on this machine"},
		{"another machine's after the local one", "auto", "", []candidate{remote, there}, ours, "x11:1", "first"},
		{
			"another machine's when asked for", "x11localhost:10", "",
			[]candidate{remote, there},
			ours, "x11localhost:10",
			"setting",
		},
		{"the one asked for, though lost", "x11:0", "", []candidate{lost, there}, ours, "x11:0", "setting"},
		{"the one asked for, though unknown", "x11:7", "", []candidate{there}, ours, "x11:7", "setting"},
		{"the pattern asked for", idSynthetic, "", []candidate{there}, ours, idSynthetic, "setting"},

		{"one that comes later", "auto", idVirtual, []candidate{there}, ours, "x11:1", "first"},
		{"one that comes later than the pattern", "auto", idSynthetic, []candidate{there}, pattern, "x11:1", "first"},
		{"the one before, whatever comes", "auto", "x11:1", []candidate{named, there}, ours, "x11:1", "before"},
		{"the one before, though it does not answer", "auto", "x11:1", []candidate{named, slow}, ours, "x11:1", "before"},
		{"another when the one before has gone", "auto", "x11:0", []candidate{lost, there}, ours, "x11:1", "first"},
		{"the virtual one when the one before has gone", "auto", "x11:0", []candidate{lost}, ours, idVirtual, "gone"},
		{"the one before rather than the pattern", "auto", "x11:0", []candidate{lost}, pattern, "x11:0", "come back"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, why := pick(tc.setting, tc.before, append(append([]candidate{}, tc.found...), tc.made...))
			if id != tc.want || !strings.Contains(why, tc.why) {
				t.Errorf("picked %s, since %s; want %s, since %s", id, why, tc.want, tc.why)
			}
		})
	}
}

func TestChosenDisplayThatIsNotThereIsListed(t *testing.T) {
	all := choose("x11:7.1", []candidate{{ID: "x11:0", State: display.Usable}})
	if len(all) != 2 || all[0].Default || !all[1].Default || all[1].State != display.Unusable ||
		all[1].address != ":7.1" ||
		all[1].Backend != "x11" {
		t.Errorf("got %+v", all)
	}
}

func TestOfferedDisplays(t *testing.T) {
	all := []candidate{
		{ID: "x11:0", State: display.Unusable, Why: "lost"},
		{ID: "x11:1", State: display.Usable},
		{ID: "x11:7", State: display.Slow, Why: "no answer", Default: true},
		{ID: "x11localhost:10", Backend: "x11", State: display.Unusable, Why: "another machine's", Remote: true},
		{ID: idSynthetic, State: display.Usable, Width: 640, Height: 480},
	}
	c := &catalog{
		cfg:     &config.Config{},
		log:     slog.New(slog.DiscardHandler),
		desktop: newDisplaySearch(&app{}, "auto", slog.New(slog.DiscardHandler)),
	}
	var ids []string
	list := c.offered(all)
	for _, d := range list {
		ids = append(ids, d.ID+" "+d.State+" "+d.Reason)
	}
	// The default comes first even while it is lost: it may come back. What is wrong with the others is told.
	want := []string{
		"x11:7 slow no answer", "x11:0 unusable lost", "x11:1  ", "x11localhost:10 unusable another machine's", "synthetic  ",
	}
	if !slices.Equal(ids, want) {
		t.Errorf("offered %q; want %q", ids, want)
	}
	if last := list[len(list)-1]; last.Width != 640 || last.Height != 480 {
		t.Errorf("got %+v", last)
	}
	if _, err := list[3].Open(
		t.Context(), capture.Demand{},
	); err == nil || !strings.Contains(err.Error(), "another machine's") ||
		list[3].Input != nil {
		t.Errorf("a display of another machine opens with %v, and takes input: %v", err, list[3].Input != nil)
	}
}

func TestOpener(t *testing.T) {
	cfg := &config.Config{Displays: config.Displays{VirtualSize: config.Size{Width: 320, Height: 240}, FPS: 30}}
	open := func(id string) (capture.Source, error) {
		return opener(candidate{ID: id}, cfg, slog.New(slog.DiscardHandler))(t.Context(), capture.Demand{})
	}
	s, err := open(idSynthetic)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.Width != 320 || f.Height != 240 {
		t.Errorf("frame of %dx%d", f.Width, f.Height)
	}
	f.Release()
	for _, motion := range synthetic.Motions() {
		s, err := open(idSynthetic + ":" + string(motion))
		if err != nil {
			t.Errorf("%s: %v", motion, err)
			continue
		}
		_ = s.Close()
	}
	for id, want := range map[string]string{
		"synthetic:none": "none",
		"x11:60000":      "60000",
		"x11a..b:0":      "a..b",
		"screenshot:x":   `display screenshot:x: "x" is not a number`,
		"wayland:0":      "no such display",
		"bicycle":        "not supported on this system",
		"screenshot:-1":  "negative",
	} {
		if s, err := open(id); err == nil || s != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v; want %s", id, s, err, want)
		}
	}
	if _, err := open("wayland:0"); !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("got %v; want %v", err, capture.ErrNotFound)
	}
}

// Another motion of the test pattern is a display while the settings name it, in addition to the usual one.
func TestMotionsAreDisplays(t *testing.T) {
	for setting, want := range map[string]string{
		"auto": "virtual synthetic", "synthetic": "virtual synthetic", "synthetic:busy": "virtual synthetic synthetic:busy",
	} {
		cfg := &config.Config{Displays: config.Displays{Default: setting}}
		var ids []string
		for _, c := range made(cfg) {
			ids = append(ids, c.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("with the setting %s: %s; want %s", setting, got, want)
		}
	}
}

func TestCatalogTellsWhatCameAndWent(t *testing.T) {
	var b strings.Builder
	c := &catalog{log: slog.New(slog.NewTextHandler(&b, nil))}
	one, two, three := candidate{
		ID:    "one",
		State: display.Usable,
	}, candidate{
		ID:    "two",
		State: display.Usable,
	}, candidate{
		ID:    "three",
		State: display.Usable,
	}
	four := candidate{ID: "four", State: display.Unusable, Why: "depth"}
	c.tell([]candidate{one, two}, []candidate{two, three, four})
	if log := b.String(); !strings.Contains(log, `msg="display offered" display=three`) ||
		!strings.Contains(log, `display=four backend="" state=unusable why=depth`) ||
		!strings.Contains(log, `msg="display gone" display=one`) ||
		strings.Contains(log, "two") {
		t.Errorf("logged %s", log)
	}
}

func TestDesktopReadsTheEnvironmentItIsGiven(t *testing.T) {
	for _, tc := range []struct {
		env  []string
		want string
	}{
		{nil, ""},
		{[]string{"HOME=/home/ann"}, "/home/ann/.Xauthority"},
		{[]string{"HOME=/home/ann", "XAUTHORITY=/run/a"}, "/run/a"},
		{[]string{"XAUTHORITY=/run/a", "XAUTHORITY=/run/b"}, "/run/b"},
	} {
		d := newDisplaySearch(&app{env: append(tc.env, "DISPLAY=:7")}, "x11:8.1", slog.New(slog.DiscardHandler))
		if d.env.Authority != tc.want || d.env.Display != ":7" || d.env.Wanted != ":8.1" {
			t.Errorf("%q: got %+v", tc.env, d)
		}
	}
}
