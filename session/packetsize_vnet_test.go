//go:build !race

package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5/vnet"
)

// A path that drops packets over 1150 bytes, IP and UDP included, and sends no ICMP.
func TestPathOf1150Bytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 5_000_000, 20*time.Millisecond)
		p.router.AddChunkFilter(func(c vnet.Chunk) bool { return len(c.UserData())+28 <= 1150 })
		h := openHouse(t, func(c *Config) {
			c.Loopback, c.FPS, c.StartBitrate, c.MaxBitrate, c.ConnectTimeout = false, 30, 1_000_000,
				4_000_000, 10*time.Second
		})
		h.on(p.host)
		still := h.busy()
		r := vnetRemote(t, p.viewer)
		r.watch(h)
		time.Sleep(3 * time.Second)
		before, _ := r.got()
		time.Sleep(2 * time.Second)
		if frames, _ := r.got(); frames-before < 30 {
			t.Errorf("%d pictures in two seconds; want them to arrive", frames-before)
		}
		events, _, _ := h.journal.Events(0)
		sized := 0
		for _, e := range events {
			if e.Kind == EventPacketSize.String() {
				sized++
				if e.To != "1000" {
					t.Errorf("packets of %s bytes; want 1000", e.To)
				}
			}
		}
		if sized != 1 {
			t.Errorf("%d events of the size of packets; want one", sized)
		}
		still()
		r.close()
		h.close(t)
		p.close(t)
	})
}
