//go:build integration

package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// firefoxPrefs are the settings for an unattended page: candidates that are reachable on this machine, video without a
// click, and no calls home.
const firefoxPrefs = `
user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
user_pref("media.peerconnection.ice.loopback", true);
user_pref("media.autoplay.default", 0);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.systemAddon.update.enabled", false);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("services.settings.server", "data:,#remote-settings-dummy/v1");
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("browser.startup.homepage_override.mstone", "ignore");
`

// firefox is a page of Firefox, driven by WebDriver BiDi, which Firefox supports without a driver program.
type firefox struct {
	conn *websocket.Conn
	tab  string
	last int
}

// openFirefox starts a headless Firefox with a profile of its own and opens url.
func openFirefox(t testing.TB, url string) *browser {
	t.Helper()
	need(t, "firefox-esr")
	home := t.TempDir()
	profile := filepath.Join(home, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("firefox-esr", "--headless", "--no-remote", "--profile", profile, "--width", "1280",
		"--height", "800",
		"--remote-debugging-port", "0", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+home, "MOZ_CRASHREPORTER_DISABLE=1", "MOZ_DISABLE_AUTO_SAFE_MODE=1")
	p := start(t, cmd)
	listening := regexp.MustCompile(`WebDriver BiDi listening on (ws://[^\s]+)`)
	f := &firefox{}
	eventually(t, patience, "Firefox can be driven", func() error {
		select {
		case <-p.done:
			t.Fatalf("Firefox ended: %v", p.err)
		default:
		}
		found := listening.FindStringSubmatch(p.out.String())
		if found == nil {
			return errNotYet
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		conn, response, err := websocket.Dial(ctx, found[1]+"/session", nil)
		if err != nil {
			return err
		}
		if response.Body != nil {
			_ = response.Body.Close()
		}
		f.conn = conn
		return nil
	})
	t.Cleanup(func() { _ = f.conn.CloseNow() })
	f.conn.SetReadLimit(64 << 20) // a screenshot
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.call(ctx, "session.new", map[string]any{"capabilities": map[string]any{}}, nil); err != nil {
		t.Fatal(err)
	}
	var tree struct {
		Contexts []struct{ Context string }
	}
	if err := f.call(ctx, "browsingContext.getTree", map[string]any{}, &tree); err != nil || len(tree.Contexts) == 0 {
		t.Fatalf("Firefox has %d tabs: %v", len(tree.Contexts), err)
	}
	f.tab = tree.Contexts[0].Context
	if err := f.call(ctx, "browsingContext.navigate", map[string]any{
		"context": f.tab, "url": url,
		"wait": "complete",
	}, nil); err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	return &browser{f}
}

// call sends one command and waits for its result. It discards events in between: nothing subscribes to them.
func (f *firefox) call(ctx context.Context, method string, params, result any) error {
	f.last++
	id := f.last
	if err := wsjson.Write(ctx, f.conn, map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	for {
		var answer struct {
			ID             int
			Type           string
			Result         json.RawMessage
			Error, Message string
		}
		if err := wsjson.Read(ctx, f.conn, &answer); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		switch {
		case answer.ID != id:
			continue
		case answer.Type != "success":
			return fmt.Errorf("%s: %s: %s", method, answer.Error, answer.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	}
}

func (f *firefox) evaluate(ctx context.Context, script string) (string, error) {
	var got struct {
		Type             string
		Result           struct{ Value any }
		ExceptionDetails struct{ Text string }
	}
	err := f.call(ctx, "script.evaluate", map[string]any{
		"expression": script, "target": map[string]any{"context": f.tab}, "awaitPromise": true,
	}, &got)
	switch {
	case err != nil:
		return "", err
	case got.Type != "success":
		return "", errors.New(got.ExceptionDetails.Text)
	}
	text, _ := got.Result.Value.(string)
	return text, nil
}

func (f *firefox) screenshot(ctx context.Context) ([]byte, error) {
	var got struct{ Data []byte }
	err := f.call(ctx, "browsingContext.captureScreenshot", map[string]any{"context": f.tab}, &got)
	return got.Data, err
}

// Debian's Firefox has no H.264, since it downloads OpenH264.
func TestDesktopInFirefox(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id(), "displays.cursor=false"}})
	b := openFirefox(t, h.page(""))

	b.waitFrames(t, 1, patience)
	b.waitPicture(t, x)
	s := h.session(t)
	if s.Codec != "VP9" || s.Encoder != "libvpx-vp9" {
		t.Errorf("the session is of %s by %s; want VP9 by libvpx-vp9", s.Codec, s.Encoder)
	}

	x.moving(t)
	b.waitFrames(t, 60, patience)
	h.waitSize(t, x, b.size)
	if screenshots != "" {
		var clicked bool
		if err := b.eval(`(document.getElementById("stats-button").click(), true)`, &clicked); err != nil {
			t.Fatal(err)
		}
		b.waitFrames(t, 100, patience) // for curves to look at
		b.screenshot(t, filepath.Join(screenshots, "viewer-firefox.png"))
	}

	before := h.session(t).KeyframesSent
	if status, body, err := h.request("POST", "/v1/sessions/"+s.ID+"/keyframe"); err != nil || status/100 != 2 {
		t.Fatalf("ask for a keyframe: status %d: %s, %v", status, body, err)
	}
	eventually(t, patience, "the keyframe is sent", func() error {
		if h.session(t).KeyframesSent == before {
			return errNotYet
		}
		return nil
	})
	b.waitFrames(t, 20, patience)

	if status, body, err := h.request("DELETE", "/v1/sessions/"+s.ID); err != nil || status/100 != 2 {
		t.Fatalf("end the session: status %d: %s, %v", status, body, err)
	}
	eventually(t, patience, "the page opens another session", func() error {
		list, err := h.sessions()
		if err == nil && (len(list) != 1 || list[0].ID == s.ID || list[0].State != "connected") {
			err = fmt.Errorf("sessions %+v", list)
		}
		return err
	})
	b.waitFrames(t, 5, patience)
}

// Two browsers with different codecs watch one display.
func TestTwoBrowsersOfTwoCodecs(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	h := startHost(t, hostOptions{args: []string{"--display", x.id(), "displays.cursor=false"}})
	pages := []*browser{openBrowser(t, "", h.page("")), openFirefox(t, h.page(""))}
	for _, b := range pages {
		b.waitPicture(t, x)
	}
	codecs := map[string]int{}
	list, err := h.sessions()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		codecs[s.Codec]++
	}
	if len(list) != 2 || codecs["H264"] != 1 || codecs["VP9"] != 1 {
		t.Errorf("the sessions are of %v; want one of H264 and one of VP9", codecs)
	}
	if n := h.metric(t, "wavry_host_encodings "); n != 2 {
		t.Errorf("%v encodings; want 2", n)
	}
	x.moving(t)
	for _, b := range pages {
		b.waitFrames(t, 30, patience)
	}
}
