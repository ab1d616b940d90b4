package display

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func socket(t *testing.T, path string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

func TestList(t *testing.T) {
	dir, runtime := t.TempDir(), t.TempDir()
	socket(t, filepath.Join(dir, "X7"))
	socket(t, filepath.Join(dir, "X10"))
	socket(t, filepath.Join(runtime, "wayland-0"))
	for _, name := range []string{"X3", "Xjunk", "other"} { // no sockets, or no displays
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := List(t.Context(), Env{
		Display: ":10.0", RuntimeDir: runtime, SocketDir: dir,
		Probe: func(_ context.Context, address string) (int, int, error) {
			if address == ":7" {
				return 0, 0, errors.New("access denied: name the authority file with XAUTHORITY")
			}
			return 1280, 720, nil
		},
	})
	want := []Display{
		{ID: "x11:10", Name: "X display :10", Backend: "x11", Address: ":10", Width: 1280, Height: 720, Usable: true},
		{ID: "x11:7", Name: "X display :7", Backend: "x11", Address: ":7", Why: "access denied: name the authority file with XAUTHORITY"},
	}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2].ID != "wayland:wayland-0" || got[2].Usable || got[2].Why == "" {
		t.Errorf("displays are %+v; want %+v and a Wayland display that is not usable", got, want)
	}
}

func TestListWithoutDisplays(t *testing.T) {
	if got := List(t.Context(), Env{SocketDir: filepath.Join(t.TempDir(), "none")}); len(got) != 0 {
		t.Errorf("displays are %+v; want none", got)
	}
}
