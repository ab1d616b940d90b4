//go:build !race

package session

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"
)

// TestJoinsOnABadPath has viewers join over a path that loses every fifth packet in both directions, one after the
// other.
func TestJoinsOnABadPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const joins, lost = 60, .2
		p := newPath(t, 3_000_000, 20*time.Millisecond)
		h := openHouse(t, func(c *Config) {
			c.Loopback, c.FPS, c.StartBitrate, c.ConnectTimeout = false, 30, 500_000, 10*time.Second
		})
		h.on(p.host)
		var mu sync.Mutex
		random := rand.New(rand.NewPCG(1, 2))
		p.router.AddChunkFilter(func(vnet.Chunk) bool {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64() >= lost
		})
		still := h.busy()
		var took []time.Duration
		for range joins {
			r := vnetRemote(t, p.viewer,
				// As browsers do.
				func(se *webrtc.SettingEngine) { se.SetDTLSRetransmissionInterval(50 * time.Millisecond) })
			begun := time.Now()
			r.watch(h)
			for frames := 0; frames == 0 && time.Since(begun) < 10*time.Second; frames, _ = r.got() {
				time.Sleep(10 * time.Millisecond)
			}
			if frames, _ := r.got(); frames > 0 {
				took = append(took, time.Since(begun))
			}
			_ = h.End(t.Context(), r.id, EndOperator, "") // it may have ended
			r.close()
		}
		slices.Sort(took)
		if len(took) < joins*98/100 {
			t.Fatalf("%d of %d joins had a picture", len(took), joins)
		}
		median, p95 := took[len(took)/2], took[len(took)*95/100]
		t.Logf("%d of %d joins; picture after %v, 95 %% within %v, all within "+
			"%v", len(took), joins, median, p95, took[len(took)-1])
		if median > time.Second || p95 > 2*time.Second {
			t.Errorf("half have a picture after %v, 95 %% after %v; want 1 s and 2 s", median, p95)
		}
		still()
		h.close(t)
		p.close(t)
	})
}
