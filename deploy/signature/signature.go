// Package signature checks the signatures of releases. A root key, which is kept offline, signs the keys that sign
// files, each for a limited time. All are minisign keys and signatures, so the program minisign makes and checks them
// too.
package signature

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"time"

	"aead.dev/minisign"
)

var (
	// ErrNoKey means that there is nothing to check a signature by.
	ErrNoKey = errors.New("no key")
	// ErrSignature means that a signature is not one of the key, or is of other content.
	ErrSignature = errors.New("the signature does not match")
	// ErrTime means that a signing key is not valid at this time.
	ErrTime = errors.New("the signing key is not valid now")
)

// BuiltIn has the root keys that the program trusts, in the form of Roots.
//
//go:embed roots.pub
var BuiltIn []byte

// KeyFile is the name of the signing key in the folder of the files that it signs. Suffix is added to the name of a
// file for its signature.
const (
	KeyFile = "wavry-signing.pub"
	Suffix  = ".minisig"
)

// Roots reads root keys, one a line. Empty lines and comments (# or "untrusted comment:") are skipped.
func Roots(text []byte) ([]minisign.PublicKey, error) {
	var roots []minisign.PublicKey
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || bytes.HasPrefix(line, []byte("untrusted comment:")) {
			continue
		}
		var root minisign.PublicKey
		if err := root.UnmarshalText(line); err != nil {
			return nil, fmt.Errorf("read the root key %q: %w", line, err)
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("%w: the file has no root key", ErrNoKey)
	}
	return roots, nil
}

// Key is a signing key that a root key has signed.
type Key struct {
	public      minisign.PublicKey
	From, Until time.Time // the first instant at which it is valid, and the first at which it is not
}

// Kind is what a root key lets a key sign.
type Kind string

// The kinds.
const (
	SigningKey    Kind = "signing"    // a minisign key, which signs the files of releases
	RepositoryKey Kind = "repository" // a GPG key, which signs the indexes of package repositories
)

// validity is the trusted comment by which a root key limits another key.
var validity = regexp.MustCompile(`^wavry-host (signing|repository) key ` +
	`from (\d{4}-\d\d-\d\d) until (\d{4}-\d\d-\d\d)$`)

// Validity returns the trusted comment of a signing key's signature.
func Validity(from, until time.Time) string {
	return "wavry-host signing key from " + from.Format(time.DateOnly) + " until " + until.Format(time.DateOnly)
}

// Trust returns the signing key of a file, if one of the roots has signed the file and the key is valid at a time.
func Trust(roots []minisign.PublicKey, file, signed []byte, at time.Time) (Key, error) {
	var k Key
	if err := k.public.UnmarshalText(bytes.TrimSpace(file)); err != nil {
		return Key{}, fmt.Errorf("read the signing key: %w", err)
	}
	var err error
	k.From, k.Until, err = Delegated(roots, SigningKey, file, signed, at)
	return k, err
}

// Delegated returns from when until when a key is valid, if one of the roots has signed its file for a kind of use, and
// it is valid at a time.
func Delegated(roots []minisign.PublicKey, kind Kind, file, signed []byte, at time.Time) (
	from, until time.Time, err error,
) {
	if !signedByOne(roots, file, signed) {
		return from, until, fmt.Errorf("%w: no trusted root key has signed the %s key", ErrSignature, kind)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signed); err != nil {
		return from, until, fmt.Errorf("read the signature of the %s key: %w", kind, err)
	}
	m := validity.FindStringSubmatch(s.TrustedComment)
	if m == nil || m[1] != string(kind) {
		return from, until, fmt.Errorf("the signature of the %s key has the comment %q; it must be %q", kind,
			s.TrustedComment, "wavry-host "+string(kind)+" key from YYYY-MM-DD until YYYY-MM-DD")
	}
	from, err = time.Parse(time.DateOnly, m[2])
	until, err2 := time.Parse(time.DateOnly, m[3])
	if err := errors.Join(err, err2); err != nil {
		return from, until, fmt.Errorf("read the time of the %s key: %w", kind, err)
	}
	if at.Before(from) || !at.Before(until) {
		return from, until, fmt.Errorf("%w: the %s key is valid from %s until %s, and the date is %s", ErrTime, kind, m[2],
			m[3], at.Format(time.DateOnly))
	}
	return from, until, nil
}

// signedByOne reports whether one of the keys has signed a message.
func signedByOne(keys []minisign.PublicKey, message, signature []byte) bool {
	for _, key := range keys {
		if minisign.Verify(key, message, signature) {
			return true
		}
	}
	return false
}

// named is the trusted comment of a file's signature. It binds the content to the name: an old version of a file, or
// another file, cannot take its place.
var named = regexp.MustCompile(`^file:([^\t]+)(\tversion:([^\t]+))?$`)

// Verify checks the signature of a file, and returns the version that the signature states.
func (k Key) Verify(path string, content io.Reader, signature []byte) (version string, err error) {
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return "", fmt.Errorf("read the signature of %s: %w", path, err)
	}
	if s.KeyID != k.public.ID() {
		return "", fmt.Errorf("%w: %s was signed by another key (%016X) than %v", ErrSignature, path, s.KeyID, k.public)
	}
	r := minisign.NewReader(content)
	if _, err := io.Copy(io.Discard, r); err != nil {
		return "", err
	}
	if !r.Verify(k.public, signature) {
		return "", fmt.Errorf("%w: %s was changed after it was signed; do not use it", ErrSignature, path)
	}
	m := named.FindStringSubmatch(s.TrustedComment)
	if m == nil || m[1] != filepath.Base(path) {
		return "", fmt.Errorf("%w: %s is a copy of %q under another name", ErrSignature, path, s.TrustedComment)
	}
	return m[3], nil
}

// Sign returns the signature of a file.
func Sign(key minisign.PrivateKey, path, version string, content io.Reader) ([]byte, error) {
	r := minisign.NewReader(content)
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	comment := "file:" + filepath.Base(path) + "\tversion:" + version
	return append(r.SignWithComments(key, comment, "signature of a release of wavry-host"), '\n'), nil
}

// Owns reports whether a private key is that of the signing key.
func (k Key) Owns(key minisign.PrivateKey) bool { return key.ID() == k.public.ID() }
