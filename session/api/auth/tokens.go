package auth

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

// maxTokens bounds the file of tokens, in bytes: about a thousand lines.
const maxTokens = 256 << 10

// tokenFile has the tokens of a file, one per line: a name, a role, "sha256:" with the hash of the token in
// hexadecimal, and limits. A fast hash is enough: tokens are long and random, unlike passwords, so nobody finds one by
// trying. The file is read again when it changes.
type tokenFile struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex // guards all following fields
	known map[[sha256.Size]byte]Principal
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

// find returns the principal whose token has that hash. A nil file has none.
func (f *tokenFile) find(hash [sha256.Size]byte) (Principal, bool) {
	if f == nil {
		return Principal{}, false
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
	// A lookup by hash need not take constant time: its duration discloses something of the hash, but not of the
	// token.
	p, ok := f.known[hash]
	return p, ok
}

// read reads the whole file, or changes nothing.
func (f *tokenFile) read() error {
	text, warning, err := custody.Read(f.path, maxTokens, custody.Decisive)
	if err != nil {
		return err
	}
	custody.Warn(f.log, warning)
	known, err := parseTokens(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.known = known
	return nil
}

// maxLineErrors is how many invalid lines of the file one error names.
const maxLineErrors = 5

// parseTokens reads lines "name role sha256:hex [displays=…] [networks=…] [until=…]". Empty lines and comments (#) are
// skipped. An error names each invalid line, and nothing of an invalid file is used.
func parseTokens(text []byte) (map[[sha256.Size]byte]Principal, error) {
	known := make(map[[sha256.Size]byte]Principal)
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
			err = fmt.Errorf("%.40q or its token appears twice", p.Name)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("line %d: %v", n, err))
			continue
		}
		names[p.Name] = true
		known[p.hash] = p
	}
	if more := len(wrong) - maxLineErrors; more > 0 {
		wrong = append(wrong[:maxLineErrors], fmt.Sprintf("and %d more", more))
	}
	if wrong != nil {
		return nil, errors.New(strings.Join(wrong, "; "))
	}
	return known, nil
}

// parseToken reads the fields of a line.
func parseToken(f []string) (Principal, error) {
	if len(f) < 3 {
		return Principal{}, errors.New("a line has a name, a role and sha256:hash")
	}
	unprintable := func(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }
	if strings.ContainsFunc(f[0], unprintable) || len(f[0]) > longestName {
		return Principal{}, fmt.Errorf("name %.40q is not printable, or has more than %d bytes", f[0], longestName)
	}
	p := Principal{Owner: session.Owner{Credential: session.CredentialToken, Name: f[0]}}
	var err error
	if p.Role, err = grant.ParseRole(f[1]); err != nil {
		return Principal{}, err
	}
	digits, ok := strings.CutPrefix(f[2], "sha256:")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != sha256.Size {
		return Principal{}, fmt.Errorf("the hash of %.40q is not sha256: and 64 hexadecimal digits", f[0])
	}
	p.hash = [sha256.Size]byte(sum)
	return p, p.limit(f[3:])
}

// limit reads the limits of a token. A misspelt limit is an error: it must not be ignored.
func (p *Principal) limit(fields []string) error {
	lists := make(map[string][]string)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		switch {
		case name != "displays" && name != "networks" && name != "until":
			return fmt.Errorf("%.40q is not displays=, networks= or until=", f)
		case lists[name] != nil:
			return fmt.Errorf("%s= appears twice", name)
		case slices.Contains(strings.Split(value, ","), ""):
			return fmt.Errorf("%.60q has an empty value", f)
		}
		lists[name] = strings.Split(value, ",")
	}
	var err error
	if p.scope, err = grant.ParseScope(lists["displays"], lists["networks"]); err != nil {
		return err
	}
	if lists["displays"] != nil && p.Role != grant.Viewer && p.Role != grant.Controller {
		// An operator also changes sessions and reserves capacity, on any display. The limit would restrict nothing.
		return fmt.Errorf("displays= is a limit for viewers and controllers, not for the role %s", p.Role)
	}
	if until := lists["until"]; until != nil {
		if p.until, err = time.Parse(time.RFC3339, strings.Join(until, ",")); err != nil {
			return fmt.Errorf("until=%.60q is not a time such as 2027-01-31T18:00:00Z", strings.Join(until, ","))
		}
		p.until = p.until.UTC()
	}
	return nil
}

// NewToken makes a token, and its line for the file of tokens. Limits are written as in the file, such as
// "displays=x11:*".
func NewToken(name, role string, limits ...string) (token, line string, err error) {
	secret := make([]byte, 20) // 160 bits
	rand.Read(secret)          // it never fails
	token = strings.ToLower(base32.StdEncoding.EncodeToString(secret))
	hash := sha256.Sum256([]byte(token))
	fields := append([]string{name, role, "sha256:" + hex.EncodeToString(hash[:])}, limits...)
	for _, f := range fields {
		if f == "" || strings.HasPrefix(name, "#") || strings.ContainsFunc(f, unicode.IsSpace) {
			return "", "", errors.New("a name, a role and limits must not be empty or contain blanks, " +
				"and a name must not begin with #")
		}
	}
	if _, err := parseToken(fields); err != nil {
		return "", "", err
	}
	return token, strings.Join(fields, " "), nil
}
