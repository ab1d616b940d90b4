package session

import (
	"errors"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"wavryhost/session/peer"
	"wavryhost/session/peer/peertest"
)

// A flood of offers of each kind that is refused leaves nothing behind.
func TestRefusedOffersLeaveNothingBehind(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.Linger = deadline })
	defer h.close(t)
	r := peertest.NewOf(t, peertest.Codec{}, "video")
	good := r.Offer(false)
	r.Close()
	cut := func(line string) string { return regexp.MustCompile(line+`.*\r\n`).ReplaceAllString(good, "") }
	texts := []string{
		"", "hello", cut("a=ice-ufrag"), cut("a=ice-pwd"), cut("a=fingerprint"), cut("s="), cut("m=video"),
		strings.Replace(good, "m=video 9", "m=video 0", 1), strings.Replace(good, "m=video 9", "m=video nine", 1),
		strings.Replace(good, "a=recvonly", "a=sendonly", 1), strings.Replace(good, "H264/90000", "H265/90000", 1),
	}
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: good})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.End(t.Context(), a.ID, EndDeleted, ""); err != nil {
		t.Fatal(err)
	}
	flood := func(n int, o Offer) {
		for range n {
			if _, err := h.Create(t.Context(), o); err == nil {
				t.Fatalf("an offer is taken:\n%s", o.SDP)
			}
		}
	}
	for _, text := range texts {
		flood(1, Offer{Display: "default", SDP: text})
	}
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for _, text := range texts {
		flood(1000, Offer{Display: "default", SDP: text})
	}
	flood(1000, Offer{Display: "nowhere", SDP: good})
	flood(1000, Offer{Display: "default", SDP: good, Reservation: "none"})
	if n := len(h.Sessions()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	eventually(t, "no goroutine and no file is "+
		"left", func() bool { return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files })
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not tell which files are open")
	}
	return len(list)
}

func TestOffersWithoutAnAddressLeaveNothingBehind(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.Loopback, c.Interfaces, c.Linger = false, []string{"none0"}, deadline })
	defer h.close(t)
	offer := Offer{Display: "default", SDP: peertest.ChromiumOffer}
	refuse := func(n int) {
		for range n {
			if _, err := h.Create(t.Context(), offer); !errors.Is(err, peer.ErrNoNetwork) {
				t.Fatalf("got %v; want ErrNoNetwork", err)
			}
		}
	}
	refuse(10)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	refuse(1000)
	eventually(t, "no goroutine and no file is "+
		"left", func() bool { return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files })
}
