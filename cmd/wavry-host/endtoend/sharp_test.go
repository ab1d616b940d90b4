//go:build integration

package endtoend

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// pages records a viewer's pictures and when each was complete.
type pages struct {
	codec string // of the MIME type
	begun time.Time

	mu      sync.Mutex
	packets []*rtp.Packet
	at      []time.Duration
}

func (p *pages) take(packet *rtp.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packets = append(p.packets, packet)
	p.at = append(p.at, time.Since(p.begun))
}

// watchPage joins a viewer with a codec.
func watchPage(tb testing.TB, h *host, codec string, udp net.PacketConn) (*pages, *audience) {
	tb.Helper()
	p := &pages{codec: codec, begun: time.Now()}
	a := prepared(tb, udp, p.take)
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		tb.Fatal(err)
	}
	var wanted []webrtc.RTPCodecParameters
	for _, c := range a.pc.GetTransceivers()[0].Receiver().GetParameters().Codecs {
		if c.MimeType == codec {
			wanted = append(wanted, c)
		}
	}
	if err := a.pc.GetTransceivers()[0].SetCodecPreferences(wanted); err != nil {
		tb.Fatal(err)
	}
	a.join(tb, h, "default")
	return p, a
}

// units returns the access units and their arrival times.
func (p *pages) units(tb testing.TB) (units [][]byte, at []time.Duration) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var parser interface {
		Unmarshal([]byte) ([]byte, error)
	} = new(codecs.H264Packet)
	if p.codec == webrtc.MimeTypeVP9 {
		parser = new(codecs.VP9Packet)
	}
	var unit []byte
	for i, packet := range p.packets {
		if len(packet.Payload) == 0 { // padding
			continue
		}
		part, err := parser.Unmarshal(packet.Payload)
		if err != nil {
			tb.Fatalf("packet %d: %v", i, err)
		}
		if unit = append(unit, part...); packet.Marker {
			units, at, unit = append(units, unit), append(at, p.at[i]), nil
		}
	}
	return units, at
}

// file writes access units for FFmpeg to decode: VP9 in IVF, H.264 as a byte stream.
func (p *pages) file(units [][]byte, size image.Point) []byte {
	if p.codec != webrtc.MimeTypeVP9 {
		return bytes.Join(units, nil)
	}
	out := append([]byte("DKIF"), 0, 0, 32, 0)
	out = append(out, "VP90"...)
	out = binary.LittleEndian.AppendUint16(out, uint16(size.X))
	out = binary.LittleEndian.AppendUint16(out, uint16(size.Y))
	out = append(out, 60, 0, 0, 0, 1, 0, 0, 0)
	out = append(binary.LittleEndian.AppendUint32(out, uint32(len(units))), 0, 0, 0, 0)
	for i, unit := range units {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(unit)))
		out = append(binary.LittleEndian.AppendUint64(out, uint64(i)), unit...)
	}
	return out
}

// sharpness returns the luma PSNR of each received picture against the page, and its arrival time.
func (p *pages) sharpness(tb testing.TB, page []byte, size image.Point) (db []float64, at []time.Duration) {
	tb.Helper()
	n := size.X * size.Y
	at = p.decode(tb, size, func(picture []byte) {
		sum := 0
		for i, want := range page {
			d := int(picture[i]) - int(want)
			sum += d * d
		}
		db = append(db, 10*math.Log10(255*255*float64(n)/float64(max(sum, 1))))
	})
	return db, at
}

// decode calls f with the luma of each received picture, and returns their arrival times.
func (p *pages) decode(tb testing.TB, size image.Point, show func(luma []byte)) []time.Duration {
	tb.Helper()
	units, at := p.units(tb)
	name := filepath.Join(tb.TempDir(), "units")
	if err := os.WriteFile(name, p.file(units, size), 0o600); err != nil {
		tb.Fatal(err)
	}
	form := "h264"
	if p.codec == webrtc.MimeTypeVP9 {
		form = "ivf"
	}
	cmd := exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-f", form, "-i", name,
		"-pix_fmt", "yuv420p", "-vsync", "passthrough", "-f", "rawvideo", "-")
	complaints := new(output)
	cmd.Stderr = complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	n, shown := size.X*size.Y, 0
	for picture := make([]byte, n*3/2); ; shown++ {
		if _, err := io.ReadFull(out, picture); err != nil {
			break
		}
		show(picture[:n])
	}
	if err := cmd.Wait(); err != nil {
		tb.Fatalf("ffmpeg: %v\n%s", err, tail(complaints.String(), 2000))
	}
	if shown != len(units) {
		tb.Fatalf("%d of %d access units are pictures: %s", shown, len(units), tail(complaints.String(), 2000))
	}
	return at
}

// page fills the screen with a terminal full of small text, waits until it stands still, and returns its luma.
func (x *xserver) page(tb testing.TB) []byte {
	tb.Helper()
	x.program(tb, "xterm", "-geometry", fmt.Sprintf("%dx%d+0+0", x.width/6, x.height/13), "-fn", "fixed", "-b",
		"0", "-e", "sh", "-c",
		"cat ../../../docs/develop/adaptation.md ../../../LICENSE | tail -n 200; exec sleep 1000")
	x.waitWindows(tb, 1)
	var before []byte
	eventually(tb, patience, "the page stands still", func() error {
		time.Sleep(300 * time.Millisecond) // an X client says nothing when it has drawn
		cmd := exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-f", "x11grab",
			"-draw_mouse", "0",
			"-video_size", fmt.Sprintf("%dx%d", x.width, x.height), "-i", x.name(), "-frames:v", "1",
			"-pix_fmt", "bgr0", "-f", "rawvideo", "-")
		now, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("grab the screen: %w", err)
		}
		still := bytes.Equal(before, now) && slices.Max(now) > 100
		if before = now; !still {
			return errNotYet
		}
		return nil
	})
	page := make([]byte, x.width*x.height)
	luma(page, before, 4*x.width, x.width, x.height)
	return page
}

// firstOver returns the time of the first picture with at least the given PSNR in dB.
func firstOver(db []float64, at []time.Duration, least float64) (time.Duration, bool) {
	i := slices.IndexFunc(db, func(v float64) bool { return v >= least })
	if i < 0 {
		return 0, false
	}
	return at[i], true
}

// A viewer that joins a still page of text can read it at once, with the default settings on a free path. So can a
// second viewer, and the first is not left with the newcomer's keyframe. The bounds are numbers of pictures, of which
// there are 60 a second unless the machine is busy. BenchmarkStillPage has the times.
func TestStillPageIsSharpAtOnce(t *testing.T) {
	most := map[string]int{webrtc.MimeTypeH264: 60, webrtc.MimeTypeVP9: 90}
	size := image.Pt(1280, 720)
	x := startX(t, 0, size.X, size.Y)
	page := x.page(t)
	for _, codec := range []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP9} {
		t.Run(filepath.Base(codec), func(t *testing.T) {
			h := startHost(t, hostOptions{args: []string{"--display", x.id(), "displays.cursor=false"}})
			first, a := watchPage(t, h, codec, loopback(t))
			h.waitMetric(t, `wavry_host_still_pictures_total{kind="keep_alive"}`, 1) // it is sharp
			joins := time.Since(first.begun)
			second, b := watchPage(t, h, codec, loopback(t))
			h.waitMetric(t, `wavry_host_still_pictures_total{kind="keep_alive"}`, 3)
			a.leave(t, h)
			b.leave(t, h)
			h.stop(t)
			for i, p := range []*pages{first, second} {
				db, at := p.sharpness(t, page, size)
				n := slices.IndexFunc(db, func(v float64) bool { return v >= 40 }) + 1
				t.Logf("viewer %d: first picture after %v with %.1f dB, 40 dB in picture %d of %d, %.1f dB at last",
					i+1, at[0], db[0], n, len(db), db[len(db)-1])
				if n == 0 || n > most[codec] || db[len(db)-1] < 45 {
					t.Errorf("viewer %d: 40 dB in picture %d, %.1f dB at last; want 40 dB within %d pictures, and 45",
						i+1, n, db[len(db)-1], most[codec])
				}
				if codec == webrtc.MimeTypeH264 && db[0] < 30 {
					t.Errorf("viewer %d: the first picture has %.1f dB; want 30, since the path is local", i+1, db[0])
				}
				again := slices.IndexFunc(at, func(d time.Duration) bool { return d > joins })
				if i == 0 && slices.Max(db[again:]) < 45 {
					t.Errorf("viewer 1 has %.1f dB at most after the other came", slices.Max(db[again:]))
				}
			}
		})
	}
}

// BenchmarkStillPage measures how soon a viewer that joins a still page of text can read it, with the default settings
// on loopback, and what the still screen costs the daemon afterwards.
func BenchmarkStillPage(b *testing.B) {
	for _, size := range []image.Point{{1280, 720}, {1920, 1080}} {
		x := startX(b, 0, size.X, size.Y)
		page := x.page(b)
		for _, codec := range []string{webrtc.MimeTypeH264, webrtc.MimeTypeVP9} {
			b.Run(fmt.Sprintf("%dp/%s", size.Y, filepath.Base(codec)), func(b *testing.B) {
				for range b.N {
					h := startHost(b, hostOptions{args: []string{"--display", x.id(), "displays.cursor=false"}})
					p, a := watchPage(b, h, codec, loopback(b))
					h.waitMetric(b, `wavry_host_still_pictures_total{kind="keep_alive"}`, 1)
					const still = 10 * time.Second
					before := processor(b, h.Process.Pid)
					<-time.After(still)
					used := processor(b, h.Process.Pid) - before
					a.leave(b, h)
					h.stop(b)
					db, at := p.sharpness(b, page, size)
					when, ok := firstOver(db, at, 40)
					if !ok {
						b.Fatalf("%.1f dB at last", db[len(db)-1])
					}
					b.ReportMetric(millis(at[0]), "ms-first")
					b.ReportMetric(db[0], "dB-first")
					b.ReportMetric(millis(when), "ms-40dB")
					b.ReportMetric(db[len(db)-1], "dB-last")
					b.ReportMetric(100*used.Seconds()/still.Seconds(), "%-still")
				}
			})
		}
		x.kill()
	}
}
