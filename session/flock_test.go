//go:build !race

// See vnet_test.go for why.

package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/admission"
)

// All viewers of a host whose network was cut come back in the same moment, and wait as the viewer page does when they
// are told to: the host takes so many at a time, and all are in within seconds.
func TestEverybodyComesBackAtOnce(t *testing.T) {
	const viewers, atOnce = 100, 8
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 10_000_000, 5*time.Millisecond)
		h := openHouse(t, func(c *Config) {
			c.Loopback, c.FPS, c.MaxBitrate, c.MaxSessions, c.MaxHandshakes = false, 5, 200_000, viewers, atOnce
		})
		h.on(p.host)
		type arrival struct {
			tries int
			took  time.Duration
		}
		var (
			all   []*remote
			group sync.WaitGroup
			mu    sync.Mutex
			in    []arrival
			most  int
		)
		for i := range viewers {
			viewer, _ := p.tail(t, fmt.Sprintf("192.0.2.%d", 10+i), 10_000_000, 25*time.Millisecond)
			all = append(all, vnetRemote(t, viewer))
		}
		var offers []Offer
		for _, r := range all {
			offers = append(offers, Offer{Display: "default", SDP: r.offer(false)})
		}
		start := time.Now()
		for i, r := range all {
			group.Go(func() {
				for tries := 1; ; tries++ {
					a, err := h.Create(t.Context(), offers[i])
					if refusal, ok := errors.AsType[*RefusalError](err); ok &&
						refusal.Resource == string(admission.Handshakes) {
						// The header has whole seconds, and the page adds up to one.
						told := refusal.RetryAfter.Truncate(time.Second) + time.Second
						time.Sleep(told + rand.N(time.Second))
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					r.accept(a)
					connecting := h.connecting()
					for {
						s, err := h.Session(a.ID)
						if err != nil {
							t.Errorf("session %s: %v", a.ID, err)
							return
						}
						if s.State == stateConnected {
							break
						}
						time.Sleep(10 * time.Millisecond)
					}
					mu.Lock()
					defer mu.Unlock()
					in, most = append(in, arrival{tries, time.Since(start)}), max(most, connecting)
					return
				}
			})
		}
		group.Wait()
		if len(in) != viewers || most > atOnce {
			t.Fatalf("%d of %d are in, %d were connecting at a time; want %d at most", len(in), viewers, most, atOnce)
		}
		slices.SortFunc(in, func(a, b arrival) int { return int(a.took - b.took) })
		tries := 0
		for _, a := range in {
			tries = max(tries, a.tries)
		}
		t.Logf("half are in after %v, all after %v, with %d tries at "+
			"most", in[viewers/2].took, in[viewers-1].took, tries)
		if last := in[viewers-1].took; last > 30*time.Second {
			t.Errorf("the last is in after %v; want 30 s at most", last)
		}
		for _, r := range all {
			r.close()
		}
		h.close(t)
		p.close(t)
	})
}

// connecting returns how many sessions are connecting or being created.
func (h *house) connecting() int {
	h.registry.mu.Lock()
	defer h.registry.mu.Unlock()
	n := h.registry.admission.Creating()
	for _, s := range h.registry.sessions {
		if s.load().state == stateConnecting {
			n++
		}
	}
	return n
}
