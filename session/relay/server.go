// Package relay knows the STUN and TURN servers of a host: it probes which of them work, and chooses the servers of a
// session.
package relay

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // TURN servers use it
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Server is a STUN or TURN server, or several with the same credentials.
type Server struct {
	// URLs begin with stun:, stuns:, turn: or turns: (RFC 7064, RFC 7065).
	URLs []string
	// Username and Credential are for TURN; both or none.
	Username, Credential string
	// Secret, if set, is shared with the server. It makes credentials for each user, valid for Lifetime, instead of
	// Username and Credential.
	Secret   string
	Lifetime time.Duration
	// Region is the region of the server; empty for none.
	Region string
	// Priority sorts the servers of a region: the lowest goes first. Equal ones keep the order of the list.
	Priority int
}

// Credentials returns the credentials of a user at a TURN server until a time, from the shared secret
// (draft-uberti-behave-turn-rest-00, section 2.2).
func Credentials(secret, user string, until time.Time) (username, credential string) {
	username = strconv.FormatInt(until.Unix(), 10) + ":" + user
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(username))
	return username, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// For returns s for a user: without the secret, and with credentials made from it. They are valid no longer than last,
// unless last is zero.
func (s Server) For(user string, now, last time.Time) Server {
	if s.Secret != "" {
		until := now.Add(s.Lifetime)
		if !last.IsZero() && last.Before(until) {
			until = last
		}
		s.Username, s.Credential = Credentials(s.Secret, user, until)
		s.Secret = ""
	}
	return s
}

// relays reports whether s is used as a TURN server.
func (s Server) relays() bool { return slices.ContainsFunc(s.URLs, isTURN) }

func isTURN(u string) bool { return strings.HasPrefix(u, "turn") }

// Validate returns an error that names what is invalid. It never contains a credential.
func (s Server) Validate() error {
	if len(s.URLs) == 0 {
		return fmt.Errorf("relay: ICE server of user %q has no URL", s.Username)
	}
	for _, u := range s.URLs {
		if _, err := parse(u); err != nil {
			return err
		}
	}
	if s.relays() && s.Secret == "" && (s.Username == "" || s.Credential == "") {
		return fmt.Errorf("relay: ICE server %q takes a user name and a credential", s.URLs[0])
	}
	if !quotable(s.Username) || !quotable(s.Credential) {
		return fmt.Errorf("relay: user name or credential of ICE server %q holds a control character", s.URLs[0])
	}
	if s.Region != "" && !IsRegion(s.Region) {
		return fmt.Errorf("relay: region %.40q of ICE server %q is not up to 32 letters, digits, dots, dashes and "+
			"underscores", s.Region, s.URLs[0])
	}
	return nil
}

// quotable reports whether s can be in a quoted string of a header.
func quotable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// IsRegion reports whether s can be the name of a region.
func IsRegion(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_", r)
	})
}

// IsURL reports whether u is the URL of a STUN or TURN server.
func IsURL(u string) bool {
	_, err := parse(u)
	return err == nil
}

// address is the parsed URL of a server.
type address struct {
	turn, secure bool
	host, port   string
	tcp          bool
}

// parse parses a STUN or TURN URL that fits into a Link header.
func parse(u string) (address, error) {
	scheme, rest, _ := strings.Cut(u, ":")
	a := address{port: "3478"}
	switch scheme {
	case "stun":
	case "stuns":
		a.secure, a.tcp, a.port = true, true, "5349"
	case "turn":
		a.turn = true
	case "turns":
		a.turn, a.secure, a.tcp, a.port = true, true, true, "5349"
	default:
		return a, fmt.Errorf("relay: ICE server %.80q has none of the schemes stun, stuns, turn and turns", u)
	}
	for _, r := range u {
		if r <= ' ' || r > '~' || strings.ContainsRune(`<>"`, r) {
			return a, fmt.Errorf("relay: ICE server %.80q holds %q, which a URL cannot", u, r)
		}
	}
	rest, query, asked := strings.Cut(rest, "?")
	if asked && a.turn {
		switch query {
		case "transport=udp":
			a.tcp = false
		case "transport=tcp":
			a.tcp = true
		}
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		// An IPv6 address is in brackets without a port, too (RFC 7064, section 3.1).
		host, port = strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]"), a.port
	}
	if host == "" {
		return a, fmt.Errorf("relay: ICE server %.80q names no host", u)
	}
	a.host, a.port = host, port
	return a, nil
}

// protocol is the transport protocol between this host and the server.
func (a address) protocol() string {
	if a.tcp {
		return "tcp"
	}
	return "udp"
}

// ErrNoSource means that none of this machine's addresses may be used for media.
var ErrNoSource = errors.New("relay: no local address may be used")
