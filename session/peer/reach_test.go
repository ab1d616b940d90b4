package peer

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/peer/peertest"
)

func TestAddressesThatMediaIsSentTo(t *testing.T) {
	own := Config{Loopback: true}
	some := Config{ViewerNetworks: []netip.Prefix{
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("2001:db8::/32"),
	}}
	for _, c := range []struct {
		address              string
		anywhere, here, some bool
	}{
		{"192.0.2.1", true, true, false},
		{"198.51.100.7", true, true, true},
		{"::ffff:198.51.100.7", true, true, true},
		{"2001:db8::1", true, true, true},
		{"10.0.0.1", true, true, false},
		{"fd00::1", true, true, false},
		{"127.0.0.1", false, true, false},
		{"127.9.9.9", false, true, false},
		{"::ffff:127.0.0.1", false, true, false},
		{"::1", false, true, false},
		{"::127.0.0.1", false, false, false}, // compatible with IPv4, as RFC 4291 has it
		{"0.0.0.0", false, false, false},
		{"0.1.2.3", false, false, false},
		{"::", false, false, false},
		{"169.254.169.254", false, false, false},
		{"::ffff:169.254.169.254", false, false, false},
		{"64:ff9b::a9fe:a9fe", false, false, false},
		{"64:ff9b::c000:201", true, true, false},
		{"2002:7f00:1::1", false, true, false},
		{"fe80::1", false, false, false},
		{"fe80::1%eth0", false, false, false},
		{"fec0::1", false, false, false},
		{"224.0.0.251", false, false, false},
		{"ff02::fb", false, false, false},
		{"255.255.255.255", false, false, false},
		{"240.0.0.1", false, false, false},
	} {
		a := netip.MustParseAddr(c.address)
		for _, by := range []struct {
			name string
			cfg  Config
			want bool
		}{{"anywhere", Config{}, c.anywhere}, {"on loopback", own, c.here}, {"in some networks", some, c.some}} {
			if got := by.cfg.reaches(a); got != by.want {
				t.Errorf("%s, viewers %s: got %v; want %v", c.address, by.name, got, by.want)
			}
		}
	}
}

// Candidates with addresses that nothing is sent to are ignored, and named when there is no path.
func TestRefusedAddressesAreTold(t *testing.T) {
	all := anywhere()
	if got := all.admit([]string{hostAt("127.0.0.1"), hostAt("169.254.169.254"), hostAt("fe80::1")}); len(got) != 0 {
		t.Fatalf("taken are %q; want none", got)
	}
	cause, err := whyNoPath(all.count(), counts{others: 1}, false)
	if cause != CauseRefused || !strings.Contains(err.Error(), "media.viewer_networks") {
		t.Errorf("the cause is %s, %v; want that all are refused, and by what", cause, err)
	}
}

func TestCandidatesAreBoundedOverTheLifeOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := anywhere()
		tell := func() (n int) {
			all.begin() // an ICE restart
			for range maxAllCandidates {
				n += len(all.admit([]string{hostAt("192.0.2.1")}))
			}
			return n
		}
		total := 0
		for range 10 {
			total += tell()
		}
		if total != candidatesAtOnce {
			t.Errorf("%d candidates in ten ICE sessions; want %d", total, candidatesAtOnce)
		}
		time.Sleep(time.Minute)
		if n := tell(); n != 60*candidatesPerSecond {
			t.Errorf("a minute later %d more; want %d", n, 60*candidatesPerSecond)
		}
	})
}

func TestICERestartsAreLimited(t *testing.T) {
	h := openHost(t, nil)
	v := peertest.New(t)
	defer v.Close()
	c := h.connect(t, v)
	v.Playing(t, 5)
	for range restartsAtOnce - 1 {
		c.restart(t, v)
	}
	// Two more ICE sessions: one more has room unless the others took a second each.
	var err error
	for i := range 20 {
		if _, err = c.Patch(t.Context(), "*", fragmentFor(strings.Repeat("u", 8+i))); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrTooOften) {
		t.Errorf("after 20 ICE restarts: %v; want ErrTooOften", err)
	}
}

// Viewers come in by TCP; a viewer that names a TCP address of another machine makes this host connect to nobody.
func TestNoConnectionsToAddressesThatViewersName(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			came <- c
		}
		close(came)
	}()
	h := openHost(t, func(c *Config) { c.MediaTCPPort = freePort(t, "tcp") })
	v := peertest.New(t)
	defer v.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	candidate := "a=candidate:9 1 tcp 2130706431 127.0.0.1 " + port + " typ host tcptype passive\r\n"
	offer := v.Offer(false)
	i := strings.Index(offer, "a=candidate:")
	_, answer := h.mustAnswer(t, offer[:i]+candidate+offer[i:])
	v.Accept(answer)
	v.Playing(t, 10)
	l.Close()
	if c := <-came; c != nil {
		t.Errorf("this host connected to %v, which a viewer named", c.LocalAddr())
		c.Close()
	}
}
