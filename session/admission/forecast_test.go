package admission

import (
	"maps"
	"testing"

	"wavryhost/encode"
)

// A forecast names each limited resource, and says of which there is too little. Admit refuses for one of these.
func TestForecast(t *testing.T) {
	const gigabyte = 1 << 30
	roomy := Host{
		Sessions: 1, Cores: 8, CoresUsed: 1, MemoryFree: 8 * gigabyte,
		Best: Encoder{PerPixel: 1e-9, OnCPU: true},
	}
	limits := Limits{Sessions: 10, Handshakes: 4, PerOwner: 10}
	with := func(change func(*Host)) Host {
		h := roomy
		change(&h)
		return h
	}
	connecting := []Session{{ID: "a", Connecting: true}, {ID: "b", Connecting: true}, {ID: "c", Connecting: true}, {
		ID: "d", Connecting: true,
	}}
	for name, c := range map[string]struct {
		host     Host
		sessions []Session
		viewers  int
		short    []Resource // among the limited ones
		limited  int
	}{
		"room":       {roomy, connecting[:1], 0, nil, 5},
		"cores":      {with(func(h *Host) { h.CoresUsed = 7 }), connecting[:1], 0, []Resource{CPU}, 5},
		"memory":     {with(func(h *Host) { h.MemoryFree = 256 << 20 }), connecting[:1], 0, []Resource{Memory}, 5},
		"first":      {with(func(h *Host) { h.CoresUsed, h.MemoryFree = 7, 256<<20 }), nil, 0, nil, 5},
		"handshakes": {roomy, connecting, 0, []Resource{Handshakes}, 5},
		"slow encoder": {
			with(func(h *Host) { h.Best.PerPixel = 1e-7 }), connecting[:1], 0,
			[]Resource{EncodeTime},
			5,
		},
		"uplink": {
			with(func(h *Host) { h.Uplink, h.UplinkUsed = 10e6, 9e6 }), connecting[:1], 0,
			[]Resource{Uplink},
			6,
		},
		"display": {roomy, []Session{{ID: "a", Display: "x"}}, 1, []Resource{DisplayViewers}, 6},
		"card": {
			with(func(h *Host) {
				h.Best.OnCPU, h.EncodeLimit = false, 1
				h.GPU = &Card{Used: .9, PerPixel: 1e-9, MemoryFree: gigabyte, MemoryTotal: 2 * gigabyte}
			}), connecting[:1], 0, []Resource{GPU}, 8,
		},
		"full hardware without cores": {
			with(func(h *Host) {
				h.CoresUsed, h.EncodeLimit, h.Encodes = 7.9, 1, 1
				h.Best.OnCPU, h.Spare = false, &Encoder{PerPixel: 1e-8, OnCPU: true, Threads: 4}
			}), connecting[:1], 0, []Resource{CPU, Encoders}, 6,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(limits)
			h.Host, h.Sessions = c.host, c.sessions
			r := Request{
				Display: "x", Format: encode.H264, Viewers: c.viewers,
				Profile: Profile{1280, 720, 30, 3e6},
			}
			want := make(map[Resource]bool)
			for _, one := range c.short {
				want[one] = true
			}
			f := h.Forecast(r, h.Snapshot)
			got := f.WouldRefuse()
			if len(got) != c.limited {
				t.Errorf("limited are %v; want %d", got, c.limited)
			}
			maps.DeleteFunc(got, func(_ Resource, short bool) bool { return !short })
			if !maps.Equal(got, want) {
				t.Errorf("short are %v; want %v", got, want)
			}
			_, _, err := h.Admit(r, h.Snapshot, false)
			if (err != nil) != (len(want) > 0) {
				t.Errorf("the forecast is %v; admission says %v", got, err)
			}
		})
	}
}

func TestForecastOfTheLoad(t *testing.T) {
	h := newHouse(Limits{Sessions: 10, Handshakes: 10, PerOwner: 10})
	h.Host = Host{
		Cores: 4, CoresUsed: 1, Promised: 1, Uplink: 10e6, UplinkUsed: 4e6, EncodeLimit: 3,
		GPU: &Card{Used: .25, MemoryFree: 1 << 30, MemoryTotal: 4 << 30},
	}
	h.Displays = map[string]Display{"x": {Encodes: 1}}
	got := h.Forecast(Request{Display: "x", Format: encode.H264}, h.Snapshot).Used()
	want := map[Resource]float64{
		Sessions: 0, CPU: .5, Uplink: .4, Encoders: 1. / 3, GPU: .25, GPUMemory: .75,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
}
