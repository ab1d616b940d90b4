package peer

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"wavryhost/session/peer/peertest"
)

// fragmentFor returns a restart's fragment of a viewer that is not there.
func fragmentFor(ufrag string) Fragment {
	return Fragment{
		ufrag: ufrag, pwd: "0123456789abcdefghijklmn", media: "video 9 UDP/TLS/RTP/SAVPF 0", mid: "0",
		candidates: []string{testHost}, end: true,
	}
}

func TestRestartWhoseClientHungUpIsRepeated(t *testing.T) {
	c, _ := openHost(t, nil).mustAnswer(t, peertest.ChromiumOffer)
	before := c.ETag()
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	first, err := c.patch(gone, "*", fragmentFor("restarted").String())
	if err != nil || first.SDP == "" {
		t.Fatalf("the client has hung up: got %+v, %v; want the restart to go on", first, err)
	}
	for name, match := range map[string]string{"for any ICE session": "*", "for the ICE session before": before} {
		again, err := c.patch(t.Context(), match, fragmentFor("restarted").String())
		if err != nil || again.SDP != first.SDP || again.ETag != first.ETag || again.Restarted {
			t.Errorf("%s: got %+v, %v; want the answer %+v again", name, again, err, first)
		}
	}
	if p, err := c.patch(t.Context(), first.ETag, fragmentFor("restarted").String()); err != nil ||
		p.SDP != "" || p.ETag != first.ETag {
		t.Errorf("candidates for the new ICE session: got %+v, %v; want no description", p, err)
	}
	next, err := c.patch(t.Context(), "*", fragmentFor("once-more").String())
	if !errors.Is(err, ErrBadOffer) {
		t.Errorf("credentials of other letters: got %+v, %v; want ErrBadOffer", next, err)
	}
	next, err = c.patch(t.Context(), "*", fragmentFor("onceMore").String())
	if err != nil || next.SDP == first.SDP || next.ETag == first.ETag {
		t.Errorf("another restart: got %+v, %v; want an answer of its own", next, err)
	}
}

func TestFragmentSaysWhichSessionItBelongsTo(t *testing.T) {
	peer, _ := openHost(t, nil).mustAnswer(t, peertest.ChromiumOffer)
	before := peer.ETag()
	d, err := parseDescription(peertest.ChromiumOffer)
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
		{"the session's, weak tag", "W/" + before, current, nil},
		{"the session's, tag of a compressing proxy", strings.TrimSuffix(before, `"`) + `-gzip"`, current, nil},
		{"the session's, another tag", `"x"`, current, ErrStale},
	} {
		f := fragmentFor(c.ufrag)
		if f.ufrag == "" {
			f.pwd = ""
		}
		if p, err := peer.patch(t.Context(), c.match, f.String()); !errors.Is(err, c.want) || err == nil &&
			(p.SDP != "" || p.ETag != before) {
			t.Errorf("%s: got %+v, %v; want %v", c.name, p, err, c.want)
		}
	}
}

func TestUnusableCandidatesDoNotRefuseAFragment(t *testing.T) {
	peer, _ := openHost(t, nil).mustAnswer(t, peertest.ChromiumOffer)
	before := peer.ETag()
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
		_, err := peer.patch(t.Context(), before, c.text)
		if c.refused == "" && err != nil || c.refused != "" && (!errors.Is(err, ErrBadOffer) ||
			!strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: got %v; want a refusal by %q", c.name, err, c.refused)
		}
	}
}

// A session of whose sections the first is rejected restarts with candidates.
func TestICERestartWithAudioFirst(t *testing.T) {
	v := peertest.NewOf(t, peertest.Codec{Feedback: peertest.NACKs()}, "audio", "video")
	defer v.Close()
	c := openHost(t, nil).connect(t, v)
	v.Playing(t, 5)
	c.restart(t, v)
	peertest.Eventually(t, "the new path", func() bool {
		return v.PC.ICEConnectionState() == webrtc.ICEConnectionStateConnected
	})
	v.Playing(t, 5)
}

func TestRouteSurvivesARestart(t *testing.T) {
	v := peertest.New(t)
	defer v.Close()
	c := openHost(t, nil).connect(t, v)
	v.Playing(t, 1)
	direct := func() bool {
		r := c.Route()
		return c.Local() && r.Path == PathDirect && r.Protocol == ProtocolUDP
	}
	peertest.Eventually(t, "a direct path", direct)
	c.restart(t, v)
	peertest.Eventually(t, "a direct path again", direct)
}

func TestClosedPeerCannotRestart(t *testing.T) {
	c, _, err := openHost(t, nil).answer(peertest.ChromiumOffer)
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	if _, err := c.Patch(t.Context(), "*", fragmentFor("restarted")); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v; want ErrClosed", err)
	}
	if s := c.State(); !s.Closed || s.Connected {
		t.Errorf("state %+v; want closed", s)
	}
}

func TestNoAnswerWithoutAnAddress(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		words  string
	}{
		{"interfaces", func(c *Config) { c.Loopback, c.Interfaces = false, []string{"none0"} }, "media.interfaces"},
		{
			"addresses", func(c *Config) { c.Loopback, c.Addresses = false, mustPrefixes("203.0.113.0/24") },
			"media.local_networks",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := openHost(t, c.change).answer(peertest.ChromiumOffer)
			if !errors.Is(err, ErrNoNetwork) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v; want ErrNoNetwork that names %s", err, c.words)
			}
		})
	}
}

func TestWhyThereIsNoAddress(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Loopback: true}, "media.network"},
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
