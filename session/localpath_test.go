package session

import (
	"net/netip"
	"testing"

	"github.com/pion/webrtc/v4"
)

func TestLocalPaths(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}
	const (
		host  = webrtc.ICECandidateTypeHost
		prflx = webrtc.ICECandidateTypePrflx
		relay = webrtc.ICECandidateTypeRelay
	)
	for _, c := range []struct {
		name          string
		local, remote webrtc.ICECandidateType
		at            string
		relays        bool
		want          bool
	}{
		{"this machine", host, host, "127.0.0.1", false, true},
		{"this machine, in IPv6", host, prflx, "::1", true, true},
		{"the same network", host, host, "192.0.2.9", true, true},
		{"the same network, in IPv6", host, host, "2001:db8::9", false, true},
		{"the same network, mapped", host, host, "::ffff:192.0.2.9", false, true},
		{"the same network, not told", host, prflx, "192.0.2.9", false, true},
		{"the same network, not told, which may be a relay", host, prflx, "192.0.2.9", true, false},
		{"by a name of the local network", host, host, "5d1c9d34-4a5e-4e0e-9f59-b5e12e0b3f1b.local", false, true},
		{"another network", host, host, "198.51.100.9", false, false},
		{"its relay", host, relay, "192.0.2.9", true, false},
		{"our relay", relay, host, "192.0.2.9", true, false},
		{"nonsense", host, host, "viewer", false, false},
	} {
		pair := webrtc.ICECandidatePair{
			Local:  &webrtc.ICECandidate{Typ: c.local},
			Remote: &webrtc.ICECandidate{Typ: c.remote, Address: c.at},
		}
		if got := localPath(pair, c.relays, func() ([]netip.Prefix, error) { return own, nil }); got != c.want {
			t.Errorf("%s: local %v; want %v", c.name, got, c.want)
		}
	}
}

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
			v := h.sessions[r.id].viewer
			h.mu.Unlock()
			v.ctl.Lock()
			got := v.adaptation.config.WithDefaults().Start
			v.ctl.Unlock()
			if got != c.want {
				t.Errorf("begins with %d bits per second; want %d", got, c.want)
			}
		})
	}
}
