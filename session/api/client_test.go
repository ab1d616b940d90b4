//go:build integration

package api

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A client that another project's generator makes from the served document compiles, and works with a live server.
func TestGeneratedClient(t *testing.T) {
	m := healthy()
	m.happen("session_created")
	addr, _ := run(t, Config{Token: token}, m)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/client")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "wavry"), 0o700); err != nil {
		t.Fatal(err)
	}
	// On a new machine, the generator is downloaded and built.
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	command := func(name string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(ctx, name, args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/openapi.json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	document := read(t, resp).body
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	command("go", "tool", "oapi-codegen", "-config", "oapi-codegen.yaml", "openapi.json")
	command("go", "build", "-o", "client", ".")
	if got := command(filepath.Join(dir, "client"), "http://"+addr, token); strings.TrimSpace(got) != "ok" {
		t.Errorf("the client says %q", got)
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Equal(m.drained, []time.Duration{1500 * time.Millisecond}) || m.resumed != 1 ||
		!slices.Equal(m.keys, []string{"s1"}) ||
		!slices.Equal(m.notes, []string{"the generated client is done"}) {
		t.Errorf("the host was asked: drain %v, resume %d times, keyframes %v, ends noted %q",
			m.drained, m.resumed, m.keys, m.notes)
	}
}
