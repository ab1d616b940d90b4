//go:build integration

package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/encode/ffmpeg/standin"
	"wavryhost/platform/kms"
	"wavryhost/platform/kms/drm"
	"wavryhost/platform/kms/kmstest"
)

// desktopOnCard is the desktop of a fake graphics card. Its compositor flips between two buffers.
type desktopOnCard struct {
	card    *kmstest.Card
	buffers [2]uint32
	shown   int
	pix     []byte // of the shown picture
}

const cardWidth, cardHeight = 1280, 720

// newDesktopOnCard returns a desktop whose buffers are in rows or in tiles.
func newDesktopOnCard(t *testing.T, tiles bool) *desktopOnCard {
	t.Helper()
	d := &desktopOnCard{card: kmstest.New(t, cardWidth, cardHeight)}
	for i := range d.buffers {
		if tiles {
			d.buffers[i] = d.card.AddTiled(t, cardWidth, cardHeight)
		} else {
			d.buffers[i] = d.card.Add(t, cardWidth, cardHeight, drm.FormatXRGB8888, 4*cardWidth)
		}
	}
	d.flip(0)
	return d
}

// flip draws picture n into the buffer that is not shown, and shows it.
func (d *desktopOnCard) flip(n int) {
	pix := make([]byte, 4*cardWidth*cardHeight)
	for y := range cardHeight {
		for x := range cardWidth {
			p := pix[4*(y*cardWidth+x):]
			p[0], p[1], p[2] = byte(255*x/cardWidth), byte(255*y/cardHeight), byte(200-100*x/cardWidth)
			if at := 40 * n % (cardWidth - 160); x >= at && x < at+160 && y >= 280 && y < 440 {
				p[0], p[1], p[2] = 30, 220, 40
			}
		}
	}
	d.shown = 1 - d.shown
	d.card.Draw(d.buffers[d.shown], pix)
	d.card.Set(0, func(o *kmstest.Output) { o.FB = d.buffers[d.shown] })
	d.pix = pix
}

// run flips until the returned function is called.
func (d *desktopOnCard) run() (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Second / 30)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			case <-tick.C:
				d.flip(n)
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

// waitShown waits until the browser shows the desktop, which must stand still.
func (d *desktopOnCard) waitShown(t *testing.T, b *browser) {
	t.Helper()
	b.waitLuma(t, func(columns, rows int) []float64 {
		return lumaOfCells(d.pix, cardWidth, cardHeight, columns, rows)
	})
}

// cardHost runs a daemon that captures a card by its helper and encodes on a device. The helper's socket is where only
// the daemon has it.
func cardHost(t *testing.T, desktop *desktopOnCard, d standin.Device) *host {
	t.Helper()
	needNamespaces(t)
	helper := kmstest.Serve(t, nil, desktop.card)
	program := filepath.Join(t.TempDir(), "host")
	script := fmt.Sprintf(`#!/bin/sh
exec unshare --mount sh -ec '
	mount -t tmpfs tmpfs /run
	mkdir %[1]s
	: >%[2]s
	mount --bind "$0" %[2]s
	exec "$@"
' %[3]s %[4]s "$@"
`, filepath.Dir(kms.Socket), kms.Socket, helper.Socket, hostBinary)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return startHost(t, hostOptions{
		program: program, env: standin.Env(t),
		args: []string{
			"--display", "kms:" + desktop.card.Name + "@HDMI-A-1", "encoding.vaapi_device=" + d.Path,
			"displays.bitrate.max=6M",
		},
	})
}

// watchCard shows the desktop of a card to a browser, by an encoder of the device.
func watchCard(t *testing.T, tiles bool) (*desktopOnCard, standin.Device, *host, *browser) {
	t.Helper()
	desktop, d := newDesktopOnCard(t, tiles), standin.New(t, onlyH264)
	h := cardHost(t, desktop, d)
	b := openBrowser(t, "", h.page(""))
	desktop.waitShown(t, b)
	h.waitEncoder(t, "h264_vaapi")
	return desktop, d, h, b
}

// The pictures of a desktop on a graphics card come to the browser without a copy to main memory, also those in tiles,
// which only the card can read.
func TestDesktopOnAGraphicsCardWithoutACopy(t *testing.T) {
	for name, tiles := range map[string]bool{"rows": false, "tiles": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			desktop, d, h, b := watchCard(t, tiles)
			before := d.Counts(t)
			stop := desktop.run()
			eventually(t, patience, "30 pictures are imported", func() error {
				if n := d.Counts(t).Imports - before.Imports; n < 30 {
					return fmt.Errorf("%d are", n)
				}
				return nil
			})
			stop()
			desktop.waitShown(t, b)
			after := d.Counts(t)
			if after.Maps != before.Maps {
				t.Errorf("the device counted %+v before and %+v after 30 imports; want no map", before, after)
			}
			if n := h.metric(t, `wavry_host_surface_frames_total{memory="dma-buf"}`); n < 30 {
				t.Errorf("counted %v surfaces", n)
			}
			if n := h.metric(t, "wavry_host_encoder_fallbacks_total"); n != 0 {
				t.Errorf("%v encoders were replaced", n)
			}
		})
	}
}

// A card that stops to read surfaces gets the pictures from main memory, in the same track. Pictures in tiles cannot be
// had there: the display is lost and says why.
func TestDesktopOnAGraphicsCardThatReadsNoSurfaces(t *testing.T) {
	for name, tiles := range map[string]bool{"rows": false, "tiles": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			desktop, d, h, b := watchCard(t, tiles)
			id := h.session(t).ID
			stop := desktop.run()
			b.waitFrames(t, 30, patience)
			d.Set(t, onlyH264, "import=none")
			h.waitMetric(t, `wavry_host_encoder_fallbacks_total{codec="H264",from="h264_vaapi",reason="surface"`, 1)
			if tiles {
				eventually(t, patience, "the display says why it is lost", func() error {
					_, body, err := h.request("GET", "/v1/displays")
					if err == nil && !strings.Contains(string(body), "in tiles") {
						err = fmt.Errorf("it says %s", body)
					}
					return err
				})
				stop()
				return
			}
			b.waitFrames(t, 60, patience)
			stop()
			desktop.waitShown(t, b)
			if s := h.session(t); s.ID != id || s.Encoder != "h264_vaapi" {
				t.Errorf("session %s with %s; want %s with h264_vaapi", s.ID, s.Encoder, id)
			}
		})
	}
}
