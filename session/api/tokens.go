package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"wavryhost/session"
	"wavryhost/session/api/custody"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/watched"
)

// maxTokens bounds the file of tokens, in bytes: some thousand lines.
const maxTokens = 256 << 10

// tokenFile are the tokens of a file, one a line: a name, a role, "sha256:" with the hash of the token in hexadecimal, and limits. A hash is all that is needed: tokens are
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

// toldLines is how many broken lines of the file are told at once.
const toldLines = 5

// parseTokens reads lines "name role sha256:hex [displays=…] [networks=…] [until=…]". Empty lines and comments (#) are
// skipped. An error names each broken line, and nothing of a broken file is taken.
func parseTokens(text []byte) (map[[sha256.Size]byte]principal, error) {
	known := make(map[[sha256.Size]byte]principal)
	names := make(map[string]bool)
	var wrong []string
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		p, err := parseToken(f)
		if err == nil && (names[p.Name] || known[p.hash].Name != "") {
			err = fmt.Errorf("%.40q, or its token, is there already", p.Name)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("line %d: %v", n, err))
			continue
		}
		names[p.Name] = true
		known[p.hash] = p
	}
	if more := len(wrong) - toldLines; more > 0 {
		wrong = append(wrong[:toldLines], fmt.Sprintf("and %d more", more))
	}
	if wrong != nil {
		return nil, errors.New(strings.Join(wrong, "; "))
	}
	return known, nil
}

// parseToken reads the fields of a line.
func parseToken(f []string) (principal, error) {
	if len(f) < 3 {
		return principal{}, errors.New("it is not a name, a role and sha256:hash")
	}
	if strings.ContainsFunc(f[0], func(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }) || len(f[0]) > longestName {
		return principal{}, fmt.Errorf("name %.40q is not printable, or has more than %d bytes", f[0], longestName)
	}
	p := principal{Owner: session.Owner{Credential: session.CredentialToken, Name: f[0]}}
	var err error
	if p.role, err = grant.ParseRole(f[1]); err != nil {
		return principal{}, err
	}
	digits, ok := strings.CutPrefix(f[2], "sha256:")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != sha256.Size {
		return principal{}, fmt.Errorf("the hash of %.40q is not sha256: and 64 hexadecimal digits", f[0])
	}
	p.hash = [sha256.Size]byte(sum)
	return p, p.limit(f[3:])
}

// limit reads the limits of a token. A limit that is misspelt would be none, and so is refused.
func (p *principal) limit(fields []string) error {
	lists := make(map[string][]string)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		switch {
		case name != "displays" && name != "networks" && name != "until":
			return fmt.Errorf("%.40q is not displays=, networks= or until=", f)
		case lists[name] != nil:
			return fmt.Errorf("%s= is there twice", name)
		case slices.Contains(strings.Split(value, ","), ""):
			return fmt.Errorf("%.60q has an empty value", f)
		}
		lists[name] = strings.Split(value, ",")
	}
	var err error
	if p.scope, err = grant.ParseScope(lists["displays"], lists["networks"]); err != nil {
		return err
	}
	if lists["displays"] != nil && p.role != grant.Viewer && p.role != grant.Controller {
		// Operators change sessions and reserve places as well, where it would hold them back from nothing.
		return fmt.Errorf("displays= limits a viewer or a controller, and not a role such as %s", p.role)
	}
	if until := lists["until"]; until != nil {
		if p.until, err = time.Parse(time.RFC3339, strings.Join(until, ",")); err != nil {
			return fmt.Errorf("until=%.60q is not a time such as 2027-01-31T18:00:00Z", strings.Join(until, ","))
		}
		p.until = p.until.UTC()
	}
	return nil
}

// warn logs what is to be known of a file of credentials, unless that is nothing.
func warn(log *slog.Logger, warning string) {
	if warning != "" {
		log.Warn("file of credentials", "problem", warning)
	}
}

// NewToken makes a token, and the line of it for the file of tokens. Limits are as the file has them, such as "displays=x11:*".
func NewToken(name, role string, limits ...string) (token, line string, err error) {
	secret := make([]byte, 20) // 160 bits
	rand.Read(secret)          // it never fails
	token = strings.ToLower(base32.StdEncoding.EncodeToString(secret))
	hash := sha256.Sum256([]byte(token))
	fields := append([]string{name, role, "sha256:" + hex.EncodeToString(hash[:])}, limits...)
	for _, f := range fields {
		if f == "" || strings.HasPrefix(name, "#") || strings.ContainsFunc(f, unicode.IsSpace) {
			return "", "", errors.New("a name, a role and limits are not empty and have no blanks, and a name does not begin with #")
		}
	}
	if _, err := parseToken(fields); err != nil {
		return "", "", err
	}
	return token, strings.Join(fields, " "), nil
}
