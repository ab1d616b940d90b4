//go:build integration

package endtoend

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/platform/desktop"
)

// desks is a daemon with a group of two virtual displays, which is the default display.
type desks struct {
	*host
	socket string
}

// startDesks starts the daemon. Each display begins with a white picture.
func startDesks(t *testing.T, keep time.Duration) desks {
	t.Helper()
	need(t, "Xvfb", "xsetroot")
	dir, err := os.MkdirTemp("", "wavry-desks-")
	if err != nil {
		t.Fatal(err)
	}
	d := desks{socket: filepath.Join(dir, "control.sock")}
	t.Cleanup(func() {
		_ = exec.Command(hostBinary, "desktop", "end", "--socket", d.socket).Run() // there may be none by now
		_ = os.RemoveAll(dir)
	})
	file := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`
displays:
  default: virtual:desk
  cursor: false
  virtual_socket: %s
  virtual:
    - name: desk
      count: 2
      size: 320x240
      keep: %v
      programs: ["sh -c 'xsetroot -solid white; exec sleep 10000'"]
`, d.socket, keep)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.host = startHost(t, hostOptions{
		args: []string{"--config", file, "displays.virtual_socket=" + d.socket}, env: []string{"DISPLAY="},
	})
	return d
}

// running returns the virtual displays that run, by ID.
func (d desks) running(t *testing.T) map[string]desktop.Status {
	t.Helper()
	out, err := exec.Command(hostBinary, "desktop", "status", "--json", "--socket", d.socket).Output()
	all := make(map[string]desktop.Status)
	if err != nil {
		return all // none runs
	}
	var list struct{ Displays []desktop.Status }
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("desktop status: %v: %s", err, out)
	}
	for _, s := range list.Displays {
		all[s.ID] = s
	}
	return all
}

// paint gives a display a color, as a person on it could.
func (d desks) paint(t *testing.T, id, color string) {
	t.Helper()
	s := d.running(t)[id]
	cmd := exec.Command("xsetroot", "-solid", color)
	cmd.Env = append(os.Environ(), "DISPLAY="+s.Display, "XAUTHORITY="+s.Authority)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("xsetroot on %s: %v: %s", id, err, out)
	}
}

// waitBrightness waits until a receiver shows an even picture of a brightness.
func waitBrightness(t *testing.T, r *receiver, want float64) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("a picture of brightness %.0f", want), func() error {
		got, err := r.report(t)
		if err != nil {
			return err
		}
		for _, luma := range got.Luma {
			if math.Abs(luma-want) > 12 {
				return fmt.Errorf("a part of %.0f", luma)
			}
		}
		if len(got.Luma) == 0 {
			return errNotYet
		}
		return nil
	})
}

// Two viewers of a group get different displays, and a third one is refused. A display that was left ends after its
// time, and nothing of what was done on it is left for the next viewer.
func TestGroupOfVirtualDisplays(t *testing.T) {
	t.Parallel()
	d := startDesks(t, 2*time.Second)
	if n := len(d.running(t)); n != 0 {
		t.Errorf("%d displays run before anybody requests one", n)
	}
	shows := func(t *testing.T, want ...string) {
		t.Helper()
		list, err := d.sessions()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list {
			got = append(got, s.Display)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("the sessions show %q; want %q", got, want)
		}
	}
	first := startReceiver(t, aiortc, "", d.host)
	waitBrightness(t, first, 255)
	second := startReceiver(t, aiortc, "", d.host)
	waitBrightness(t, second, 255)
	shows(t, "virtual:desk-1", "virtual:desk-2")
	d.paint(t, "virtual:desk-1", "#404040")
	d.paint(t, "virtual:desk-2", "#a0a0a0")
	waitBrightness(t, first, 0x40)
	waitBrightness(t, second, 0xa0)

	for name, ask := range map[string]func() (int, []byte, error){
		"a reservation": func() (int, []byte, error) {
			return d.send(http.MethodPost, "/v1/reservations", `{"display": "virtual:desk"}`)
		},
		"an offer": func() (int, []byte, error) {
			offer := prepared(t, loopback(t), nil).offer(t)
			body, err := json.Marshal(map[string]string{"sdp": offer.SDP})
			if err != nil {
				t.Fatal(err)
			}
			return d.send(http.MethodPost, "/v1/sessions", string(body))
		},
	} {
		status, body, err := ask()
		if err != nil || status != http.StatusServiceUnavailable ||
			!strings.Contains(string(body), "all 2 displays of virtual:desk are in use") {
			t.Errorf("%s for a third viewer: status %d, %v: %s", name, status, err, body)
		}
	}

	before := d.running(t)["virtual:desk-1"]
	first.leave(t)
	eventually(t, patience, "the first display has ended", func() error {
		if s, ok := d.running(t)["virtual:desk-1"]; ok {
			return fmt.Errorf("it runs on %s, with %d daemons", s.Display, s.Daemons)
		}
		return nil
	})
	third := startReceiver(t, aiortc, "", d.host)
	waitBrightness(t, third, 255)
	shows(t, "virtual:desk-2", "virtual:desk-1")
	if after := d.running(t)["virtual:desk-1"]; !after.Started.After(before.Started) ||
		after.Authority == before.Authority {
		t.Errorf("the display is %+v; before it was %+v", after, before)
	}
	waitBrightness(t, second, 0xa0) // it is as it was
	third.leave(t)
	second.leave(t)
	d.waitEmpty(t)
}

// The viewer page offers the group. After the end of its session it returns to its display, as it was left.
func TestPageReturnsToItsDisplay(t *testing.T) {
	t.Parallel()
	d := startDesks(t, 5*time.Minute)
	b := openBrowser(t, "", d.page("?display=virtual:desk"))
	b.waitFrames(t, 1, patience)
	before := d.session(t)
	if before.Display != "virtual:desk-1" {
		t.Errorf("the session shows %s", before.Display)
	}
	eventually(t, patience, "the page offers the group", func() error {
		var chosen string
		if err := b.eval(`document.getElementById("display").selectedOptions[0].textContent`, &chosen); err != nil {
			return err
		}
		if !strings.Contains(chosen, "virtual:desk · a free one") {
			return fmt.Errorf("it shows %q", chosen)
		}
		return nil
	})
	d.paint(t, before.Display, "#404040")
	eventually(t, patience, "the page knows its display", func() error {
		var title string
		if err := b.eval(`document.title`, &title); err != nil {
			return err
		}
		if !strings.Contains(title, before.Display) {
			return fmt.Errorf("its title is %q", title)
		}
		return nil
	})
	if status, body, err := d.request(http.MethodDelete, "/v1/sessions/"+before.ID); err != nil || status/100 != 2 {
		t.Fatalf("DELETE: status %d, %v: %s", status, err, body)
	}
	eventually(t, patience, "the page returns", func() error {
		list, err := d.sessions()
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].ID == before.ID {
			return fmt.Errorf("%d sessions", len(list))
		}
		if list[0].Display != before.Display {
			t.Fatalf("it returns to %s; want %s", list[0].Display, before.Display)
		}
		return nil
	})
	eventually(t, patience, "the picture is as it was left", func() error {
		luma, err := b.luma(1, 1)
		if err == nil && math.Abs(luma[0]-0x40) > 12 {
			err = fmt.Errorf("its brightness is %.0f", luma[0])
		}
		return err
	})
}
