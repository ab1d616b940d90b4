//go:build integration

package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// analyzer returns the path of systemd-analyze and a program for ExecStart, which must exist for it.
func analyzer(t *testing.T) (analyze, binary string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on PATH; the package systemd holds it")
	}
	binary, err = os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return analyze, binary
}

// TestSystemdTakesTheUnits has systemd's own verifier read the generated units.
func TestSystemdTakesTheUnits(t *testing.T) {
	analyze, binary := analyzer(t)
	for _, tc := range []struct {
		name    string
		spec    Spec
		manager string
		// exposure is the highest exposure allowed, in tenths of systemd's scale of 0 to 10; 0 means not asked.
		exposure string
	}{
		{name: "wavry-host", spec: Spec{Binary: binary}, manager: "--system", exposure: "20"},
		{
			name: "odd", manager: "--system", exposure: "20",
			spec: Spec{Name: "odd", Binary: binary, ConfigPath: "/etc/odd dir/100%/$HOME.yaml", User: "kiosk"},
		},
		{name: "session", spec: Spec{Name: "session", Binary: binary, Session: true}, manager: "--user"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			unit, err := Unit(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), tc.name+".service")
			if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
				t.Fatal(err)
			}
			verify(t, analyze, tc.manager, path, true)
			// The verifier is a gate only if it refuses what is broken.
			broken := filepath.Join(t.TempDir(), "broken.service")
			if err := os.WriteFile(broken, []byte(strings.Replace(unit, "Type=notify", "Type=nothing", 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			verify(t, analyze, tc.manager, broken, false)
			if tc.exposure == "" {
				return
			}
			out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true",
				"--threshold="+tc.exposure, "--no-pager", path).CombinedOutput()
			if err != nil {
				t.Errorf("exposure above %s: %v\n%s", tc.exposure, err, out)
			}
			t.Logf("%s", out[strings.LastIndex(strings.TrimSpace(string(out)), "\n")+1:])
		})
	}
}

// TestSystemdTakesTheDesktopUnits has systemd's own verifier read the units of the virtual display.
func TestSystemdTakesTheDesktopUnits(t *testing.T) {
	analyze, binary := analyzer(t)
	for _, session := range []bool{false, true} {
		spec, manager := Spec{Binary: binary, Session: session}, "--system"
		if session {
			manager = "--user"
		}
		dir := t.TempDir()
		for name, render := range map[string]func(Spec) (string, error){
			"wavry-host-desktop.service": DesktopUnit, "wavry-host-desktop.socket": DesktopSocket,
		} {
			unit, err := render(spec)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		verify(t, analyze, manager, filepath.Join(dir, "wavry-host-desktop.socket"), true)
		verify(t, analyze, manager, filepath.Join(dir, "wavry-host-desktop.service"), true)
	}
}

// TestSystemdTakesTheUnitsOfTheFleet has systemd's own verifier read the examples for fleets.
func TestSystemdTakesTheUnitsOfTheFleet(t *testing.T) {
	analyze, binary := analyzer(t)
	list, err := filepath.Glob("../../deploy/fleet/*.service")
	if err != nil || len(list) != 2 {
		t.Fatalf("got %v, %v", list, err)
	}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		unit := strings.ReplaceAll(string(text), "/usr/bin/wavry-host", binary)
		for good, text := range map[bool]string{
			true: unit, false: strings.Replace(unit, "Restart=always", "Restart=maybe", 1),
		} {
			path := filepath.Join(t.TempDir(), filepath.Base(path))
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			verify(t, analyze, "--system", path, good)
			out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20",
				"--no-pager", path).CombinedOutput()
			if good && err != nil {
				t.Errorf("%s: exposure above 2.0: %v\n%s", filepath.Base(path), err, out)
			}
		}
	}
}

// TestSystemdTakesTheUnitsForGraphicsCards has systemd's own verifier read the units of the helper with a capability.
func TestSystemdTakesTheUnitsForGraphicsCards(t *testing.T) {
	analyze, binary := analyzer(t)
	dir := t.TempDir()
	for name, render := range map[string]func(Spec) (string, error){
		"wavry-host-kms.service": KMSUnit, "wavry-host-kms.socket": KMSSocket,
	} {
		unit, err := render(Spec{Binary: binary})
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "wavry-host-kms.service")
	verify(t, analyze, "--system", path, true)
	verify(t, analyze, "--system", filepath.Join(dir, "wavry-host-kms.socket"), true)
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=15",
		"--no-pager", path).CombinedOutput()
	if err != nil {
		t.Errorf("exposure above 1.5: %v\n%s", err, out)
	}
}

// verify has systemd read a unit; it prints what it does not understand without failing for all of it.
func verify(t *testing.T, analyze, manager, path string, good bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), analyze, "verify", manager, "--man=no", "--recursive-errors=no", path)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if clean := err == nil && !strings.Contains(string(out), filepath.Base(path)); clean != good {
		t.Errorf("%s: clean %v; want %v: %v\n%s", filepath.Base(path), clean, good, err, out)
	}
}
