package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"wavryhost/capture"
	"wavryhost/session"
)

func TestChoose(t *testing.T) {
	lost := candidate{ID: "x11:0", Why: "gone"}
	there := candidate{ID: "x11:1", Usable: true}
	ours := []candidate{{ID: idVirtual, Usable: true}, {ID: idSynthetic, Usable: true}}
	bare := []candidate{{ID: idVirtual, Why: "no Xvfb"}, {ID: idSynthetic, Usable: true}}
	for _, tc := range []struct {
		name, setting string
		found, made   []candidate
		want          string
		usable        bool
	}{
		{"the first that works", "auto", []candidate{lost, there}, ours, "x11:1", true},
		{"a virtual one when none works", "auto", []candidate{lost}, ours, idVirtual, true},
		{"the pattern when nothing else can be made", "auto", nil, bare, idSynthetic, true},
		{"the one asked for", "x11:1", []candidate{lost, there}, ours, "x11:1", true},
		{"the one asked for, though lost", "x11:0", []candidate{lost, there}, ours, "x11:0", false},
		{"the one asked for, though unknown", "x11:7", []candidate{there}, ours, "x11:7", false},
		{"the pattern asked for", idSynthetic, []candidate{there}, ours, idSynthetic, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var chosen []candidate
			for _, c := range choose(tc.setting, append(append([]candidate{}, tc.found...), tc.made...)) {
				if c.Default {
					chosen = append(chosen, c)
				}
			}
			if len(chosen) != 1 || chosen[0].ID != tc.want || chosen[0].Usable != tc.usable {
				t.Errorf("chosen %+v; want %s", chosen, tc.want)
			}
		})
	}
}

func TestOfferedDisplays(t *testing.T) {
	all := []candidate{
		{ID: "x11:0", Why: "lost"},
		{ID: "x11:1", Usable: true},
		{ID: "x11:7", Why: "lost", Default: true},
		{ID: idSynthetic, Usable: true, Width: 640, Height: 480},
	}
	var ids []string
	list := offered(all, func(candidate) func(context.Context) (capture.Source, error) { return nil })
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	// The default comes first even while it is lost: it may come back. Others are offered while they work.
	if got, want := strings.Join(ids, " "), "x11:7 x11:1 synthetic"; got != want {
		t.Errorf("offered %s; want %s", got, want)
	}
	if last := list[len(list)-1]; last.Width != 640 || last.Height != 480 {
		t.Errorf("got %+v", last)
	}
}

func TestOpener(t *testing.T) {
	cfg := &Config{VirtualSize: size{320, 240}, FPS: 30}
	open := func(id string) (capture.Source, error) {
		return opener(candidate{ID: id}, cfg, "", slog.New(slog.DiscardHandler))(t.Context())
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
	for id, want := range map[string]string{
		"x11:60000":     "60000",
		"x11a..b:0":     "a..b",
		"screenshot:x":  `display screenshot:x: "x" is not a number`,
		"wayland:0":     "not supported on this system",
		"bicycle":       "not supported on this system",
		"screenshot:-1": "negative",
	} {
		if s, err := open(id); err == nil || s != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v; want %s", id, s, err, want)
		}
	}
	if _, err := open("wayland:0"); !errors.Is(err, capture.ErrUnsupported) {
		t.Errorf("got %v; want %v", err, capture.ErrUnsupported)
	}
}

func TestCatalogTellsWhatCameAndWent(t *testing.T) {
	var b strings.Builder
	c := &catalog{log: slog.New(slog.NewTextHandler(&b, nil))}
	one, two, three := session.Display{ID: "one"}, session.Display{ID: "two"}, session.Display{ID: "three"}
	c.tell([]session.Display{one, two}, []session.Display{two, three})
	if log := b.String(); !strings.Contains(log, `msg="display offered" display=three`) ||
		!strings.Contains(log, `msg="display gone" display=one`) || strings.Contains(log, "two") {
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
		d := newDesktop(&app{env: append(tc.env, "DISPLAY=:7")})
		if d.authority != tc.want || d.env.Display != ":7" {
			t.Errorf("%q: got %+v", tc.env, d)
		}
	}
}
