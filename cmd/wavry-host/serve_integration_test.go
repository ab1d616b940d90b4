//go:build integration

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wavryhost/session"
)

// TestHostBecomesReady runs the daemon with a virtual display and the best encoder of this machine.
func TestHostBecomesReady(t *testing.T) {
	if _, err := exec.LookPath("Xvfb"); err != nil {
		t.Fatal("Xvfb is not installed; run 'make setup'")
	}
	env := append(daemonEnv(), "WAVRY_HOST_DISPLAYS__VIRTUAL_KEEP=1ms", // the desktop ends with the daemon
		"WAVRY_HOST_DISPLAYS__VIRTUAL_SOCKET="+filepath.Join(t.TempDir(), "desktop.sock"))
	d := startIn(t, env, io.Discard, "--display=virtual", "--virtual-size=640x480")
	if status, body := d.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, body)
	}
	_, body := d.get(t, "/v1/host")
	var h struct{ Displays []session.DisplayInfo }
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 0, len(h.Displays))
	for _, one := range h.Displays {
		ids = append(ids, one.ID)
	}
	if list := strings.Join(ids, " "); ids[0] != idVirtual || !strings.Contains(list, idSynthetic) {
		t.Errorf("displays %s", list)
	}
	d.end(t)
}

func TestEncodersThatWork(t *testing.T) {
	got := try(t, nil, "encoders", "--json")
	var all []encoderReport
	if err := json.Unmarshal([]byte(got.out), &all); err != nil || got.code != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, e := range all {
		if e.Name == "libx264" && (!e.Usable || e.PSNR < 24 || e.MeanEncodeSeconds <= 0) || !e.Usable && e.Why == "" {
			t.Errorf("got %+v", e)
		}
	}
}
