package session

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// fragmentFor returns a restart's fragment of a viewer that is not there.
func fragmentFor(ufrag string) fragment {
	return fragment{ufrag: ufrag, pwd: "0123456789abcdefghijklmn", media: "video 9 UDP/TLS/RTP/SAVPF 0", mid: "0", candidates: []string{testHost}, end: true}
}

func TestRestartWhoseClientHungUpIsRepeated(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: sampleOffer(t)})
	if err != nil {
		t.Fatal(err)
	}
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	first, err := h.Patch(gone, a.ID, "*", fragmentFor("restarted").String())
	if err != nil || first.SDP == "" {
		t.Fatalf("the client has hung up: got %+v, %v; want the restart to go on", first, err)
	}
	for name, match := range map[string]string{"for any ICE session": "*", "for the ICE session before": a.ETag} {
		again, err := h.Patch(t.Context(), a.ID, match, fragmentFor("restarted").String())
		if err != nil || again != first {
			t.Errorf("%s: got %+v, %v; want the answer %+v again", name, again, err, first)
		}
	}
	if p, err := h.Patch(t.Context(), a.ID, first.ETag, fragmentFor("restarted").String()); err != nil || p.SDP != "" || p.ETag != first.ETag {
		t.Errorf("candidates for the new ICE session: got %+v, %v; want no description", p, err)
	}
	next, err := h.Patch(t.Context(), a.ID, "*", fragmentFor("once-more").String())
	if !errors.Is(err, ErrBadOffer) {
		t.Errorf("credentials of other letters: got %+v, %v; want ErrBadOffer", next, err)
	}
	next, err = h.Patch(t.Context(), a.ID, "*", fragmentFor("onceMore").String())
	if err != nil || next.SDP == first.SDP || next.ETag == first.ETag {
		t.Errorf("another restart: got %+v, %v; want an answer of its own", next, err)
	}
}

func TestFragmentSaysWhichSessionItBelongsTo(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: sampleOffer(t)})
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDescription(sampleOffer(t))
	if err != nil {
		t.Fatal(err)
	}
	current, _ := d.sections[0].value("ice-ufrag")
	for _, c := range []struct {
		name, match, ufrag string
		want               error
	}{
		{"the session's, without a tag", "", current, nil},
		{"another, without a tag", "", "another", ErrNoMatch},
		{"none, without a tag", "", "", ErrNoMatch},
		{"the session's, weak tag", "W/" + a.ETag, current, nil},
		{"the session's, tag of a compressing proxy", strings.TrimSuffix(a.ETag, `"`) + `-gzip"`, current, nil},
		{"the session's, another tag", `"x"`, current, ErrStale},
	} {
		f := fragmentFor(c.ufrag)
		if f.ufrag == "" {
			f.pwd = ""
		}
		if p, err := h.Patch(t.Context(), a.ID, c.match, f.String()); !errors.Is(err, c.want) || err == nil && (p.SDP != "" || p.ETag != a.ETag) {
			t.Errorf("%s: got %+v, %v; want %v", c.name, p, err, c.want)
		}
	}
}

func TestUnusableCandidatesDoNotRefuseAFragment(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: sampleOffer(t)})
	if err != nil {
		t.Fatal(err)
	}
	good := "a=candidate:" + testHost + "\r\n"
	for _, c := range []struct {
		name, text string
		refused    string
	}{
		{"one of two", testMedia + "a=candidate:\r\n" + good, ""},
		{"too many", testMedia + strings.Repeat(good, maxCandidates+1), ""},
		{"none, and no more will come", testMedia + "a=candidate:x\r\na=end-of-candidates\r\n", ""},
		{"another section's", "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" + testMedia + good, ""},
		{"all", testMedia + "a=candidate:1 1 udp\r\na=candidate:1 1 udp 1 127.0.0.1 99999 typ host\r\n", "line 3"},
	} {
		_, err := h.Patch(t.Context(), a.ID, a.ETag, c.text)
		if c.refused == "" && err != nil || c.refused != "" && (!errors.Is(err, ErrBadOffer) || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: got %v; want a refusal by %q", c.name, err, c.refused)
		}
	}
}

// A session of whose sections the first is rejected restarts with candidates.
func TestICERestartWithAudioFirst(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := viewerOf(t, 96, usualForm, []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}, "audio", "video")
	defer r.close()
	r.watch(h)
	r.playing(t, 5)
	r.restart(h)
	eventually(t, "the new path", func() bool { return r.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected })
	r.playing(t, 5)
}

func TestNoAnswerWithoutAnAddress(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		words  string
	}{
		{"interfaces", func(c *Config) { c.Loopback, c.Interfaces = false, []string{"none0"} }, "interfaces"},
		{"addresses", func(c *Config) { c.Loopback, c.Addresses = false, mustPrefixes("203.0.113.0/24") }, "media_addresses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openHouse(t, c.change)
			defer h.close(t)
			_, err := h.Create(t.Context(), Offer{Display: "default", SDP: sampleOffer(t)})
			if !errors.Is(err, ErrNoNetwork) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v; want ErrNoNetwork that names %s", err, c.words)
			}
			if n := len(h.Sessions()); n != 0 {
				t.Errorf("%d sessions are left", n)
			}
		})
	}
}

func TestWhyThereIsNoAddress(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Loopback: true}, "media_network"},
		{Config{Interfaces: []string{"eth9"}}, "[eth9]"},
		{Config{Addresses: mustPrefixes("203.0.113.0/24")}, "203.0.113.0/24"},
		{Config{}, "no network interface"},
	} {
		if got := c.cfg.whyNoAddress(); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q; want it to say %s", c.cfg, got, c.want)
		}
	}
}

func mustPrefixes(list ...string) (prefixes []netip.Prefix) {
	for _, one := range list {
		prefixes = append(prefixes, netip.MustParsePrefix(one))
	}
	return prefixes
}
