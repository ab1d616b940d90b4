package input

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// machine is a kernel with uinput, which notes the events of all devices as "KIND CODE VALUE".
type machine struct {
	open    int
	fail    atomic.Bool // writes of events fail
	created []string
	events  []string
	// A program reads the events after each readEvery. The kernel keeps some for it.
	read    time.Time
	unread  int
	dropped bool
}

const readEvery, kept = 70 * time.Millisecond, 64

// uinputDevice is a device of a machine.
type uinputDevice struct {
	m       *machine
	name    string
	created bool
	may     map[string]bool // kinds and codes
}

func (d *uinputDevice) control(request uint, value int) error {
	names := map[uint]string{uinputEvents: "kind", uinputKeys: "1", uinputMotions: "2", uinputAxes: "3"}
	switch name, ok := names[request]; {
	case request == uinputCreate && d.name != "":
		d.created = true
		d.m.created = append(d.m.created, d.name)
	case !ok:
		return errors.New("invalid argument")
	default:
		d.may[fmt.Sprintf("%s %d", name, value)] = true
	}
	return nil
}

func (d *uinputDevice) Write(b []byte) (int, error) {
	if !d.created {
		if len(b) != 1116 {
			return 0, fmt.Errorf("got a structure of %d bytes; want uinput_user_dev", len(b))
		}
		d.name = strings.TrimRight(string(b[:80]), "\x00")
		return len(b), nil
	}
	if d.m.fail.Load() {
		return 0, errors.New("no such device")
	}
	if now := time.Now(); now.Sub(d.m.read) >= readEvery {
		d.m.read, d.m.unread = now, 0
	}
	d.m.unread += len(b) / 24
	d.m.dropped = d.m.dropped || d.m.unread > kept
	for at := 0; at < len(b); at += 24 {
		kind, code := binary.NativeEndian.Uint16(b[at+16:]), binary.NativeEndian.Uint16(b[at+18:])
		if kind == evSync {
			continue
		}
		if !d.may[fmt.Sprintf("kind %d", kind)] || !d.may[fmt.Sprintf("%d %d", kind, code)] {
			return 0, fmt.Errorf("%s cannot send %d %d", d.name, kind, code)
		}
		d.m.events = append(d.m.events, fmt.Sprint(kind, code, int32(binary.NativeEndian.Uint32(b[at+20:]))))
	}
	return len(b), nil
}

func (d *uinputDevice) Close() error {
	d.m.open--
	return nil
}

// play runs an Injector of a machine, and returns the events.
func (m *machine) play(t *testing.T, american bool, do func(j *Injector)) []string {
	t.Helper()
	m.events = nil
	synctest.Test(t, func(t *testing.T) {
		cfg := UInputConfig{Name: "DP-1", American: american, settle: time.Second, open: func() (node, error) {
			m.open++
			return &uinputDevice{m: m, may: make(map[string]bool)}, nil
		}}
		metrics := NewMetrics(prometheus.NewRegistry())
		j := New(Config{Display: "kms:card@DP-1", Open: UInput(cfg)}, slog.New(slog.DiscardHandler), metrics)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- j.Run(ctx) }()
		do(j)
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if m.open != 0 {
		t.Errorf("%d devices are open", m.open)
	}
	return m.events
}

func TestUInput(t *testing.T) {
	tap := func(j *Injector, code uint32, letter rune) {
		j.Key(code, true, letter, LocksKnown)
		j.Key(code, false, 0, LocksKnown)
	}
	for name, tt := range map[string]struct {
		american bool
		do       func(j *Injector)
		want     []string
	}{
		"a click at a position": {do: func(j *Injector) {
			j.Move(0.5, 1)
			j.Button(1, true)
			j.Button(1, false)
		}, want: []string{"3 0 32768", "3 1 65535", "1 272 1", "1 272 0"}},
		"motions add up": {do: func(j *Injector) {
			j.MoveBy(1.5, -2)
			j.Button(3, true)
			j.Button(3, false)
			j.MoveBy(0.5, 0)
		}, want: []string{"1 273 1", "1 273 0", "2 0 1", "2 1 -2", "2 0 1", "2 1 0"}},
		"a notch and a half": {do: func(j *Injector) { j.Scroll(0, 1.5) }, want: []string{"2 11 180", "2 8 1"}},
		"to the right":       {do: func(j *Injector) { j.Scroll(2, 0) }, want: []string{"2 12 240", "2 6 2"}},
		"keys by places":     {do: func(j *Injector) { tap(j, 16, 'a') }, want: []string{"1 16 1", "1 16 0"}},
		"no text by places":  {do: func(j *Injector) { j.Text("ä\n") }, want: []string{"1 28 1", "1 28 0"}},
		// A French viewer's key A has the place of the American Q.
		"a letter of another layout": {american: true, do: func(j *Injector) { tap(j, 16, 'a') }, want: []string{
			"1 30 1", "1 30 0",
		}},
		"a letter with Shift": {american: true, do: func(j *Injector) { tap(j, 30, 'A') }, want: []string{
			"1 42 1", "1 30 1", "1 42 0", "1 30 0",
		}},
		// A German viewer types / with Shift and 7.
		"a letter without the viewer's Shift": {american: true, do: func(j *Injector) {
			j.Key(54, true, 0, LocksKnown)
			tap(j, 8, '/')
			j.Key(54, false, 0, LocksKnown)
		}, want: []string{"1 54 1", "1 54 0", "1 53 1", "1 54 1", "1 53 0", "1 54 0"}},
		"a letter that the layout lacks": {american: true, do: func(j *Injector) { tap(j, 40, 'ä') }, want: []string{
			"1 40 1", "1 40 0",
		}},
		"locks are in the letters": {american: true, do: func(j *Injector) { tap(j, 58, 0) }},
		"text": {american: true, do: func(j *Injector) { j.Text("aa!\t") }, want: []string{
			"1 30 1", "1 30 0", "1 30 1", "1 30 0", "1 42 1", "1 2 1", "1 42 0", "1 2 0", "1 15 1", "1 15 0",
		}},
		"held at the end": {do: func(j *Injector) {
			j.Key(29, true, 0, 0)
			j.Button(2, true)
		}, want: []string{"1 29 1", "1 274 1", "1 274 0", "1 29 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{}
			if got := m.play(t, tt.american, tt.do); !slices.Equal(got, tt.want) {
				t.Errorf("got %q; want %q", got, tt.want)
			}
			if want := []string{"wavry-host keyboard DP-1", "wavry-host mouse DP-1"}; !slices.Equal(m.created, want) {
				t.Errorf("got the devices %q; want %q", m.created, want)
			}
		})
	}
}

// What cannot be opened says what to do, and leaves nothing open.
func TestUInputThatCannotBeMade(t *testing.T) {
	for _, tt := range []struct {
		err  error
		text string
	}{
		{fs.ErrNotExist, "modprobe uinput"},
		{fs.ErrPermission, "the right to write /dev/uinput"},
		{errors.New("no room"), "make a mouse: no room"},
	} {
		m := &machine{}
		n := 0
		_, err := UInput(UInputConfig{open: func() (node, error) {
			if n++; n == 2 {
				return nil, tt.err
			}
			m.open++
			return &uinputDevice{m: m, may: make(map[string]bool)}, nil
		}})(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.text) || !errors.Is(err, tt.err) || m.open != 0 {
			t.Errorf("got %v with %d open devices; want an error with %q", err, m.open, tt.text)
		}
	}
}

// A device that is lost is made again, and what was pressed is released.
func TestUInputThatIsLost(t *testing.T) {
	m := &machine{}
	got := m.play(t, false, func(j *Injector) {
		j.Key(29, true, 0, 0)
		time.Sleep(2 * time.Second)
		m.fail.Store(true)
		j.Key(30, true, 0, 0)
		time.Sleep(time.Second / 2)
		m.fail.Store(false)
	})
	if want := []string{"1 29 1"}; !slices.Equal(got, want) || len(m.created) != 4 {
		t.Errorf("got %q and the devices %q; want %q, and each device again", got, m.created, want)
	}
}

// Text and fast keys come no faster than a slow program reads them.
func TestUInputIsPaced(t *testing.T) {
	m := &machine{}
	got := m.play(t, true, func(j *Injector) {
		j.Text(strings.Repeat("aB", 500))
		for range 60 {
			for _, pressed := range []bool{true, false} {
				j.Key(30, pressed, 0, 0)
			}
		}
	})
	if len(got) != 500*6+120 || m.dropped {
		t.Errorf("got %d events, dropped: %v; want %d", len(got), m.dropped, 500*6+120)
	}
}
