//go:build integration

package endtoend

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// cut blocks both directions, as an unplugged cable does, until it is called with false.
func (l *link) cut(t testing.TB, on bool) {
	t.Helper()
	if on {
		ip(t, "netns", "exec", l.host, "nft", fmt.Sprintf(
			"add table ip cut; add chain ip cut i { type filter hook input priority 0; }; add chain ip cut o { "+
				"type filter hook output priority 0; }; "+
				"add rule ip cut i iifname %s drop; add rule ip cut o oifname %[1]s drop", l.device))
		return
	}
	ip(t, "netns", "exec", l.host, "nft", "delete table ip cut")
}

// event is an event of a session.
type event struct {
	At                     time.Time
	Kind, Reason, From, To string
}

// timeline returns the events of a session, in order.
func (h *host) timeline(t testing.TB, id string) []event {
	t.Helper()
	status, body, err := h.request("GET", "/v1/sessions/"+id+"/timeline")
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET timeline: status %d, %v: %s", status, err, body)
	}
	var list struct{ Events []event }
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	return list.Events
}

// waitEvent waits until a session has an event of a kind, and returns the newest. An event may arrive a moment after
// the change is visible elsewhere.
func (h *host) waitEvent(t testing.TB, id, kind string) (newest event) {
	t.Helper()
	eventually(t, patience, "the session has an event "+kind, func() error {
		list := h.timeline(t, id)
		for _, e := range list {
			if e.Kind == kind {
				newest = e
			}
		}
		if newest.Kind == "" {
			return fmt.Errorf("it has %v", list)
		}
		return nil
	})
	return newest
}

// kinds returns the kinds of a session's transport events, in order.
func (h *host) kinds(t testing.TB, id string) []string {
	t.Helper()
	var kinds []string
	for _, e := range h.timeline(t, id) {
		switch e.Kind {
		case "session_ended":
			kinds = append(kinds, e.Kind+" "+e.Reason)
		case "path_changed":
			kinds = append(kinds, e.Kind+" "+e.From+" "+e.To)
		case "session_created", "session_connected", "session_disconnected", "handshake_failed":
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// lasts waits until the daemon's clock has counted the given number of further seconds of connection in its only
// session.
func (h *host) lasts(t testing.TB, seconds float64) {
	t.Helper()
	const counted = "wavry_host_quality_state_seconds_total"
	end := h.metric(t, counted) + seconds
	eventually(t, patience, fmt.Sprintf("%v s pass with the session connected", seconds), func() error {
		if at := h.metric(t, counted); at < end {
			return fmt.Errorf("%.1f s are left", end-at)
		}
		return nil
	})
}

// patient makes a host wait long for a viewer to recover its path, as is needed on a busy machine.
var patient = []string{"timeouts.disconnect=1m"}

// onLink is a host and a page that plays its stream over a link that can break.
func onLink(t *testing.T, args ...string) (*link, *host, *browser) {
	t.Helper()
	l := newLink(t)
	need(t, "nft")
	x := startX(t, 0, 640, 480)
	x.desktop(t)
	x.noisy(t)
	h := startExposed(t, l.host, l.hostIP, append([]string{"--display", x.id(), "--max-bitrate", "3M"}, args...)...)
	b := openBrowser(t, l.viewer, h.page(""))
	b.waitFrames(t, 30, patience)
	return l, h, b
}

// stateOf returns the state of a session, or "gone" when it is not listed.
func (h *host) stateOf(id string) (string, error) {
	list, err := h.sessions()
	if err != nil {
		return "", err
	}
	for _, s := range list {
		if s.ID == id {
			return s.State, nil
		}
	}
	return "gone", nil
}

func (h *host) waitState(t testing.TB, id, want string) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("the session is %s", want), func() error {
		state, err := h.stateOf(id)
		if err == nil && state != want {
			err = errors.New("it is " + state)
		}
		return err
	})
}

// A link is cut for a while. The picture freezes and returns in the same session, with or without an ICE restart.
func TestLinkIsCutForAWhile(t *testing.T) {
	t.Parallel()
	l, h, b := onLink(t, patient...)
	first := h.session(t).ID
	// A cut that is too short to be noticed changes nothing. A busy machine may make it that long.
	began := time.Now()
	l.cut(t, true)
	h.lasts(t, 2)
	l.cut(t, false)
	took := time.Since(began)
	b.waitFrames(t, 30, patience)
	h.waitState(t, first, "connected")
	blip := h.kinds(t, first)
	if got := strings.Join(blip, " "); got != "session_created session_connected" && took < 5*time.Second {
		t.Errorf("after %v events %s", took, got)
	}

	began = time.Now()
	l.cut(t, true)
	h.waitState(t, first, "disconnected")
	noticed := time.Since(began)
	if v := h.metric(t, `wavry_host_sessions{state="disconnected"}`); v != 1 {
		t.Errorf("the metric has %v disconnected sessions; want 1", v)
	}
	l.cut(t, false)
	restored := time.Now()
	h.waitState(t, first, "connected")
	t.Logf("noticed after %v, back %v after the cut's end",
		noticed.Round(100*time.Millisecond), time.Since(restored).Round(100*time.Millisecond))
	b.waitFrames(t, 30, patience)
	var state string
	if err := b.eval("window.wavry.state", &state); err != nil || state != "live" {
		t.Errorf("the page is %q, %v; want live", state, err)
	}
	if got := h.session(t).ID; got != first {
		t.Errorf("session %s; want %s, as before the cut", got, first)
	}
	// An ICE restart that is under way when the path returns interrupts it again for a moment.
	want := regexp.MustCompile(`^( session_disconnected session_connected){1,2}$`)
	if got := strings.TrimPrefix(strings.Join(h.kinds(t, first), " "), strings.Join(blip,
		" ")); !want.MatchString(got) {
		t.Errorf("events %s; want %s", got, want)
	}
	h.waitLog(t, `"session disconnected"`)
	h.waitLog(t, `"session connected again"`)
}

// A viewer whose address changes, as from Wi-Fi to cable, keeps its session.
func TestViewerMovesToAnotherAddress(t *testing.T) {
	t.Parallel()
	l, h, b := onLink(t, patient...)
	first := h.session(t).ID
	ip(t, "-n", l.viewer, "link", "add", "veth-w", "type", "veth", "peer", "name", "veth-g", "netns", l.host)
	ip(t, "-n", l.viewer, "addr", "add", "10.213.6.2/24", "dev", "veth-w")
	ip(t, "-n", l.host, "addr", "add", "10.213.6.1/24", "dev", "veth-g")
	ip(t, "-n", l.host, "link", "set", "veth-g", "up")
	// The old link disappears with its address, and a second later the new one is up. The host keeps its address.
	ip(t, "-n", l.host, "addr", "add", l.hostIP+"/32", "dev", "veth-g")
	ip(t, "-n", l.viewer, "link", "del", "wire-v")
	h.lasts(t, 1)
	ip(t, "-n", l.viewer, "link", "set", "veth-w", "up")
	ip(t, "-n", l.viewer, "route", "add", l.hostIP+"/32", "via", "10.213.6.1")
	began := time.Now()
	b.waitFrames(t, 30, patience)
	t.Logf("pictures again %v after the move, with %d ICE restarts",
		time.Since(began).Round(100*time.Millisecond), strings.Count(h.out.String(), `"ice restarted"`))
	if got := h.session(t).ID; got != first {
		t.Errorf("session %s; want %s, as before the move", got, first)
	}
	h.waitState(t, first, "connected")
}

// When the old path never returns, as when a firewall has forgotten it, an ICE restart finds another path for the same
// session.
func TestOnlyAnICERestartHelps(t *testing.T) {
	t.Parallel()
	l, h, b := onLink(t, patient...)
	first := h.session(t).ID
	var port int
	if err := b.eval(`(async () => {
		const report = await window.wavry.pc.getStats();
		for (const s of report.values()) {
			if (s.type === "transport") return report.get(report.get(s.selectedCandidatePairId).localCandidateId).port;
		}
	})()`, &port); err != nil || port == 0 {
		t.Fatalf("the viewer's port: %d, %v", port, err)
	}
	ip(t, "netns", "exec", l.host, "nft", fmt.Sprintf(
		"add table ip old; add chain ip old i { type filter hook input priority 0; }; add chain ip old o { type "+
			"filter hook output priority 0; }; "+
			"add rule ip old i udp sport %d drop; add rule ip old o udp dport %[1]d drop", port))
	began := time.Now()
	h.waitLog(t, `"ice restarted"`)
	b.waitFrames(t, 30, patience)
	t.Logf("pictures again %v after the path was lost", time.Since(began).Round(100*time.Millisecond))
	h.waitState(t, first, "connected")
	if got := h.kinds(t, first); got[len(got)-1] != "session_connected" {
		t.Errorf("events %v", got)
	}
}

// A cut longer than the timeout ends the session, and the page opens a new session when the link is back.
func TestLinkIsCutForTooLong(t *testing.T) {
	t.Parallel()
	l, h, b := onLink(t)
	first := h.session(t).ID
	l.cut(t, true)
	h.waitState(t, first, "disconnected")
	before := h.session(t).FramesSent
	after := before
	eventually(t, patience, "the session is given up", func() error {
		list, err := h.sessions()
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[0].FramesSent
		return errors.New("it is " + list[0].State)
	})
	if after > before+1 {
		t.Errorf("%d frames were sent into the cut; want it frozen", after-before)
	}
	// Of the 10 s, 4 to 5 remain when the session counts as disconnected, and a little more on a busy machine.
	end, lost := h.waitEvent(t, first, "session_ended"), h.waitEvent(t, first, "session_disconnected")
	if kept := end.At.Sub(lost.At).Round(100 * time.Millisecond); kept < 4*time.Second || kept > 8*time.Second {
		t.Errorf("the session was kept for %v; want 4 to 5 s", kept)
	}
	if got := h.kinds(t, first); got[len(got)-1] != "session_ended ice_failed" {
		t.Errorf("events %v", got)
	}
	if v := h.metric(t, `wavry_host_sessions_ended_total{reason="ice_failed"}`); v != 1 {
		t.Errorf("the metric counts %v ends; want 1", v)
	}
	l.cut(t, false)
	eventually(t, patience, "the page is back with a session of its own", func() error {
		list, err := h.sessions()
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].ID == first || list[0].State != "connected" || list[0].FramesSent < 30 {
			return fmt.Errorf("sessions %+v", list)
		}
		return nil
	})
	b.waitFrames(t, 30, patience)
	if err := exec.Command("ip", "netns", "exec", l.host, "nft", "list", "table", "ip", "cut").Run(); err == nil {
		t.Error("the cut is still there")
	}
}
