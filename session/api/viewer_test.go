//go:build integration

package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/peer"

	"github.com/chromedp/chromedp"
)

// tab is a page in the test's browser.
type tab struct {
	ctx context.Context //nolint:containedctx // chromedp's handle of a tab is a context
}

// openBrowser starts Chromium with an empty tab.
func openBrowser(t *testing.T) tab {
	t.Helper()
	flags := []chromedp.ExecAllocatorOption{
		// chromedp owns the profile's folder, and waits for all writers of it.
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns"), chromedp.Flag("window-size", "1440,900"),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
	}
	for _, name := range []string{
		"no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update",
		"disable-sync", "disable-quic",
		"no-first-run", "mute-audio", "disable-dev-shm-usage", "disable-background-timer-throttling",
		"disable-renderer-backgrounding", "disable-backgrounding-occluded-windows",
	} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return tab{ctx}
}

// open opens another tab of the same browser.
func (b tab) open(t *testing.T, url string) tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	return tab{ctx}
}

// eval evaluates an expression, waits for its promise, and reads the result into v.
func (b tab) eval(script string, v any) error {
	ctx, cancel := context.WithTimeout(b.ctx, 120*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		"(async () => JSON.stringify(await ("+script+")) ?? 'null')()", chromedp.EvalAwaitPromise))
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

// until waits in the page until a condition holds.
func (b tab) until(t *testing.T, condition string) {
	t.Helper()
	var last string
	err := b.eval(fmt.Sprintf(`(async () => {
		for (const end = Date.now() + 90000; Date.now() < end; await new Promise((r) => setTimeout(r, 50))) {
			try { if (%s) return "yes"; } catch (e) { /* not yet */ }
		}
		const w = window.wavry, pc = w && w.pc;
		return [document.body.dataset.state, document.body.innerText, pc && pc.connectionState, pc &&
			pc.iceConnectionState,
			JSON.stringify(w && w.session), JSON.stringify(w && w.stats)].join("\n");
	})()`, condition), &last)
	if err != nil || last != "yes" {
		t.Fatalf("waited in vain for %s: %v\n%s", condition, err, last)
	}
}

func (b tab) text(t *testing.T, script string) string {
	t.Helper()
	var s string
	if err := b.eval("(async () => String(await ("+script+")))()", &s); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return s
}

// shoot saves a screenshot if WAVRY_SCREENSHOTS names a folder.
func (b tab) shoot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("WAVRY_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sender is a manager whose sessions are peer connections of a tab.
type sender struct {
	*fakeManager
	tab tab

	mu       sync.Mutex // guards all following fields
	n        int
	trickled []string
	restarts int
	deleted  []string
	refuse   error
}

// newSender starts a browser of its own for the sending page, because a canvas in a hidden tab has no frames.
func newSender(t *testing.T) *sender {
	t.Helper()
	browser := openBrowser(t)
	script, err := os.ReadFile("testdata/sender.js")
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{fakeManager: healthy(), tab: browser}
	var ignored any
	if err := browser.eval("(async () => {"+string(script)+"})()", &ignored); err != nil {
		t.Fatal(err)
	}
	s.state.Displays = append(s.state.Displays, session.DisplayInfo{
		ID: "synthetic", Name: "test card",
		Width: 1920, Height: 1080, State: "idle",
	})
	s.list = nil
	s.create, s.patch, s.end = s.open, s.change, s.hangUp
	return s
}

func (s *sender) call(name, id, arg string) (string, error) {
	a, _ := json.Marshal(arg) // a string always encodes
	var out string
	err := s.tab.eval(fmt.Sprintf("window.%s(%q, %s)", name, id, a), &out)
	return out, err
}

func (s *sender) open(_ context.Context, o session.Offer) (session.Answer, error) {
	s.mu.Lock()
	refused := s.refuse
	s.n++
	id := fmt.Sprintf("session-%d", s.n)
	s.mu.Unlock()
	if refused != nil {
		return session.Answer{}, refused
	}
	sdp, err := s.call("answer", id, o.SDP) //nolint:contextcheck // a tab has a context of its own
	if err != nil {
		return session.Answer{}, err
	}
	now := time.Now()
	s.fakeManager.mu.Lock()
	defer s.fakeManager.mu.Unlock()
	s.list = []session.Snapshot{{
		CeilingOf: "host",
		ID:        id, Display: "x11:0", State: "connected", Role: "operator", Path: "direct", Pointer: "channel",
		Codec: "H264", CodecReason: "preferred",
		Encoder: "libx264", Width: 1280, Height: 720, FPS: 60,
		TargetBitrate: 6_000_000, AchievedBitrate: 5_400_000, RTTSeconds: .0123, QueueSeconds: .0021, Loss: .004,
		Quality: "constrained", Reason: "queue_delay", FramesSent: 5210, KeyframesSent: 2, FramesDropped: 14,
		Transitions: []session.TransitionRecord{
			{
				Seq: 1, At: now.Add(-95 * time.Second), From: "good", To: "degraded", Reason: "loss",
				DwellSeconds: 12.2, Target: 1_200_000,
			},
			{
				Seq: 2, At: now.Add(-52 * time.Second), From: "degraded", To: "constrained", Reason: "probe_ok",
				DwellSeconds: 43,
			},
			{
				Seq: 3, At: now.Add(-30 * time.Second), From: "constrained", To: "good", Reason: "recovered",
				DwellSeconds: 22,
			},
			{
				Seq: 4, At: now.Add(-8 * time.Second), From: "good", To: "constrained", Reason: "queue_delay",
				DwellSeconds: 22,
			},
		},
	}}
	return session.Answer{ID: id, SDP: sdp, ETag: `"first"`}, nil
}

func (s *sender) change(id, ifMatch, fragment string) (session.Patched, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ifMatch == "*" {
		s.restarts++
		answer, err := s.call("restart", id, fragment)
		return session.Patched{SDP: answer, ETag: `"second"`}, err
	}
	if ifMatch != `"first"` && ifMatch != `"second"` {
		return session.Patched{}, peer.ErrStale
	}
	s.trickled = append(s.trickled, fragment)
	_, err := s.call("trickle", id, fragment)
	return session.Patched{ETag: ifMatch}, err
}

func (s *sender) hangUp(id string, _ session.EndReason) error {
	s.mu.Lock()
	s.deleted = append(s.deleted, id)
	s.mu.Unlock()
	s.edit(func(list *[]session.Snapshot) { *list = nil })
	_, err := s.call("hangUp", id, "")
	return err
}

// edit changes what the host says about its sessions.
func (s *sender) edit(f func(list *[]session.Snapshot)) {
	s.fakeManager.mu.Lock()
	defer s.fakeManager.mu.Unlock()
	f(&s.list)
}

func (s *sender) refuseWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

const moreFrames = `(async () => {
	const before = window.wavry.stats.framesDecoded;
	for (const end = Date.now() + 90000; Date.now() < end; await new Promise((r) => setTimeout(r, 50))) {
		if (window.wavry.stats.framesDecoded > before + 10) return true;
	}
	return false;
})()`

// history fills the graph with two minutes of a changing network.
const history = `(() => {
	const list = window.wavry.samples, now = Date.now();
	list.length = 0;
	for (let s = 118; s > 1; s -= 0.75) {
		const bad = s < 95 && s > 52, dip = s < 8;
		const target = bad ? 1.2 : dip ? 6 : s <= 52 ? Math.min(8, 1.2 + (52 - s) * 0.35) : 8;
		list.push({at: now - s * 1000, target, achieved: target * (0.86 + 0.1 * Math.sin(s * 2)),
			received: target * (0.82 + 0.1 * Math.sin(s * 2 + 1)),
			rtt: (bad ? 48 : 12) + 5 * Math.sin(s * 3), queue: bad ? 22 + 9 * Math.sin(s) : 2,
				loss: bad ? 3 + 2 * Math.sin(s * 1.7) : 0.1,
			quality: s > 95 ? "good" : s > 52 ? "degraded" : s > 30 ? "constrained" : s > 8 ? "good" : "constrained"});
	}
	return true;
})()`

func TestViewerPlaysAndRecovers(t *testing.T) {
	browser := openBrowser(t)
	host := newSender(t)
	addr, _ := run(t, Config{}, host)
	page := browser.open(t, "http://"+addr+"/")

	page.until(t, `window.wavry.state === "live" && window.wavry.stats.framesDecoded > 20`)
	page.until(t, `document.getElementById("quality-text").textContent === "constrained"`)
	if got := page.text(t, `window.wavry.session.id + " " + window.wavry.session.etag`); got != `session-1 "first"` {
		t.Errorf("session %s", got)
	}
	if got := page.text(t, `document.getElementById("display").value`); got != "x11:0" {
		t.Errorf("the chooser stands at %q; want the first display", got)
	}
	host.mu.Lock()
	all := strings.Join(host.trickled, "")
	host.mu.Unlock()
	if !strings.Contains(all, "a=candidate:") || !strings.Contains(all, "a=ice-ufrag:") ||
		!strings.Contains(all, "a=mid:0") {
		t.Errorf("candidates were not trickled: %q", all)
	}
	page.shoot(t, "live")

	// What the browser counts as freezes gets to the host.
	page.until(t, `(() => {
		const {pc} = window.wavry, stats = pc.getStats.bind(pc), fetched = window.fetch;
		pc.getStats = async () => new Map([...await stats()].map(([id, s]) => [id, s.type === "inbound-rtp" ?
			{...s, freezeCount: 1000, totalFreezesDuration: 1.25} : s]));
		window.fetch = async (url, options) => {
			const answer = await fetched(url, options);
			if (String(url).endsWith("/viewer") && options.body.includes("1000")) window.reported = answer.status;
			return answer;
		};
		return true;
	})()`)
	page.until(t, `window.reported === 204`)
	host.mu.Lock()
	want := session.ViewerReport{Freezes: 1000, Frozen: 1250 * time.Millisecond}
	if n := len(host.reports); n == 0 || host.reports[n-1] != want {
		t.Errorf("the page reported %v; want %v", host.reports, want)
	}
	host.mu.Unlock()

	// The statistics.
	page.until(t, `(document.dispatchEvent(new KeyboardEvent("keydown", {key: "s", bubbles: true})), true)`)
	_ = page.text(t, history)
	page.until(t, `document.getElementById("figures").innerText.includes("6.00 Mbit/s")`)
	figures := page.text(t, `document.getElementById("overlay").innerText`)
	for _, want := range []string{
		"constrained (queue delay)", "1280 × 720", "5.40 Mbit/s", "12 ms", "0.4 %",
		"libx264", "direct path", "good → constrained",
	} {
		if !strings.Contains(figures, want) {
			t.Errorf("the statistics lack %q:\n%s", want, figures)
		}
	}
	// The quality band has the colors of its states.
	page.until(t, `(() => {
		const c = document.getElementById("graph"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
		const seen = new Set();
		for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) seen.add(d[i] + "," + d[i + 1] + "," + d[i + 2]);
		return ["232,197,71", "240,140,58", "53,194,123"].every((c) => seen.has(c));
	})()`)
	page.shoot(t, "statistics")

	// A still screen, then a lost display.
	host.edit(func(l *[]session.Snapshot) { (*l)[0].Idle = true })
	page.until(t, `!document.getElementById("idle").hidden`)
	host.edit(func(l *[]session.Snapshot) { (*l)[0].Idle, (*l)[0].Frozen = false, true })
	page.until(t, `window.wavry.state === "frozen" &&
		document.getElementById("banner").innerText.includes("display is lost")`)
	page.shoot(t, "frozen")
	host.edit(func(l *[]session.Snapshot) { (*l)[0].Frozen = false })
	page.until(t, `window.wavry.state === "live" && document.getElementById("banner").hidden`)

	// A new path for the same session.
	if got := page.text(t, `window.wavry.restart().then(() => "done", (e) => e.message)`); got != "done" {
		t.Fatalf("ICE restart: %s", got)
	}
	if got := page.text(t, `window.wavry.session.id + " " + window.wavry.session.etag`); got != `session-1 "second"` {
		t.Errorf("session after the ICE restart: %s", got)
	}
	if host.restarts != 1 || page.text(t, moreFrames) != "true" {
		t.Errorf("%d restarts; no frames after it", host.restarts)
	}

	// The operator ends the session: the page opens another.
	if err := host.hangUp("session-1", session.EndOperator); err != nil {
		t.Fatal(err)
	}
	page.until(t, `window.wavry.session.id === "session-2" && window.wavry.state === "live"`)
	if page.text(t, moreFrames) != "true" {
		t.Error("no frames from the second session")
	}

	// Another display, and the address that names it.
	page.until(t, `(() => {
		const d = document.getElementById("display");
		d.value = "synthetic";
		d.dispatchEvent(new Event("change"));
		return location.search === "?display=synthetic";
	})()`)
	page.until(t, `window.wavry.session.id === "session-3" && window.wavry.state === "live"`)
	host.fakeManager.mu.Lock()
	last := host.offers[len(host.offers)-1].Display
	host.fakeManager.mu.Unlock()
	if last != "synthetic" {
		t.Errorf("offered to display %q", last)
	}

	// Leaving ends the session.
	if err := chromedp.Do(page.ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	browser.untilHost(t, func() bool {
		host.mu.Lock()
		defer host.mu.Unlock()
		return strings.Contains(strings.Join(host.deleted, " "), "session-3")
	})
}

// untilHost waits for a condition on the host's side. The browser sets the pace.
func (b tab) untilHost(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
		_ = b.text(t, `await new Promise((r) => setTimeout(r, 50))`)
	}
}

func TestViewerIsRefused(t *testing.T) {
	browser := openBrowser(t)
	host := newSender(t)
	host.refuseWith(fmt.Errorf("%w: 4 of 4 sessions are taken", session.ErrFull))
	addr, _ := run(t, Config{}, host)
	page := browser.open(t, "http://"+addr+"/")

	page.until(t, `window.wavry.state === "refused"`)
	card := page.text(t, `document.getElementById("card").innerText`)
	for _, want := range []string{"The host is full", "4 of 4 sessions are taken", "503 full", "Try again ("} {
		if !strings.Contains(card, want) {
			t.Errorf("the card lacks %q:\n%s", want, card)
		}
	}
	page.shoot(t, "refused")
	host.refuseWith(nil)
	page.until(t, `window.wavry.state === "live"`)

	host.refuseWith(fmt.Errorf("%w: no H.264", peer.ErrUnacceptable))
	_ = page.text(t, `(window.wavry.reconnect(), 1)`)
	page.until(t, `window.wavry.state === "refused" && document.getElementById("retry").textContent === "Try again"`)
	if got := page.text(t, `document.getElementById("card").innerText`); !strings.Contains(got,
		"cannot show the stream") {
		t.Errorf("card %q", got)
	}
}

func TestViewerAsksForTheToken(t *testing.T) {
	browser := openBrowser(t)
	host := newSender(t)
	addr, _ := run(t, Config{Token: "odd+but/allowed=&%#"}, host)
	page := browser.open(t, "http://"+addr+"/")
	page.until(t, `window.wavry.state === "token"`)
	page.shoot(t, "token")
	enter := func(token string) {
		t.Helper()
		_ = page.text(t, fmt.Sprintf(`(() => {
			document.getElementById("token").value = %q;
			document.getElementById("token-form").requestSubmit();
		})()`, token))
	}
	enter("something that is wrong")
	page.until(t, `document.getElementById("card-text").textContent === "That token is not right."`)
	enter("odd+but/allowed=&%#")
	page.until(t, `window.wavry.state === "live"`)

	linked := browser.open(t, "http://"+addr+"/?display=x11%3A0#token=odd+but/allowed=%26%25%23")
	linked.until(t, `window.wavry.state === "live"`)
	if got := linked.text(t, `location.href`); strings.Contains(got, "token") || !strings.Contains(got,
		"display=x11%3A0") {
		t.Errorf("the address is %s; the token must be gone and the display stay", got)
	}
}

func TestViewerObeysItsPolicy(t *testing.T) {
	browser := openBrowser(t)
	host := newSender(t)
	addr, _ := run(t, Config{}, host)
	page := browser.open(t, "about:blank")
	var mu sync.Mutex
	var bad []string
	if err := chromedp.Listen(page.ctx, func(ev any) {
		// Exceptions, policy violations and console errors arrive as events with such names.
		name := fmt.Sprintf("%T", ev)
		text, _ := json.Marshal(ev) // for reading only
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(name, "ExceptionThrown") || strings.Contains(name, "EntryAdded") &&
			strings.Contains(string(text), `"level":"error"`) {
			bad = append(bad, name+string(text))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(page.ctx, chromedp.Navigate("http://"+addr+"/")); err != nil && !errors.Is(err,
		context.Canceled) {
		t.Fatal(err)
	}
	page.until(t, `window.wavry.state === "live"`)
	if got := page.text(t,
		`performance.getEntriesByType("resource").map((e) => e.name)
			.filter((name) => !name.startsWith(location.origin)).join(" ")`); got != "" {
		t.Errorf("requests to other origins: %s", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(bad) > 0 {
		t.Errorf("the page complains: %s", strings.Join(bad, "\n"))
	}
}
