//go:build integration

package endtoend

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// The page counts down to the end of a session by a drain, and the user postpones the end as far as the drain allows.
func TestCountdownInChromium(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.waitWindows(t, 2)
	h := startHost(t, hostOptions{args: []string{"--display", x.id()}})
	b := openBrowser(t, "", h.url+"/#token="+h.token)
	b.waitFrames(t, 1, patience)
	shown := func() (when, note, button string) {
		var texts []string
		err := b.eval(`["ending", "ending-time", "ending-note", "postpone"].map((id) => {
			const e = document.getElementById(id);
			return e.checkVisibility() ? e.textContent.trim() : "";
		})`, &texts)
		if err != nil || len(texts) != 4 {
			t.Fatalf("the page has %q, %v", texts, err)
		}
		return texts[1], texts[2], texts[3]
	}
	if when, _, _ := shown(); when != "" {
		t.Errorf("without a drain the page shows %q", when)
	}
	status, body, err := h.send(http.MethodPut, "/v1/drain",
		`{"policy": "wait", "deadline_seconds": 600, "postpone_seconds": 310, "note": "New disks at noon."}`)
	if err != nil || status != http.StatusOK {
		t.Fatalf("PUT drain: status %d, %v: %s", status, err, body)
	}
	wait := func(what, when, button string) {
		t.Helper()
		eventually(t, patience, what, func() error {
			gotTime, note, gotButton := shown()
			if !strings.HasPrefix(gotTime, when) || note != "New disks at noon." || gotButton != button {
				return fmt.Errorf("%q, %q, %q", gotTime, note, gotButton)
			}
			return nil
		})
	}
	wait("the countdown", "This session ends in 9:", "5 more minutes")
	if screenshots != "" {
		b.screenshot(t, filepath.Join(screenshots, "countdown.png"))
	}
	click := func() {
		t.Helper()
		if err := b.eval(`document.getElementById("postpone").click() || true`, new(bool)); err != nil {
			t.Fatal(err)
		}
	}
	click()
	wait("the postponed end", "This session ends in 14:", "10 more seconds")
	click()
	wait("the latest end", "This session ends in 1", "")
	h.waitLog(t, `"reason":"postponed"`)

	if status, body, err := h.send(http.MethodPut, "/v1/drain",
		`{"policy": "end", "deadline_seconds": 3}`); err != nil || status != http.StatusOK {
		t.Fatalf("PUT drain: status %d, %v: %s", status, err, body)
	}
	eventually(t, patience, "the page says that the host accepts no new viewers", func() error {
		var title string
		if err := b.eval(`document.getElementById("card-title").textContent`, &title); err != nil {
			return err
		}
		if title != "The host accepts no new viewers" {
			return fmt.Errorf("it says %q", title)
		}
		return nil
	})
}
