package api

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"wavryhost/session"
	"wavryhost/session/api/custody"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/watched"
)

// maxTokens bounds the file of tokens, in bytes: some thousand lines.
const maxTokens = 256 << 10

// tokenFile are the tokens of a file, one a line: a name, a role, and "sha256:" with the hash of the token in hexadecimal. A hash is all that is needed: tokens are
// long and random, so that nobody finds one by trying (unlike passwords, for which a slow hash is). The file is read again when it changes.
type tokenFile struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex // guards all following fields
	known map[[sha256.Size]byte]principal
	files watched.Files
}

// newTokenFile reads the file.
func newTokenFile(path string, log *slog.Logger) (*tokenFile, error) {
	f := &tokenFile{path: path, log: log, files: watched.New(path)}
	if err := f.read(); err != nil {
		return nil, fmt.Errorf("api: read tokens: %w", err)
	}
	return f, nil
}

// find returns whose token has a hash. A nil file has none.
func (f *tokenFile) find(hash [sha256.Size]byte) (principal, bool) {
	if f == nil {
		return principal{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files.Changed(time.Now()) {
		if err := f.read(); err != nil {
			f.log.Warn("tokens not reloaded; the old ones stay in use", "err", err)
		} else {
			f.log.Info("tokens reloaded", "file", f.path, "tokens", len(f.known))
		}
	}
	// Hashes are looked up, not compared byte by byte: how long that takes tells of the hash, from which nobody gets a token.
	p, ok := f.known[hash]
	return p, ok
}

// read takes in the file, or nothing of it.
func (f *tokenFile) read() error {
	text, warning, err := custody.Read(f.path, maxTokens, custody.Decisive)
	if err != nil {
		return err
	}
	warn(f.log, warning)
	known, err := parseTokens(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.known = known
	return nil
}

// parseTokens reads lines "name role sha256:hex". Empty lines and those that begin with # are skipped.
func parseTokens(text []byte) (map[[sha256.Size]byte]principal, error) {
	known := make(map[[sha256.Size]byte]principal)
	names := make(map[string]bool)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("line %d is not a name, a role and sha256:hash", n)
		}
		role, err := grant.ParseRole(f[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		digits, ok := strings.CutPrefix(f[2], "sha256:")
		sum, err := hex.DecodeString(digits)
		if !ok || err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("line %d: the hash of %.40q is not sha256: and 64 hexadecimal digits", n, f[0])
		}
		hash := [sha256.Size]byte(sum)
		if names[f[0]] || known[hash].Name != "" {
			return nil, fmt.Errorf("line %d: %.40q, or its token, is there already", n, f[0])
		}
		names[f[0]] = true
		known[hash] = principal{Owner: session.Owner{Credential: session.CredentialToken, Name: f[0]}, role: role, hash: hash}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return known, nil
}

// warn logs what is to be known of a file of credentials, unless that is nothing.
func warn(log *slog.Logger, warning string) {
	if warning != "" {
		log.Warn("file of credentials", "problem", warning)
	}
}

// NewToken makes a token, and the line of it for the file of tokens.
func NewToken(name, role string) (token, line string, err error) {
	if name == "" || strings.HasPrefix(name, "#") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", "", errors.New("a name is printable, without blanks, and does not begin with #")
	}
	if _, err := grant.ParseRole(role); err != nil {
		return "", "", err
	}
	secret := make([]byte, 20) // 160 bits
	rand.Read(secret)          // it never fails
	token = strings.ToLower(base32.StdEncoding.EncodeToString(secret))
	hash := sha256.Sum256([]byte(token))
	return token, fmt.Sprintf("%s %s sha256:%s", name, role, hex.EncodeToString(hash[:])), nil
}
