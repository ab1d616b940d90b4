package session

import (
	"testing"
)

func TestLocalStartBitrate(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Config)
		ceiling int
		want    int
	}{
		{"where it is more", func(*Config) {}, 0, 6_000_000},
		{"not where it is less", func(c *Config) { c.StartBitrate = 7_000_000 }, 0, 7_000_000},
		{"within the highest", func(c *Config) { c.MaxBitrate = 3_000_000 }, 0, 3_000_000},
		{"within a grant", func(*Config) {}, 2_000_000, 2_000_000},
		{"within the uplink", func(c *Config) { c.Uplink = 4_000_000 }, 0, 4_000_000},
		{"not with a fixed one", func(c *Config) { c.FixedBitrate = 2_000_000 }, 0, 1_000_000},
		{"not where it is off", func(c *Config) { c.LocalStartBitrate = 0 }, 0, 1_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openHouse(t, func(cfg *Config) {
				cfg.LocalStartBitrate = 6_000_000
				c.change(cfg)
			})
			defer h.close(t)
			r := newRemote(t)
			defer r.close()
			a, err := h.Create(t.Context(), Offer{Display: "default", SDP: r.offer(false), MaxBitrate: c.ceiling})
			if err != nil {
				t.Fatal(err)
			}
			r.accept(a)
			r.playing(t, 3)
			h.mu.Lock()
			v := h.registry.sessions[r.id].viewer
			h.mu.Unlock()
			v.adaptation.mu.Lock()
			got := v.adaptation.recipe.config.WithDefaults().Start
			v.adaptation.mu.Unlock()
			if got != c.want {
				t.Errorf("begins with %d bits per second; want %d", got, c.want)
			}
		})
	}
}
