//go:build !race

// See drain_test.go for why.

package session

import (
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
)

func TestRuleBoundsThePicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openCrowd(t, 1, func(c *Config) {
			c.Rules = []Rule{{Display: "test", FPS: 10, MaxWidth: 320, MaxHeight: 320, MaxBitrate: 200_000}}
		})
		defer c.leave(t)
		time.Sleep(15 * time.Second)
		s, err := c.Session(c.remotes[0].id)
		if err != nil || s.Width > 320 || s.Width < 300 || s.FPS > 11 {
			t.Errorf("%dx%d at %.0f, %v; want 320 wide at 10", s.Width, s.Height, s.FPS, err)
		}
		before := c.remotes[0].bytes()
		time.Sleep(5 * time.Second)
		if rate := (c.remotes[0].bytes() - before) * 8 / 5; rate > 240_000 || rate < 100_000 {
			t.Errorf("%d bit/s under a rule of 200000", rate)
		}
		p := c.registry.capacity.request(Display{ID: "test", Width: 1920, Height: 1080}, 0, encode.H264).Profile
		if p.Width != 320 || p.FPS != 10 || p.BitsPerSecond > 200_000 {
			t.Errorf("the profile that is assumed is %v at %d bit/s", p, p.BitsPerSecond)
		}
	})
}
