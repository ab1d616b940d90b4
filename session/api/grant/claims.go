package grant

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxName bounds jti and sub, in bytes: they are kept, logged and audited. maxIssuer bounds iss, which is usually a
	// URL.
	maxName   = 128
	maxIssuer = 256
	// maxBitrate is the highest bitrate that a grant may name, in bits per second.
	maxBitrate = 1_000_000_000
	// maxSessions is the largest number of sessions that a grant may allow its subject.
	maxSessions = 10_000
	// endOfTime is later than any useful date, in seconds since 1970, and far from overflow.
	endOfTime = 1 << 36
)

// scope is the claim "wavry". It is an object of its own so that it can be read strictly: a misspelt limit must not be
// ignored.
type scope struct {
	Role       string   `json:"role"`
	Displays   []string `json:"displays"`
	Session    string   `json:"session"`
	Networks   []string `json:"networks"`
	MaxBitrate *int     `json:"max_bitrate"`
	// MaxSessions bounds the sessions of the subject.
	MaxSessions *int `json:"max_sessions"`
	Once        bool `json:"once"`
}

// read makes a Grant of verified claims. payload is the text that they were decoded from.
func read(payload string, claims jwt.MapClaims, lifetime time.Duration) (Grant, error) {
	if err := unique(payload); err != nil {
		return Grant{}, err
	}
	var g Grant
	var err error
	if g.ID, err = name(claims, "jti", maxName); err != nil {
		return Grant{}, err
	}
	if g.Subject, err = name(claims, "sub", maxName); err != nil {
		return Grant{}, err
	}
	if _, ok := claims["iss"]; ok {
		if g.Issuer, err = name(claims, "iss", maxIssuer); err != nil {
			return Grant{}, err
		}
	}
	if g.Issued, err = date(claims, "iat"); err != nil {
		return Grant{}, err
	}
	if g.Expires, err = date(claims, "exp"); err != nil {
		return Grant{}, err
	}
	if _, ok := claims["nbf"]; ok {
		if _, err = date(claims, "nbf"); err != nil {
			return Grant{}, err
		}
	}
	if lives := g.Expires.Sub(g.Issued); lives <= 0 || lives > lifetime {
		return Grant{}, wrong(Malformed, "it lives from iat to exp for %v; the limit is %v", lives, lifetime)
	}
	return g, g.limit(claims["wavry"])
}

// name returns a claim that must be a short printable text.
func name(claims jwt.MapClaims, claim string, most int) (string, error) {
	s, _ := claims[claim].(string)
	if s == "" || len(s) > most {
		return "", wrong(Malformed, "%s is missing, or has more than %d bytes", claim, most)
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == utf8.RuneError {
			return "", wrong(Malformed, "%s contains a blank or a character that is not printable", claim)
		}
	}
	return s, nil
}

func date(claims jwt.MapClaims, claim string) (time.Time, error) {
	n, ok := claims[claim].(float64)
	if !ok || n < 0 || n > endOfTime {
		return time.Time{}, wrong(Malformed, "%s is not a number of seconds since 1970", claim)
	}
	whole, part := math.Modf(n)
	return time.Unix(int64(whole), int64(part*1e9)), nil
}

// limit reads the claim "wavry".
func (g *Grant) limit(claim any) error {
	if _, ok := claim.(map[string]any); !ok {
		return wrong(Malformed, "the claim wavry is not an object")
	}
	for field, value := range claim.(map[string]any) { //nolint:forcetypeassert // checked right above
		switch field {
		case "role", "displays", "session", "networks", "max_bitrate", "max_sessions", "once":
			if value == nil {
				return wrong(Malformed, "wavry.%s is null; leave it out", field)
			}
		default: // the decoder below ignores case
			return wrong(Malformed, "wavry.%.40q is unknown", field)
		}
	}
	text, err := json.Marshal(claim)
	var s scope
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return wrong(Malformed, "a field of wavry has the wrong type")
	}
	if g.Role, err = ParseRole(s.Role); err != nil {
		return wrong(Malformed, "wavry.%v", err)
	}
	if len(s.Session) > maxName {
		return wrong(Malformed, "wavry.session is longer than the ID of any session")
	}
	// Checked at the top.
	if _, named := claim.(map[string]any)["session"]; named && s.Session == "" { //nolint:forcetypeassert // as above
		return wrong(Malformed, "wavry.session is empty, which limits nothing; leave it out")
	}
	if g.Scope, err = ParseScope(s.Displays, s.Networks); err != nil {
		return wrong(Malformed, "wavry.%v", err)
	}
	g.Session, g.Once = s.Session, s.Once
	if s.MaxBitrate != nil {
		if g.MaxBitrate = *s.MaxBitrate; g.MaxBitrate <= 0 || g.MaxBitrate > maxBitrate {
			return wrong(Malformed, "wavry.max_bitrate is not from 1 to %d", maxBitrate)
		}
	}
	if s.MaxSessions != nil {
		if g.MaxSessions = *s.MaxSessions; g.MaxSessions <= 0 || g.MaxSessions > maxSessions {
			return wrong(Malformed, "wavry.max_sessions is not from 1 to %d", maxSessions)
		}
	}
	// An operator also changes sessions and reserves capacity, where these would limit nothing.
	if limits := g.Once || g.Displays != nil || g.Session != "" || s.MaxBitrate != nil ||
		s.MaxSessions != nil; limits && g.Role != Viewer && g.Role != Controller {
		return wrong(Malformed,
			"wavry.displays, session, max_bitrate, max_sessions and once limit viewers and controllers, not the role %s", g.Role)
	}
	return nil
}

// unique refuses a part of a token in which a name appears twice.
func unique(part string) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return wrong(Malformed, "a part of it is not base64url")
	}
	if err := UniqueNames(text); err != nil {
		return wrong(Malformed, "%v", err)
	}
	return nil
}

// UniqueNames refuses JSON in which a name appears twice in one object. Readers differ in which one counts (RFC 8725
// section 2.6), so a proxy in front may have checked another one than this daemon uses.
func UniqueNames(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		names map[string]bool // nil in a list
		value bool            // the next token is a value
	}
	var open []level
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.New("it is not JSON")
		}
		if len(open) > 0 {
			in := &open[len(open)-1]
			if key, ok := t.(string); ok && in.names != nil && !in.value {
				if in.names[key] {
					return fmt.Errorf("it has %.40q twice", key)
				}
				in.names[key], in.value = true, true
				continue
			}
			in.value = false
		}
		switch t {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
	}
}
