package signature

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
)

// chain is a root key, and a signing key that it has signed.
type chain struct {
	roots        []minisign.PublicKey
	root         minisign.PrivateKey
	key          minisign.PrivateKey
	file, signed []byte
}

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func newChain(t *testing.T, from, until time.Time) chain {
	t.Helper()
	public, root, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, key, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file, err := signer.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	file = append(file, '\n')
	signed := minisign.SignWithComments(root, file, Validity(from, until), "x")
	return chain{[]minisign.PublicKey{public}, root, key, file, signed}
}

func aYear(t *testing.T) chain {
	t.Helper()
	return newChain(t, noon.AddDate(0, -1, 0), noon.AddDate(1, 0, 0))
}

func TestSignedFileIsVerified(t *testing.T) {
	c := aYear(t)
	k, err := Trust(c.roots, c.file, c.signed, noon)
	if err != nil || !k.Owns(c.key) || k.Owns(c.root) {
		t.Fatalf("trust: %+v, %v", k, err)
	}
	signature, err := Sign(c.key, "/tmp/a.deb", "v1.2.0", strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	version, err := k.Verify("elsewhere/a.deb", strings.NewReader("content"), signature)
	if err != nil || version != "v1.2.0" {
		t.Errorf("got %q, %v; want v1.2.0", version, err)
	}
}

func TestKeysThatAreNotTrusted(t *testing.T) {
	c, other := aYear(t), aYear(t)
	tampered := bytes.Replace(c.signed, []byte("2027"), []byte("2097"), 1)
	unlimited := minisign.SignWithComments(c.root, c.file, "timestamp:1", "x")
	for name, one := range map[string]struct {
		roots  []minisign.PublicKey
		signed []byte
		at     time.Time
		want   error
		text   string
	}{
		"expired":            {c.roots, c.signed, noon.AddDate(1, 0, 0), ErrTime, "until 2027-12-01"},
		"not yet valid":      {c.roots, c.signed, noon.AddDate(0, -2, 0), ErrTime, "from 2026-11-01"},
		"of another root":    {other.roots, c.signed, noon, ErrSignature, "no trusted root key"},
		"longer than signed": {c.roots, tampered, noon, ErrSignature, "no trusted root key"},
		"without a time":     {c.roots, unlimited, noon, nil, "until YYYY-MM-DD"},
		"no signature":       {c.roots, []byte("x"), noon, ErrSignature, "no trusted root key"},
		"no roots":           {nil, c.signed, noon, ErrSignature, "no trusted root key"},
	} {
		_, err := Trust(one.roots, c.file, one.signed, one.at)
		if err == nil || one.want != nil && !errors.Is(err, one.want) || !strings.Contains(err.Error(), one.text) {
			t.Errorf("%s: got %v; want %q", name, err, one.text)
		}
	}
	if _, err := Trust(c.roots, []byte("no key"), c.signed, noon); err == nil {
		t.Error("a file that is no key was trusted")
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	c, other := aYear(t), aYear(t)
	k, err := Trust(c.roots, c.file, c.signed, noon)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(key minisign.PrivateKey, name string) []byte {
		s, err := Sign(key, name, "v1.2.0", strings.NewReader("content"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, one := range map[string]struct {
		content   string
		signature []byte
		text      string
	}{
		"changed content": {"Content", sign(c.key, "a.deb"), "changed after it was signed"},
		"another key":     {"content", sign(other.key, "a.deb"), "signed by another key"},
		"another file":    {"content", sign(c.key, "b.deb"), "under another name"},
		"empty signature": {"content", nil, "read the signature of a.deb"},
		"changed signature": {"content", bytes.Replace(sign(c.key, "a.deb"), []byte("v1.2"), []byte("v1.3"),
			1), "changed"},
	} {
		if _, err := k.Verify("a.deb", strings.NewReader(one.content), one.signature); err == nil ||
			!strings.Contains(err.Error(), one.text) {
			t.Errorf("%s: got %v; want %q", name, err, one.text)
		}
	}
}

func TestRoots(t *testing.T) {
	c := aYear(t)
	for text, want := range map[string]int{
		c.roots[0].String() + "\n": 1, "# two\n\n" + c.roots[0].String() + "\n" + c.roots[0].String(): 2,
		"# none\n": 0, "": 0, "RWQbroken": 0,
	} {
		roots, err := Roots([]byte(text))
		if len(roots) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, %v; want %d", text, len(roots), err, want)
		}
	}
}

// Others check our signatures: minisign both steps, and openssl the signature of the file.
func TestOtherProgramsVerify(t *testing.T) {
	c := aYear(t)
	dir := t.TempDir()
	signature, err := Sign(c.key, "a.deb", "v1.2.0", strings.NewReader("content"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Split(string(signature), "\n")[1])
	if err != nil {
		t.Fatal(err)
	}
	public, err := base64.StdEncoding.DecodeString(strings.Split(string(c.file), "\n")[1])
	if err != nil {
		t.Fatal(err)
	}
	// The SubjectPublicKeyInfo of an Ed25519 key is a fixed prefix and the key (RFC 8410).
	der := append([]byte("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"), public[10:]...)
	for name, content := range map[string][]byte{
		"root.pub": []byte(c.roots[0].String() + "\n"), "signing.pub": c.file,
		"signing.pub.minisig": append(c.signed, '\n'),
		"a.deb":               []byte("content"), "a.deb.minisig": signature, "key.der": der, "a.deb.raw": raw[10:],
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root := "untrusted comment: root\n" + c.roots[0].String() + "\n"
	if err := os.WriteFile(filepath.Join(dir, "root.pub"), []byte(root), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"minisign -V -q -p root.pub -m signing.pub",
		"minisign -V -q -p signing.pub -m a.deb",
		"openssl dgst -blake2b512 -binary -out a.deb.hash a.deb",
		"openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in a.deb.hash -sigfile a.deb.raw",
	} {
		words := strings.Fields(line)
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Skipf("%s is not installed", words[0])
		}
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
}
