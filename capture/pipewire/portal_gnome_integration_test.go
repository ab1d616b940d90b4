//go:build integration && linux

package pipewire

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/screencast"
	"wavryhost/platform/screencast/screencasttest"
)

// dialogVersion is the version of GNOME's portal whose dialog the test can answer.
const dialogVersion = "43."

// xdg-desktop-portal and its backend for GNOME show their dialog. Once a person has answered that, the screen opens
// without a person, also after a restart of the daemon and of the portal. A refusal is one.
func TestPortalOfGNOME(t *testing.T) {
	query := exec.CommandContext(t.Context(), "dpkg-query", "-f", "${Version}", "-W", "xdg-desktop-portal-gnome")
	out, err := query.Output()
	if err != nil {
		t.Fatalf("needs xdg-desktop-portal-gnome: scripts/setup test: %v", err)
	}
	if version := string(out); !strings.HasPrefix(version, dialogVersion) {
		t.Skipf("the dialog of xdg-desktop-portal-gnome %s is not known to this test, which knows that of %s",
			version, dialogVersion)
	}
	g := screencasttest.Start(t, "640x360")
	start := func() (kill func()) {
		kill = g.Run("env", "XDG_CURRENT_DESKTOP=GNOME", "/usr/libexec/xdg-desktop-portal")
		g.Await("the portal", func() bool { return g.Owned("org.freedesktop.portal.Desktop") })
		return kill
	}
	g.Run("/usr/libexec/xdg-desktop-portal-gnome")
	g.Await("GNOME's portal", func() bool { return g.Owned("org.freedesktop.impl.portal.desktop.gnome") })
	kill := start()
	click := pointer(t, g)
	c := &consent{}
	p := portalOf(t, g.Bus, c)
	open := func() (*Source, error) { return NewPortal(t.Context(), PortalConfig{Portal: p}, logger(t)) }
	opened := func(what string, saves int) *Source {
		t.Helper()
		s, err := open()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if c.saves != saves {
			t.Errorf("%s: consent was kept %d times; want %d", what, c.saves, saves)
		}
		return s
	}

	if _, err := open(); !errors.Is(err, capture.ErrSilent) || !errors.Is(err, screencast.ErrConsent) {
		t.Fatalf("before an answer: got %v; want %v", err, screencast.ErrConsent)
	}
	click(0, 26)              // the monitor
	click(213, -127)          // Share
	s := opened("consent", 2) // the consent that came late, and the use of it
	hide := g.Run("foot", "--fullscreen", "-o", "colors.background=123456", "-o", "cursor.color=123456 123456",
		"sleep", "60")
	color(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	p.Close()
	p = portalOf(t, g.Bus, c)
	s = opened("after a restart of the daemon", 3)
	color(t, s)
	lose(t, s, kill)
	start()
	s = opened("after a restart of the portal", 4)
	color(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	hide() // it covers dialogs
	p.Close()
	p = portalOf(t, g.Bus, &consent{})
	if _, err := open(); !errors.Is(err, screencast.ErrConsent) {
		t.Fatalf("without the token: got %v; want %v", err, screencast.ErrConsent)
	}
	click(-210, -127) // Cancel
	var refused error
	g.Await("the refusal", func() bool {
		_, refused = open()
		return !errors.Is(refused, screencast.ErrConsent)
	})
	if !errors.Is(refused, capture.ErrDenied) {
		t.Errorf("refused: got %v; want %v", refused, capture.ErrDenied)
	}
}

// pointer returns what clicks on positions from the center of the screen, where mutter puts a dialog.
func pointer(t *testing.T, g *screencasttest.GNOME) (click func(x, y float64)) {
	t.Helper()
	r, err := screencast.Control(t.Context(), g.Bus, screencasttest.Monitor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	step := func() {
		t.Helper()
		if n, err := r.Sync(t.Context()); n > 0 || err != nil {
			t.Fatal(n, " refused: ", err)
		}
		<-time.After(300 * time.Millisecond) // the dialog draws, and enables its button
	}
	return func(x, y float64) {
		t.Helper()
		const left = 272
		r.Move(320+x, 180+y)
		step()
		r.Button(left, true)
		step()
		r.Button(left, false)
		step()
	}
}
