package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/admission"
	"wavryhost/session/hoststate"
	"wavryhost/session/pipeline"
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

// Where nothing is to be measured, what an encode was found to take refuses nobody.
func TestLimitsAloneMeasureNothing(t *testing.T) {
	for name, c := range map[string]struct {
		load func() Load
		fits bool
	}{"measured": {(&burden{l: Load{Cores: 4, MemoryFree: 8 << 30}}).read, false}, "limits alone": {nil, true}} {
		t.Run(name, func(t *testing.T) {
			h := openHouse(t, func(cfg *Config) { cfg.Load, cfg.EncoderInfo = c.load, measured(1) })
			defer h.close(t)
			_, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default"})
			if c.fits != (err == nil) {
				t.Errorf("got %v; want it admitted: %v", err, c.fits)
			}
			if r, ok := errors.AsType[*RefusalError](err); !c.fits && (!ok ||
				r.Resource != string(admission.EncodeTime)) {
				t.Errorf("got %v; want it refused for %s", err, admission.EncodeTime)
			}
		})
	}
}

func TestRefusalSaysWhatIsShort(t *testing.T) {
	b := &burden{l: Load{Cores: 4, CoresUsed: 3.3, MemoryFree: 8 << 30}}
	h := openHouse(t, func(c *Config) { c.Load, c.EncoderInfo = b.read, measured(.02) })
	defer h.close(t)
	first, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{
		Display: "default",
		Hold:    time.Minute,
	})
	if err != nil {
		t.Fatalf("the first: %v", err)
	}
	_, err = h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default"})
	r, ok := errors.AsType[*RefusalError](err)
	// 640x480 at 60 Hz take .37 cores, and 3.4 of 4 may be used.
	if !ok || !errors.Is(err, ErrFull) || r.Resource != string(admission.CPU) || !strings.Contains(err.Error(),
		"3.67 of 4.00 cores") {
		t.Fatalf("got %v", err)
	}
	if r.Fit != "" || r.RetryAfter < 5*time.Second || r.RetryAfter > 15*time.Second {
		t.Errorf("fit %q, retry after %v", r.Fit, r.RetryAfter)
	}
	b.set(1)
	if err := h.reservations.Release(first.ID); err != nil {
		t.Error(err)
	}
	for _, c := range h.reservations.Capacity() {
		want := map[string]int{
			"3840x2160@60": 0, "1920x1080@60": 0, "1280x720@60": 0, "1280x720@30": 4,
			"640x360@30": 16,
		}
		if n, ok := want[c.Profile]; ok && c.More != n {
			t.Errorf("%d more at %s, limited by %s; want %d", c.More, c.Profile, c.LimitedBy, n)
		}
	}
	if h.Host().Load == nil || h.Host().Load.CoresUsed != 1 {
		t.Error("the host does not show the load")
	}
	h.host.Drain(hoststate.DrainOrder{})
	if c := h.reservations.Capacity()[6]; c.More != 0 {
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
			_, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{
				Display: "default",
				Hold:    time.Minute,
			})
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

func TestLoadSheddingLowersTheLessImportantDisplay(t *testing.T) {
	b := &burden{l: Load{Cores: 2, CoresUsed: .5}}
	other := newScreen(640, 480)
	h := openHouse(t, func(c *Config) {
		c.Load, c.FPS = b.read, 20
		// Pictures that take most of their time, on cores that are all in use.
		c.Encoders = []encode.Factory{encodetest.New(encodetest.Config{Took: 45 * time.Millisecond})}
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
	b.set(2)
	eventually(t, "the less important display is lowered", func() bool { return h.events(EventShed) > 0 })
	// The first of them alone: while the cores stay in use, a further step follows each three seconds.
	all := h.told()
	if e := all[slices.IndexFunc(all,
		func(e EventRecord) bool { return e.Kind == EventShed.String() })]; e.Display != "other" ||
		e.To != admission.HalfRate.String() {
		t.Errorf("%+v", e)
	}
	fps := func(id string) int {
		m := h.Manager
		m.registry.mu.Lock()
		v := m.registry.sessions[id]
		m.registry.mu.Unlock()
		return v.sub.feed().subscriber.Demand(time.Now()).FPS
	}
	eventually(t, "the cap", func() bool { return fps(a.ID) == 10 })
	if n := fps(main.id); n != 20 {
		t.Errorf("the important session is capped to %d", n)
	}
	b.set(.5)
	lowered := func() Snapshot {
		s, err := h.Session(a.ID)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	eventually(t, "the lowered session says so", func() bool {
		s := lowered()
		return s.Quality == adapt.Degraded.String() && s.Reason == adapt.ReasonHostSaturated.String()
	})
	if s, err := h.Session(main.id); err != nil || s.Reason == adapt.ReasonHostSaturated.String() {
		t.Errorf("the important session is %v by %v, %v", s.Quality, s.Reason, err)
	}
	told := slices.ContainsFunc(h.told(), func(e EventRecord) bool {
		return e.Kind == EventQuality.String() && e.Session == a.ID && e.Reason == adapt.ReasonHostSaturated.String()
	})
	if !told {
		t.Error("no event tells of it")
	}
}

func BenchmarkRefusal(b *testing.B) {
	load := &burden{l: Load{Cores: 4, CoresUsed: 4}}
	h := openHouse(b, func(c *Config) { c.Load, c.EncoderInfo, c.MaxSessions = load.read, measured(.02), 1000 })
	defer h.close(b)
	load.set(0)
	for range 100 {
		load.mu.Lock()
		load.l.Cores = 1000
		load.mu.Unlock()
		if _, err := h.reservations.Reserve(b.Context(), admission.ReservationRequest{
			Display: "default",
			Hold:    2 * time.Minute,
		}); err != nil {
			b.Fatal(err)
		}
	}
	load.mu.Lock()
	load.l.Cores = 4
	load.mu.Unlock()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.reservations.Reserve(b.Context(),
			admission.ReservationRequest{Display: "default"}); !errors.Is(err, ErrFull) {
			b.Fatal(err)
		}
	}
}

// bench is what was measured of several encoders when they were tried, by seconds for a million pixels.
func bench(of map[string]float64) func() []EncoderInfo {
	return func() (list []EncoderInfo) {
		for name, per := range of {
			list = append(list, EncoderInfo{Name: name, Usable: true, PerMegapixel: per})
		}
		return list
	}
}

// gpuHouse is a host with a graphics card that has room for so many encodes, and many displays.
func gpuHouse(t *testing.T, b *burden, room int, change func(*Config)) *house {
	// As long as .002 and .02 s for a million pixels are.
	gpu := encodetest.New(encodetest.Config{
		Profile: encode.Profile{Name: "fake_nvenc", Hardware: true},
		Limit:   room, Took: 600 * time.Microsecond,
	})
	cpu := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "fake"}, Took: 6 * time.Millisecond})
	var screens []*screen
	for range 12 {
		screens = append(screens, newScreen(640, 480))
	}
	return openHouse(t, func(c *Config) {
		c.Load, c.EncoderInfo = b.read, bench(map[string]float64{"fake_nvenc": .002, "fake": .02})
		c.Encoders, c.MaxSessions = []encode.Factory{gpu, cpu}, 1000
		c.Displays = func(context.Context) (list []Display) {
			for i, s := range screens {
				d := s.display()
				d.ID = fmt.Sprint("d", i)
				list = append(list, d)
			}
			return list
		}
		if change != nil {
			change(c)
		}
	})
}

func TestGraphicsCardIsShort(t *testing.T) {
	card := GPU{ID: "nvidia0", API: "nvenc", Encoder: .3, Used: 1 << 30, Total: 8 << 30}
	b := &burden{l: Load{Cores: 8, CoresUsed: .4, MemoryFree: 8 << 30, GPUs: []GPU{{ID: "other", Encoder: 1}, card}}}
	h := gpuHouse(t, b, 0, nil)
	defer h.close(t)
	for i := range 12 { // each takes 3.7 % of the encoder's time
		if _, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: fmt.Sprint("d",
			i), Hold: time.Minute}); err != nil {
			t.Fatalf("place %d: %v", i, err)
		}
	}
	for _, c := range h.reservations.Capacity() {
		want, ok := map[string]int{"1920x1080@60": 0, "1280x720@30": 2, "640x360@30": 9}[c.Profile]
		if ok && (c.LimitedBy != string(admission.GPU) || c.More != want) {
			t.Errorf("%+v; want %d", c, want)
		}
	}
	b.mu.Lock()
	b.l.GPUs[1].Encoder = .4
	b.mu.Unlock()
	_, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "d0"})
	r, ok := errors.AsType[*RefusalError](err)
	if !ok || r.Resource != string(admission.GPU) || !strings.Contains(err.Error(), "84 "+
		"%") || r.Fit != "640x360@30" || r.RetryAfter < 5*time.Second {
		t.Errorf("got %v, %+v", err, r)
	}
	b.mu.Lock()
	b.l.GPUs[1].Encoder, b.l.GPUs[1].Used = 0, 8<<30-300<<20 // of which the twelve places take 7 MB each
	b.mu.Unlock()
	_, err = h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "d0"})
	if r, ok := errors.AsType[*RefusalError](err); !ok || r.Resource != string(admission.GPUMemory) ||
		!strings.Contains(err.Error(), "215 MB of the graphics card's memory") || r.RetryAfter < 15*time.Second {
		t.Errorf("got %v, %+v", err, r)
	}
	b.mu.Lock()
	b.l.GPUs = nil // a driver that hangs is not known
	b.mu.Unlock()
	if _, err = h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "d0"}); err != nil {
		t.Errorf("with a card that is not known: %v", err)
	}
}

// What the hardware has no room for is encoded in software while there are cores for it, and refused after that; the
// limit is shown.
func TestBeyondTheHardware(t *testing.T) {
	// 1.4 cores are left, .37 for an encode in software.
	b := &burden{l: Load{Cores: 4, CoresUsed: 2, MemoryFree: 8 << 30}}
	h := gpuHouse(t, b, 2, nil)
	defer h.close(t)
	watch := func(display string) *remote {
		t.Helper()
		r := newRemote(t)
		a, err := h.Create(t.Context(), Offer{Display: display, SDP: r.offer(false)})
		if err != nil {
			t.Fatal(err)
		}
		r.accept(a)
		r.playing(t, 3)
		return r
	}
	for _, d := range []string{"d0", "d1", "d2"} {
		defer watch(d).close()
	}
	on := map[string]int{}
	for _, s := range h.Sessions() {
		on[s.Encoder]++
	}
	if on["fake_nvenc"] != 2 || on["fake"] != 1 {
		t.Errorf("sessions by encoder: %v; want two on hardware and one beside it", on)
	}
	for _, e := range h.Host().Encoders {
		if want := e.Name == "fake_nvenc"; e.LimitLearnt != want || want && (e.SessionLimit != 2 ||
			e.Sessions != 2 || e.InUse) {
			t.Errorf("%+v", e)
		}
	}
	var err error
	n := 3
	for ; n < 12 && err == nil; n++ {
		_, err = h.reservations.Reserve(t.Context(), admission.ReservationRequest{
			Display: fmt.Sprint("d", n),
			Hold:    time.Minute,
		})
	}
	r, ok := errors.AsType[*RefusalError](err)
	if !ok || r.Resource != string(admission.Encoders) || !strings.Contains(err.Error(), "the hardware runs 2 "+
		"encodings at most, and without it") {
		t.Errorf("place %d: %v", n, err)
	}
	if n < 5 {
		t.Errorf("refused at %d, though there are cores for three encodes", n)
	}
	if c := h.reservations.Capacity()[5]; c.Profile != "1280x720@30" ||
		c.LimitedBy != string(admission.Encoders) || c.More != 0 {
		t.Errorf("%+v", c)
	}
}

// Two hundred that ask at once get what the hardware has room for, where nothing else encodes.
func TestEncodesArePromised(t *testing.T) {
	b := &burden{l: Load{Cores: 64, CoresUsed: 1, MemoryFree: 64 << 30}}
	h := gpuHouse(t, b, 0, func(c *Config) { c.EncodeLimit, c.Encoders = 5, c.Encoders[:1] })
	defer h.close(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	displays := map[string]int{}
	for i := range 200 {
		wg.Go(func() {
			d := fmt.Sprint("d", i%12)
			_, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: d, Hold: time.Minute})
			mu.Lock()
			defer mu.Unlock()
			switch r, ok := errors.AsType[*RefusalError](err); {
			case err == nil:
				displays[d]++
			case !ok || r.Resource != string(admission.Encoders):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(displays) != 5 {
		t.Errorf("places for %v; want five displays", displays)
	}
}

// timekeeper is a controller that records the reported times of pictures. It keeps the frame rate on any path.
type timekeeper struct {
	adapt.Controller
	fps     int
	longest *atomic.Int64
}

func (k timekeeper) Tick(now time.Time) adapt.Targets {
	t := k.Controller.Tick(now)
	t.FPS = k.fps
	return t
}

func (k timekeeper) OnSource(s adapt.Source) {
	k.longest.Store(max(k.longest.Load(), int64(s.EncodeTime)))
	k.Controller.OnSource(s)
}

// While the host is saturated the controllers do not take the encoder for slow: relief lowers the least important,
// where they would all step down.
func TestControllersLeaveTheHostsLoadToShedding(t *testing.T) {
	b := &burden{l: Load{Cores: 2, CoresUsed: .5, CoresNow: 2}}
	var longest atomic.Int64
	h := openHouse(t, func(c *Config) {
		c.Load, c.FPS = b.read, 20
		// Pictures that take most of their time, on cores that are all in use.
		c.Encoders = []encode.Factory{encodetest.New(encodetest.Config{Took: 45 * time.Millisecond})}
		c.Encoders = []encode.Factory{encodetest.New(encodetest.Config{Took: 45 * time.Millisecond})}
		c.NewController = func(a adapt.Config) (adapt.Controller, error) {
			loop, err := adapt.New(a)
			return timekeeper{loop, c.FPS, &longest}, err
		}
	})
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 3)
	if got, want := time.Duration(longest.Load()), 36*time.Millisecond; got == 0 || got > want {
		t.Errorf("the controller is told of %v; want most of a frame's time at most", got)
	}
	b.mu.Lock()
	b.l.CoresNow = 1
	b.mu.Unlock()
	eventually(t, "the encoder is slow by "+
		"itself", func() bool { return time.Duration(longest.Load()) >= 45*time.Millisecond })
}

func TestLoadIsAMetric(t *testing.T) {
	h := openHouse(t, func(c *Config) {
		c.MaxSessions = 4
		c.Load = func() Load { return Load{Cores: 8, CoresUsed: 2} }
	})
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	eventually(t, "the load is exported", func() bool {
		return h.gauge(t, "wavry_host_load_ratio", "sessions") == .25 && h.gauge(t, "wavry_host_load_ratio", "cpu") == .25
	})
	h.host.Drain(hoststate.DrainOrder{})
	eventually(t, "the drain is exported", func() bool { return h.gauge(t, "wavry_host_drain_sessions_left", "") == 1 })
}

// gauge returns a gauge with one label, or with none; -1 if it does not exist.
func (h *house) gauge(t *testing.T, name, value string) float64 {
	t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (value == "" || m.GetLabel()[0].GetValue() == value) {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

func TestEncoderOfADeviceCountsOnItsCard(t *testing.T) {
	gpus := []GPU{
		{ID: "other", Encoder: .9},
		{ID: "card0", API: "vaapi", Device: "/dev/dri/renderD128", Encoder: .1},
		{ID: "card1", API: "vaapi", Device: "/dev/dri/renderD129", Encoder: .2},
	}
	for device, want := range map[string]float64{"": .1, "/dev/dri/renderD128": .1, "/dev/dri/renderD129": .2} {
		p := encode.Profile{Name: "h264_vaapi@" + device, Device: device, Hardware: true}
		if got := card(gpus, p, .001, pipeline.Pace{}); got == nil || got.Used != want {
			t.Errorf("the card of device %q is %+v; want the one with a load of %v", device, got, want)
		}
	}
	missing := encode.Profile{Name: "h264_vaapi", Device: "/dev/dri/renderD130", Hardware: true}
	if got := card(gpus, missing, .001, pipeline.Pace{}); got != nil {
		t.Errorf("the card of an unknown device is %+v; want none", got)
	}
}
