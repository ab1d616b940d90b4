package admission

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// typical is a host with four cores on which libx264 takes 5 ns a pixel.
func typical() Host {
	return Host{
		Sessions: 1, SessionLimit: 16, Cores: 4, CoresUsed: 0.5, MemoryFree: 8 << 30,
		Best: Encoder{PerPixel: 5e-9, OnCPU: true},
	}
}

func TestDecide(t *testing.T) {
	p := Profile{1920, 1080, 60, 9e6}
	for name, c := range map[string]struct {
		change func(*Host)
		shared bool
		short  Resource // empty where it fits
		fit    string
	}{
		"room":         {func(*Host) {}, false, "", ""},
		"sessions":     {func(h *Host) { h.Sessions = 16 }, false, Sessions, ""},
		"busy":         {func(h *Host) { h.CoresUsed = 3 }, false, CPU, "1920x1080@30"},
		"busy, shared": {func(h *Host) { h.CoresUsed = 4 }, true, "", ""},
		"first": {func(h *Host) {
			*h = Host{Cores: 1, CoresUsed: 1, MemoryFree: 1, Uplink: 1, Best: Encoder{
				PerPixel: 8e-9,
				OnCPU:    true,
			}, GPU: &Card{Used: 1, MemoryTotal: 1}}
		}, false, "", ""},
		"busier":           {func(h *Host) { h.CoresUsed = 3.3 }, false, CPU, "640x360@30"},
		"saturated":        {func(h *Host) { h.CoresUsed, h.Late = 4, true }, true, CPU, ""},
		"promised":         {func(h *Host) { h.Promised = 2.5 }, false, CPU, "1920x1080@30"},
		"slow encoder":     {func(h *Host) { h.Best.PerPixel = 50e-9 }, false, EncodeTime, "1280x720@60"},
		"memory":           {func(h *Host) { h.MemoryFree = 300 << 20 }, false, Memory, "640x360@30"},
		"uplink":           {func(h *Host) { h.Uplink, h.UplinkUsed = 10e6, 1e6 }, false, Uplink, "1920x1080@30"},
		"hardware":         {func(h *Host) { h.EncodeLimit, h.Encodes = 8, 8 }, false, Encoders, ""},
		"hardware, shared": {func(h *Host) { h.EncodeLimit, h.Encodes = 8, 8 }, true, "", ""},
		"hardware, " +
			"spare": {func(h *Host) {
			h.EncodeLimit, h.Encodes, h.Spare = 8, 8, &Encoder{
				PerPixel: 5e-9,
				OnCPU:    true,
			}
		}, false, "", ""},
		"hardware, no cores for the spare": {func(h *Host) {
			h.EncodeLimit, h.Encodes, h.Spare, h.CoresUsed = 8, 8, &Encoder{PerPixel: 5e-9, OnCPU: true}, 3
		}, false, Encoders, "1920x1080@30"},
		"hardware, slow " +
			"spare": {func(h *Host) {
			h.EncodeLimit, h.Encodes, h.Spare = 8, 8,
				&Encoder{PerPixel: 50e-9, OnCPU: true}
		}, false, Encoders, "1280x720@60"},
		"hardware, spare, " +
			"memory": {func(h *Host) {
			h.EncodeLimit, h.Encodes, h.Spare, h.MemoryFree = 8, 8,
				&Encoder{}, 1
		}, false, Memory, ""},
		"encoder " +
			"engine": {
			func(h *Host) { h.GPU = &Card{Used: .6, PerPixel: 3e-9} }, false, GPU,
			"1920x1080@30",
		},
		"encoder engine, " +
			"promised": {
			func(h *Host) { h.GPU = &Card{Used: .1, Promised: .5, PerPixel: 3e-9} }, false,
			GPU, "1920x1080@30",
		},
		"encoder engine, not measured": {func(h *Host) { h.GPU = &Card{Used: .9} }, false, GPU, ""},
		"encoder engine, shared":       {func(h *Host) { h.GPU = &Card{Used: 1, PerPixel: 3e-9} }, true, "", ""},
		"encoder engine, no use for " +
			"it": {func(h *Host) {
			h.EncodeLimit, h.Encodes, h.Spare, h.GPU = 8, 8, &Encoder{},
				&Card{Used: 1}
		}, false, "", ""},
		"memory of the " +
			"card": {
			func(h *Host) { h.GPU = &Card{MemoryFree: 290 << 20, MemoryTotal: 8 << 30} },
			false, GPUMemory, "1280x720@60",
		},
		"memory of the card that tells none": {func(h *Host) { h.GPU = &Card{} }, false, "", ""},
		"nothing is known":                   {func(h *Host) { *h = Host{} }, false, "", ""},
		"hardware needs " +
			"CPU": {func(h *Host) { h.Best.OnCPU, h.CoresUsed = false, 3.39 }, false, CPU, "640x360@30"},
	} {
		t.Run(name, func(t *testing.T) {
			h := typical()
			c.change(&h)
			v := h.Decide(p, c.shared)
			if v.Fits != (c.short == "") || v.Resource != c.short || v.Fits == (v.Why != "") {
				t.Fatalf("%+v; want %q", v, c.short)
			}
			fit := ""
			if v.OK {
				fit = v.Fit.String()
			}
			if fit != c.fit {
				t.Errorf("%q would fit; want %q (%s)", fit, c.fit, v.Why)
			}
		})
	}
}

func TestHardwareCostsCoresToo(t *testing.T) {
	h, p := typical(), Profile{1920, 1080, 60, 0}
	h.Best.OnCPU = false
	if got := h.Cost(p, false); got < .04 || got > .06 {
		t.Errorf("%.3f cores for an encode in hardware; want what capture and conversion take", got)
	}
	if got := h.Cost(p, true); got != 0 {
		t.Errorf("%.3f cores for one who sends nothing", got)
	}
	h.EncodeLimit, h.Encodes, h.Spare = 1, 1, &Encoder{PerPixel: 5e-9, OnCPU: true}
	if got := h.Cost(p, false); got < .6 {
		t.Errorf("%.3f cores for an encode beyond the hardware's limit", got)
	}
}

// random returns a host of any kind.
func random(r *rand.Rand) Host {
	h := Host{
		Sessions: r.IntN(20), SessionLimit: r.IntN(20), Cores: float64(r.IntN(16)), CoresUsed: 4 * r.Float64(),
		Promised:   r.Float64(),
		MemoryFree: r.Int64N(4 << 30), Uplink: r.IntN(2) * r.IntN(100e6), UplinkUsed: r.IntN(20e6),
		Encodes: r.IntN(9), EncodeLimit: r.IntN(9),
		Best: Encoder{PerPixel: 1e-8 * r.Float64(), OnCPU: r.IntN(2) == 0},
	}
	if r.IntN(2) == 0 {
		h.Spare = &Encoder{PerPixel: 1e-8 * r.Float64(), OnCPU: true}
	}
	if r.IntN(2) == 0 {
		h.GPU = &Card{
			Used: r.Float64(), PerPixel: 5e-9 * r.Float64(), MemoryFree: r.Int64N(4 << 30),
			MemoryTotal: 8 << 30 * r.Int64N(2),
		}
	}
	return h
}

// TestCapacityIsWhatIsAdmitted admits session after session until the verdict turns.
func TestCapacityIsWhatIsAdmitted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	limited := 0
	for range 3000 {
		h := random(r)
		p := Profiles()[r.IntN(len(Profiles()))]
		n, by := h.Capacity(p)
		if n == most || h.Sessions == 0 {
			continue
		}
		limited++
		full := h
		for range n {
			if v := full.Decide(p, false); !v.Fits {
				t.Fatalf("capacity %d by %s of %+v at %v: not even these: %+v", n, by, h, p, v)
			}
			full = full.with(p, 1)
		}
		// An encoder that is too slow for the whole frame rate takes a session at a lower one, and where there is a
		// spare one, one more than fit brings that into play. The limits are real numbers: an exact hit may be on
		// either side.
		if v := full.with(p, 1).Decide(p, false); v.Fits && by != EncodeTime && (h.Spare == nil ||
			by != Encoders && by != GPU && by != GPUMemory) {
			t.Fatalf("capacity %d by %s of %+v at %v: two more fit", n, by, h, p)
		}
		busier := h
		busier.CoresUsed += r.Float64()
		busier.Sessions++
		busier.UplinkUsed += r.IntN(1e6)
		if m, _ := busier.Capacity(p); m > n {
			t.Fatalf("a busier host has more capacity: %d, then %d", n, m)
		}
	}
	if limited < 1000 {
		t.Errorf("only %d hosts were limited", limited)
	}
}

func TestShare(t *testing.T) {
	for name, c := range map[string]struct {
		uplink int
		claims []Claim
		want   []int
	}{
		"room for all":          {100, []Claim{{1, 10, 40}, {1, 10, 50}}, []int{40, 50}},
		"equal weights":         {60, []Claim{{1, 10, 100}, {1, 10, 100}}, []int{30, 30}},
		"by weight":             {90, []Claim{{1, 0, 100}, {2, 0, 100}}, []int{30, 60}},
		"who needs less":        {90, []Claim{{1, 0, 100}, {1, 0, 10}, {1, 0, 100}}, []int{40, 10, 40}},
		"floors":                {100, []Claim{{1, 40, 100}, {9, 0, 100}}, []int{40, 60}},
		"the floors exceed it":  {50, []Claim{{1, 40, 100}, {9, 30, 100}}, []int{40, 30}},
		"demand under floor":    {50, []Claim{{1, 40, 0}, {1, 5, 100}}, []int{40, 10}},
		"nobody":                {50, nil, nil},
		"a screen that is idle": {50, []Claim{{1, 5, 5}, {1, 5, 100}}, []int{5, 45}},
	} {
		if got := Share(c.uplink, c.claims, nil); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v; want %v", name, got, c.want)
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var claims []Claim
		floors, demand := 0, 0
		for range 1 + r.IntN(30) {
			c := Claim{Weight: 1 + r.IntN(1000), Floor: r.IntN(200_000), Demand: r.IntN(20_000_000)}
			floors, demand = floors+c.Floor, demand+max(c.Demand, c.Floor)
			claims = append(claims, c)
		}
		uplink := r.IntN(200_000_000)
		sum := 0
		for i, got := range Share(uplink, claims, nil) {
			sum += got
			if got < claims[i].Floor || got > max(claims[i].Demand, claims[i].Floor) {
				t.Fatalf("%+v gets %d", claims[i], got)
			}
		}
		if sum > max(uplink, floors) {
			t.Fatalf("%d are given of %d; the floors are %d", sum, uplink, floors)
		}
		if want := min(uplink, demand); sum < want-len(claims) && floors < uplink {
			t.Fatalf("%d are given of %d, though %d are wanted", sum, uplink, demand)
		}
	}
}

func BenchmarkShare200(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	var claims []Claim
	for range 200 {
		claims = append(claims, Claim{Weight: 1 + r.IntN(1000), Floor: r.IntN(200_000), Demand: r.IntN(20_000_000)})
	}
	into := make([]int, 0, len(claims))
	b.ReportAllocs()
	for b.Loop() {
		into = Share(500_000_000, claims, into[:0])
	}
}

func BenchmarkDecide(b *testing.B) {
	h := typical()
	h.CoresUsed = 4
	b.ReportAllocs()
	for b.Loop() {
		h.Decide(Profile{1920, 1080, 60, 9e6}, false)
	}
}

// play runs r for a while, a second at a time, and returns the steps. load is told how far all are lowered.
func play(r *Shedder, now *time.Time, d time.Duration, units []Unit, load func() float64) (steps []Step) {
	for end := now.Add(d); now.Before(end); *now = now.Add(time.Second) {
		if s, ok := r.Next(*now, load(), units); ok {
			steps = append(steps, s)
		}
	}
	return steps
}

func TestSheddingLowersTheLeastImportantFirst(t *testing.T) {
	var r Shedder
	now := time.Unix(0, 0)
	units := []Unit{{"a", 100, 1}, {"b", 10, 1}, {"c", 100, 2}}
	saturated := func() float64 { return 1 }
	if steps := play(&r, &now, 2*time.Second, units, saturated); len(steps) != 0 {
		t.Errorf("%v within 2 s", steps)
	}
	steps := play(&r, &now, 30*time.Second, units, saturated)
	want := []Step{
		{"b", Whole, HalfRate},
		{"b", HalfRate, Smaller},
		{"b", Smaller, Least},
		{"c", Whole, HalfRate},
		{"c", HalfRate, Smaller},
		{"c", Smaller, Least},
		{"a", Whole, HalfRate},
		{"a", HalfRate, Smaller},
		{"a", Smaller, Least},
	}
	if !slices.Equal(steps, want) {
		t.Errorf("got %v; want %v", steps, want)
	}
	if steps := play(&r, &now, 40*time.Second, units, saturated); !slices.Equal(steps, []Step{{"b", Least, Dropped}}) {
		t.Errorf("then %v; want the least important dropped", steps)
	}
	units = []Unit{units[0], units[2]}
	steps = play(&r, &now, 3*time.Minute, units, func() float64 { return .5 })
	want = []Step{
		{"a", Least, Smaller}, {"a", Smaller, HalfRate}, {"a", HalfRate, Whole}, {"c", Least, Smaller}, {
			"c",
			Smaller, HalfRate,
		}, {"c", HalfRate, Whole},
	}
	if !slices.Equal(steps, want) {
		t.Errorf("with room %v; want %v", steps, want)
	}
	if steps := play(&r, &now, time.Minute, units[:1], saturated); steps[len(steps)-1].To != Least {
		t.Errorf("%v; the last display must not be dropped", steps)
	}
}

// A display that saturates the host whole, and leaves it half idle when it is lowered, must not go up and down all the
// time.
func TestSheddingDoesNotOscillate(t *testing.T) {
	var r Shedder
	now := time.Unix(0, 0)
	steps := play(&r, &now, 10*time.Minute, []Unit{{"a", 100, 1}}, func() float64 {
		if r.Level("a") == Whole {
			return 1
		}
		return .6
	})
	if n := len(steps); n < 4 || n > 20 {
		t.Errorf("%d steps in ten minutes", n)
	}
	if steps := play(&r, &now, 10*time.Minute, []Unit{{"a", 100, 1}}, func() float64 { return .8 }); len(steps) != 0 {
		t.Errorf("%v between the limits", steps)
	}
}

func TestLevels(t *testing.T) {
	rate, size := 2.0, 2.0
	for _, l := range Levels() {
		a, b := l.Caps()
		if l.String() == "level" || a > rate || b > size {
			t.Errorf("%v leaves %v, %v after %v, %v", l, a, b, rate, size)
		}
		rate, size = a, b
	}
}
