package peer

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
