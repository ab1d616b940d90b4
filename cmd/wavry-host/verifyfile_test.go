package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"wavryhost/deploy/signature"
)

// signedFolder makes a folder with a root key, a signing key and a signed file.
func signedFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, content []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	public, root, err := minisign.GenerateKey(rand.Reader)
	write("root.pub", []byte(public.String()+"\n"), err)
	signer, key, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signer.MarshalText()
	write(signature.KeyFile, text, err)
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	write(signature.KeyFile+signature.Suffix,
		minisign.SignWithComments(root, text, signature.Validity(day, day.AddDate(1, 0, 0)), "x"), nil)
	write("a.deb", []byte("content"), nil)
	signed, err := signature.Sign(key, "a.deb", "v1.2.0", strings.NewReader("content"))
	write("a.deb"+signature.Suffix, signed, err)
	return dir
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	spoil := func(name, content string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, name)
			err := os.Remove(path)
			if err == nil && content != "" {
				err = os.WriteFile(path, []byte(content), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, one := range map[string]struct {
		spoil func(t *testing.T, dir string)
		flags string
		code  int
		want  string
	}{
		"good": {
			nil, "--at 2026-12-01 --root ROOT", 0,
			"a.deb: good, version v1.2.0, signed by a key that is valid until 2027-11-01",
		},
		"expired key": {
			nil, "--at 2028-01-01 --root ROOT", exitFailure,
			"until 2027-11-01, and the date is 2028-01-01",
		},
		"no date": {nil, "--at tomorrow --root ROOT", exitUsage, "want a date such as"},
		"no root": {nil, "", exitFailure, "trusts no root key; name the one you trust: --root FILE"},
		"tampered file": {
			spoil("a.deb", "Content"), "--at 2026-12-01 --root ROOT", exitFailure,
			"was changed after it was signed",
		},
		"missing key": {
			spoil(signature.KeyFile, ""), "--at 2026-12-01 --root ROOT", exitFailure,
			"read the signing key: open ",
		},
		"missing signature": {
			spoil("a.deb.minisig", ""), "--at 2026-12-01 --root ROOT", exitFailure,
			"read the signature: open ",
		},
		"missing file": {spoil("a.deb", ""), "--at 2026-12-01 --root ROOT", exitFailure, "a.deb: no such file"},
		"empty root": {
			spoil("root.pub", "#"), "--at 2026-12-01 --root ROOT", exitFailure,
			"the file has no root key",
		},
	} {
		dir := signedFolder(t)
		if one.spoil != nil {
			one.spoil(t, dir)
		}
		args := strings.Fields("verify " + strings.ReplaceAll(one.flags, "ROOT", filepath.Join(dir, "root.pub")))
		got := try(t, nil, append(args, filepath.Join(dir, "a.deb"))...)
		text := strings.TrimSpace(got.out + got.errout)
		if got.code != one.code || !strings.Contains(text, one.want) || one.code == exitFailure &&
			strings.Contains(text, "\n") {
			t.Errorf("%s: got %+v; want %q in one line (%d)", name, got, one.want, one.code)
		}
	}
}
