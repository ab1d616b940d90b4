//go:build integration

package endtoend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/jezek/xgb/xproto"
	"github.com/pion/webrtc/v4"
)

// product streams an X display to a viewer at a rate, and returns its main process.
type product struct {
	name, color string
	send        func(t testing.TB, x *xserver, v *browser, bits int) (pid int)
}

// products are compared with each other.
var products = []product{
	{"wavry-host, H.264", "#0072b2", wavry("H264", "never")},
	{"wavry-host, AV1", "#56b4e9", wavry("AV1", "always")},
	{"GStreamer, x264", "#d55e00", webrtcbin},
	{"FFmpeg, x264", "#cc79a7", ffmpegRTP},
	{"Chromium, H.264", "#999999", sharing("H264")},
	{"Chromium, VP9", "#e69f00", sharing("VP9")},
	{"Chromium, AV1", "#009e73", sharing("AV1")},
}

// describe evaluates a script of the viewer that returns a text.
func (b *browser) describe(t testing.TB, script string, arguments ...any) (got string) {
	t.Helper()
	for i, a := range arguments {
		quoted, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		arguments[i] = string(quoted)
	}
	if err := b.eval(fmt.Sprintf(script, arguments...), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// connect gives a viewer's offer to a function that answers.
func (b *browser) connect(t testing.TB, codec string, answer func(offer string) string) {
	t.Helper()
	b.accept(t, answer(b.describe(t, "peer.offer(%s)", codec)))
}

// accept takes the answer to an offer.
func (b *browser) accept(t testing.TB, answer string) {
	t.Helper()
	quoted, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var done bool
	if err := b.eval(fmt.Sprintf("peer.accept(%s)", quoted), &done); err != nil {
		t.Fatal(err)
	}
}

// wavry is this daemon with its default settings, up to the rate.
func wavry(codec, av1 string) func(testing.TB, *xserver, *browser, int) int {
	return func(t testing.TB, x *xserver, v *browser, bits int) int {
		t.Helper()
		rate := strconv.Itoa(bits)
		h := startHost(t, hostOptions{args: []string{
			"--display", x.id(), "displays.bitrate.max=" + rate, "displays.bitrate.start=" + rate, "displays.cursor=false",
			"encoding.av1=" + av1,
		}})
		v.connect(t, codec, func(offer string) string {
			response := h.whep(t, h.token, offer)
			defer response.Body.Close()
			answer, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusCreated {
				t.Fatalf("WHEP: %s, %v: %s", response.Status, err, answer)
			}
			return string(answer)
		})
		if got := h.session(t); !strings.EqualFold(strings.ReplaceAll(got.Codec, ".", ""), codec) {
			t.Fatalf("the codec is %s; want %s", got.Codec, codec)
		}
		return h.Process.Pid
	}
}

// webrtcbin is GStreamer's, behind x264enc.
func webrtcbin(t testing.TB, x *xserver, v *browser, bits int) int {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "testdata/gstreamer_sender.py", strconv.Itoa(bits))
	cmd.Env = append(os.Environ(), "DISPLAY="+x.name())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout = w
	p := start(t, cmd)
	go func() {
		<-p.done
		_ = w.CloseWithError(fmt.Errorf("the sender ended: %w\n%s", p.err, p.out))
	}()
	late := time.AfterFunc(patience, p.kill)
	line, err := bufio.NewReader(r).ReadBytes('\n')
	late.Stop()
	if err != nil {
		t.Fatal(err)
	}
	var offer struct {
		SDP string `json:"sdp"`
	}
	if err := json.Unmarshal(line, &offer); err != nil {
		t.Fatal(err)
	}
	offer.SDP = v.describe(t, "peer.answer(%s)", offer.SDP)
	if err := json.NewEncoder(stdin).Encode(offer); err != nil {
		t.Fatal(err)
	}
	return p.Process.Pid
}

// ffmpegRTP is FFmpeg's command line. It sends RTP, which a peer connection of the test hands on.
func ffmpegRTP(t testing.TB, x *xserver, v *browser, bits int) int {
	t.Helper()
	need(t, "ffmpeg")
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	_ = socket.SetReadBuffer(4 << 20)
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
		SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}, "video", "ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pc.AddTrack(track); err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	answer := v.describe(t, "peer.answer(%s)", pc.LocalDescription().SDP)
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	<-connected
	go func() {
		packet := make([]byte, 2048)
		for {
			n, err := socket.Read(packet)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = track.Write(packet[:n])
			}
		}
	}()
	args := x264(bits)
	args = append([]string{
		"-hide_banner", "-nostdin", "-loglevel", "error", "-f", "x11grab", "-draw_mouse", "0", "-framerate", "60",
		"-video_size", fmt.Sprintf("%dx%d", x.width, x.height), "-i", x.name(),
	}, args[:len(args)-3]...)
	args = append(args, "-f", "rtp", fmt.Sprintf("rtp://%s?pkt_size=1200", socket.LocalAddr()))
	return start(t, exec.Command("ffmpeg", args...)).Process.Pid
}

// sharing is Chromium's own screen sharing. Its window is at the corner of the screen, all but a pixel outside.
func sharing(codec string) func(testing.TB, *xserver, *browser, int) int {
	return func(t testing.TB, x *xserver, v *browser, bits int) int {
		t.Helper()
		b := startChromium(t, peerPage(t),
			chromedp.Flag("headless", false), chromedp.Env("DISPLAY="+x.name()), chromedp.Flag("ozone-platform", "x11"),
			chromedp.Flag("auto-select-desktop-capture-source", "Entire screen"),
			chromedp.Flag("window-position", fmt.Sprintf("%d,%d", x.width-1, x.height-1)),
		)
		page := b.page.(chromium)
		ctx, cancel := context.WithTimeout(page.ctx, patience)
		defer cancel()
		offer, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("peer.share(%q, %d)", codec, bits),
			chromedp.EvalAwaitPromise, func(p *runtime.EvaluateParams) { yes := true; p.UserGesture = &yes }))
		if err != nil {
			t.Fatalf("share the screen: %v", err)
		}
		x.hideBar(t)
		answer := v.describe(t, "peer.answer(%s)", offer)
		b.accept(t, startingAt(answer, bits))
		return chromedp.FromContext(page.ctx).Browser.Process().Pid
	}
}

// startingAt has Chromium start at a rate. Without it, its estimate takes a minute to rise.
func startingAt(description string, bits int) string {
	return regexp.MustCompile(`a=fmtp:[^\r\n]*`).ReplaceAllStringFunc(description, func(line string) string {
		if strings.Contains(line, " apt=") { // of retransmissions
			return line
		}
		return fmt.Sprintf("%s;x-google-start-bitrate=%d", line, bits/1000)
	})
}

// hideBar removes the bar with which Chromium says that it shares the screen.
func (x *xserver) hideBar(t testing.TB) {
	t.Helper()
	c, err := dialX(x.name())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, patience, "Chromium shows its bar", func() error {
		shown, err := mapped(c)
		if err != nil {
			return err
		}
		for _, w := range shown {
			at, err := xproto.GetGeometry(c, xproto.Drawable(w)).Reply()
			if err == nil && at.Height >= 20 && at.Height <= 120 && at.Width >= 200 {
				return xproto.UnmapWindowChecked(c, w).Check()
			}
		}
		return errNotYet
	})
}
