package main

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
)

// A key of the repositories that no root key has signed, or whose time is over, is refused.
func TestRepositoryKey(t *testing.T) {
	defer func() { now = time.Now }()
	keys := t.TempDir()
	write := func(path, content string, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	public, root, err := minisign.GenerateKey(rand.Reader)
	write(keys+"/roots.pub", public.String(), err)
	_, other, err := minisign.GenerateKey(rand.Reader)
	write(keys+"/key.asc", "key", err)
	c := repositoryKeyCmd{Key: keys + "/key.asc", Roots: keys + "/roots.pub"}
	now = func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }
	for comment, want := range map[string]string{
		"wavry-host repository key from 2026-12-01 until 2027-12-01": "",
		"wavry-host repository key from 2025-12-01 until 2026-12-01": "until 2026-12-01, and the date is 2026-12-01",
		"wavry-host signing key from 2026-12-01 until 2027-12-01":    "it must be",
	} {
		write(c.Key+".minisig", string(minisign.SignWithComments(root, []byte("key"), comment, "x")), nil)
		if err := c.Run(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v; want %q", comment, err, want)
		}
		write(c.Key+".minisig", string(minisign.SignWithComments(other, []byte("key"), comment, "x")), nil)
		if err := c.Run(); err == nil || !strings.Contains(err.Error(), "no trusted root key") {
			t.Errorf("%s, by another key: got %v", comment, err)
		}
	}
}
