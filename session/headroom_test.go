package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wavryhost/session/admission"
)

// burden is a load that a test sets.
type burden struct {
	mu sync.Mutex
	l  Load
}

func (b *burden) read() Load {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.l
}

func (b *burden) set(used float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.l.CoresUsed = used
}

// measured is an encoder that took so long for a million pixels when it was tried.
func measured(perMegapixel float64) func() []EncoderInfo {
	return func() []EncoderInfo { return []EncoderInfo{{Name: "fake", Usable: true, PerMegapixel: perMegapixel}} }
}

func TestRefusalSaysWhatIsShort(t *testing.T) {
	b := &burden{l: Load{Cores: 4, CoresUsed: 3.3, MemoryFree: 8 << 30}}
	h := openHouse(t, func(c *Config) { c.Load, c.EncoderInfo = b.read, measured(.02) })
	defer h.close(t)
	first, err := h.Reserve(t.Context(), Reservation{Display: "default", Hold: time.Minute})
	if err != nil {
		t.Fatalf("the first: %v", err)
	}
	_, err = h.Reserve(t.Context(), Reservation{Display: "default"})
	r, ok := errors.AsType[*RefusalError](err)
	// 640x480 at 60 Hz take .37 cores, and 3.4 of 4 may be used.
	if !ok || !errors.Is(err, ErrFull) || r.Resource != string(admission.CPU) || !strings.Contains(err.Error(), "3.67 of 4.00 cores") {
		t.Fatalf("got %v", err)
	}
	if r.Fit != "" || r.RetryAfter < 5*time.Second || r.RetryAfter > 15*time.Second {
		t.Errorf("fit %q, retry after %v", r.Fit, r.RetryAfter)
	}
	b.set(1)
	if err := h.Release(first.ID); err != nil {
		t.Error(err)
	}
	for _, c := range h.Capacity() {
		want := map[string]int{"3840x2160@60": 0, "1920x1080@60": 0, "1280x720@60": 0, "1280x720@30": 4, "640x360@30": 16}
		if n, ok := want[c.Profile]; ok && c.More != n {
			t.Errorf("%d more at %s, limited by %s; want %d", c.More, c.Profile, c.LimitedBy, n)
		}
	}
	if h.Host().Load == nil || h.Host().Load.CoresUsed != 1 {
		t.Error("the host does not show the load")
	}
	h.Drain(DrainOrder{})
	if c := h.Capacity()[6]; c.More != 0 {
		t.Errorf("a host that drains has room for %d", c.More)
	}
}

// Places that were promised a moment ago do not show in the load yet.
func TestPromisesCount(t *testing.T) {
	b := &burden{l: Load{Cores: 4, CoresUsed: .4, MemoryFree: 8 << 30}}
	h := openHouse(t, func(c *Config) { c.Load, c.EncoderInfo = b.read, measured(.02) })
	defer h.close(t)
	var got atomic.Int32
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			_, err := h.Reserve(t.Context(), Reservation{Display: "default", Hold: time.Minute})
			switch {
			case err == nil:
				got.Add(1)
			case !errors.Is(err, ErrFull):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := got.Load(); n != 8 { // 3.0 cores at .369 + .005
		t.Errorf("%d places; want 8", n)
	}
}

func TestParseProfile(t *testing.T) {
	if p, err := ParseProfile("1280x720@30"); err != nil || p.String() != "1280x720@30" || p.BitsPerSecond < 1e6 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{"", "1280x720", "1280x720@", "x@", "1280x720@30fps", "1280x720@30 ", "-1x720@30", "8x8@30", "9000x720@30", "1280x720@0", "1280x720@241"} {
		if _, err := ParseProfile(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestReliefLowersTheLessImportantDisplay(t *testing.T) {
	b := &burden{l: Load{Cores: 2, CoresUsed: .5}}
	other := newScreen(640, 480)
	h := openHouse(t, func(c *Config) {
		c.Load, c.FPS = b.read, 20
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			d := other.display()
			d.ID = "other"
			return append(displays(ctx), d)
		}
	})
	defer h.close(t)
	h.alive(t)
	main, side := newRemote(t), newRemote(t)
	defer main.close()
	defer side.close()
	main.watch(h)
	a, err := h.Create(t.Context(), Offer{Display: "other", SDP: side.offer(false), Weight: 10})
	if err != nil {
		t.Fatal(err)
	}
	side.accept(a)
	main.playing(t, 3)
	side.playing(t, 1)
	// Pictures that take most of their time, on cores that are all in use.
	for _, st := range h.stages.live() {
		for _, r := range st.rungs {
			r.mu.Lock()
			r.view.took = 45 * time.Millisecond
			r.mu.Unlock()
		}
	}
	b.set(2)
	eventually(t, "the less important display is lowered", func() bool { return h.events(EventRelief) > 0 })
	h.mu.Lock()
	for _, e := range h.seen {
		if e.Kind == EventRelief && (e.Display != "other" || e.To != admission.HalfRate.String()) {
			t.Errorf("%+v", e)
		}
	}
	h.mu.Unlock()
	fps := func(id string) int {
		m := h.Manager
		m.mu.Lock()
		v := m.sessions[id]
		m.mu.Unlock()
		return v.seats.here.ask(time.Now()).fps
	}
	eventually(t, "the cap", func() bool { return fps(a.ID) == 10 })
	if n := fps(main.id); n != 20 {
		t.Errorf("the important session is capped to %d", n)
	}
	b.set(.5)
}

func BenchmarkRefusal(b *testing.B) {
	load := &burden{l: Load{Cores: 4, CoresUsed: 4}}
	h := openHouse(b, func(c *Config) { c.Load, c.EncoderInfo, c.MaxSessions = load.read, measured(.02), 1000 })
	defer h.close(b)
	load.set(0)
	for i := range 100 {
		load.mu.Lock()
		load.l.Cores = 1000
		load.mu.Unlock()
		if _, err := h.Reserve(b.Context(), Reservation{Display: "default", Hold: 2 * time.Minute, Key: fmt.Sprint(i)}); err != nil {
			b.Fatal(err)
		}
	}
	load.mu.Lock()
	load.l.Cores = 4
	load.mu.Unlock()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Reserve(b.Context(), Reservation{Display: "default"}); !errors.Is(err, ErrFull) {
			b.Fatal(err)
		}
	}
}
