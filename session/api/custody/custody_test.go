package custody

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		what     string
		kind     Kind
		mode     fs.FileMode
		owner    owner
		readOnly bool
		warns    string
		refused  string
	}{
		{"a secret of its owner", Secret, 0o600, ours, false, "", ""},
		{"a secret of its group", Secret, 0o640, ours, false, "", ""},
		{"a secret for all", Secret, 0o644, ours, false, "", "every user can read F (mode 0644): chmod 640 F"},
		{"a credential of systemd", Secret, 0o400, ours, true, "", ""},
		{"a credential of systemd, by its access control list", Secret, 0o440, ours, true, "", ""},
		{"a credential of systemd in a user namespace", Secret, 0o400, unknown, true, "", ""},
		{"a secret of Docker", Secret, 0o444, ours, false, "every user can read F", ""},
		{"a secret of Kubernetes", Secret, 0o644, ours, true, "every user can read F", ""},
		{"a secret of Kubernetes for a group", Secret, 0o440, ours, true, "", ""},
		{"a secret that all write, mounted", Secret, 0o666, ours, true, "every user can read F", ""},
		{
			"a secret that the group writes", Secret, 0o660, ours, false, "",
			"other users can write F (mode 0660): chmod go-w F",
		},
		{"a secret of another user", Secret, 0o600, another, false, "", "belongs to another user"},
		{"a secret of another user, mounted", Secret, 0o600, another, true, "", ""},
		{"a secret of outside", Secret, 0o600, unknown, false, "does not know", ""},
		{"a list for all to read", Decisive, 0o644, ours, false, "", ""},
		{"a list for all to write", Decisive, 0o666, ours, false, "", "can write F"},
		{"a list that the group writes", Decisive, 0o664, ours, false, "", "can write F"},
		{"a list that others alone write", Decisive, 0o602, ours, false, "", "can write F"},
		{"a list of another user", Decisive, 0o444, another, false, "", "belongs to another user"},
		{"a list on a read-only mount", Decisive, 0o666, another, true, "", ""},
	} {
		warning, err := judge("F", c.kind, facts{c.mode, c.owner, func() bool { return c.readOnly }})
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(),
			c.refused) || !errors.Is(err, ErrExposed)) {
			t.Errorf("%s: %v; want it refused with %q", c.what, err, c.refused)
		}
		if c.warns == "" && warning != "" || !strings.Contains(warning, c.warns) {
			t.Errorf("%s: warning %q; want %q", c.what, warning, c.warns)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, warning, err := Read(path, 4, Secret); err != nil || warning != "" || string(text) != "four" {
		t.Errorf("got %q, %q, %v", text, warning, err)
	}
	if _, _, err := Read(path, 3, Secret); err == nil || !strings.Contains(err.Error(), "larger than 3 bytes") {
		t.Errorf("too large: %v", err)
	}
	if _, _, err := Read(path+"x", 3, Secret); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	if runtime.GOOS == "windows" {
		return // the mode says nothing there
	}
	for mode, want := range map[fs.FileMode]bool{0o644: true, 0o444: false, 0o666: true, 0o640: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(path, 4, Secret); errors.Is(err, ErrExposed) != want {
			t.Errorf("mode %04o: %v; want it refused: %v", mode, err, want)
		}
	}
	f, err := os.Open(os.DevNull) // no file that could be judged
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Check(f, os.DevNull, Secret); err != nil {
		t.Error(err)
	}
}
