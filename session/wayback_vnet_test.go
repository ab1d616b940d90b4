//go:build !race

package session

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5/vnet"

	"wavryhost/adapt"
)

// loseReports drops a share of what the first viewer sends.
func (p *path) loseReports(share float64) {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(3, 4))
	p.router.AddChunkFilter(func(c vnet.Chunk) bool {
		if from, ok := c.SourceAddr().(*net.UDPAddr); !ok || !from.IP.Equal(net.IPv4(192, 0, 2, 2)) {
			return true
		}
		mu.Lock()
		defer mu.Unlock()
		return random.Float64() >= share
	})
}

// TestOnlyTheWayBackIsBad has a good path to the viewer and a bad one from it: its reports are lost, or wait in a full
// queue. The session keeps its rate, and makes no keyframes that nobody needs.
func TestOnlyTheWayBackIsBad(t *testing.T) {
	for name, bad := range map[string]struct {
		lost float64
		bits int
	}{
		"40 % are lost":              {.4, 10_000_000},
		"an upload leaves 20 kbit/s": {0, 20_000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const highest = 3_000_000
				p := newPath(t, 10_000_000, 20*time.Millisecond)
				host, _ := p.tail(t, "192.0.2.3", bad.bits, 20*time.Millisecond)
				h := openHouse(t, func(c *Config) {
					c.Loopback, c.FPS, c.StartBitrate, c.MaxBitrate = false, 30, 500_000, highest
				})
				h.on(host)
				p.loseReports(bad.lost)
				r := vnetRemote(t, p.viewer)
				r.watch(h)
				still := h.busy()
				time.Sleep(10 * time.Second)
				see := func() Snapshot {
					s, err := h.Session(r.id)
					if err != nil {
						t.Fatal(err)
					}
					return s
				}
				before, mean, stalled := see(), 0, 0
				const looks = 50
				for range looks {
					time.Sleep(100 * time.Millisecond)
					s := see()
					mean += s.TargetBitrate / looks
					if s.Quality == adapt.Stalled.String() {
						stalled++
					}
				}
				after := see()
				if mean < .7*highest || stalled > 0 {
					t.Errorf("target %d in the mean, stalled in %d of %d looks; %s by %s, loss %.3f, queue %.3f s; "+
						"want 70 %% of %d", mean, stalled, looks, after.Quality, after.Reason, after.Loss,
						after.QueueSeconds, highest)
				}
				if n := after.KeyframesSent - before.KeyframesSent; n > 1 {
					t.Errorf("%d keyframes; want at most one", n)
				}
				still()
				r.close()
				h.close(t)
				p.close(t)
			})
		})
	}
}
