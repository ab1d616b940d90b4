package session

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"wavryhost/session/logtest"
)

// What keeps others out of a session's path is in no log, whatever its level: neither the viewer's password nor the
// host's.
func TestPasswordsAreNotLogged(t *testing.T) {
	var log logtest.Buffer
	h := openHouseWith(t, slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}), nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	var passwords []string
	note := func() {
		both := r.PC.LocalDescription().SDP + r.PC.RemoteDescription().SDP
		for _, m := range regexp.MustCompile(`ice-pwd:(\S+)`).FindAllStringSubmatch(both, -1) {
			passwords = append(passwords, m[1])
		}
	}
	r.watch(h)
	note()
	r.playing(t, 3)
	_ = r.restart(h)
	note()
	r.playing(t, 3)
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	if len(passwords) < 4 || !strings.Contains(log.String(), "Started agent") {
		t.Fatalf("%d passwords, and a log of %d bytes: this shows nothing", len(passwords), len(log.String()))
	}
	for _, p := range passwords {
		if strings.Contains(log.String(), p) {
			t.Errorf("password %s is in the log", p)
		}
	}
}
