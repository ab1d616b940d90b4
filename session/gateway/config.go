package gateway

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"wavryhost/platform/guard"
	"wavryhost/session"
	"wavryhost/session/progress"
)

// Config configures a Link.
type Config struct {
	// URL is the gateway's WebSocket, such as wss://gateway.example.net/ws. The login has the same base, with
	// auth/login.
	URL string
	// Insecure allows ws:// to other machines, which exposes the token on the network. It is for development.
	Insecure bool
	// Dialect is the gateway's protocol. It defaults to Wavry.
	Dialect Dialect
	// Origin is the Origin header of the handshake. The gateway only accepts configured ones. Empty sends none.
	Origin string
	// TokenFile contains a token. AccountFile contains an account that is exchanged for tokens: a JSON object of email
	// and password. One of the two is required.
	TokenFile, AccountFile string
	// ReadFile reads these files, and should refuse files that every user can read. It defaults to os.ReadFile.
	ReadFile func(path string) ([]byte, error)
	// Username is the name of this host's account. It is required for the self-test if neither login nor token contain
	// it.
	Username string
	// Allow lists the users who may send offers: user names, or "*" for every account of the gateway. See Link.Prepare.
	Allow []string
	// Role is the role of these users; it defaults to viewer. See Link.Prepare.
	Role session.Role
	// Pins are SHA-256 fingerprints of certificates in hexadecimal digits, with or without colons. If there are any,
	// the gateway must present one of them, and its chain must be trusted.
	Pins []string
	// RootCAs verify the gateway's certificate. They default to the system's.
	RootCAs *x509.CertPool
	// Display is the display that callers get. It defaults to "default".
	Display string
	// MaxCallers bounds the users that are handled at the same time. It defaults to 64.
	MaxCallers int
	// Opened is called for each offer that reached the session manager, with its user, the role, and the session or the
	// error. It may be nil.
	Opened func(owner session.Owner, role session.Role, id string, err error)
	// Guard catches panics. A panic over a caller's message costs that message, any other the connection, which is made
	// again. Without a Guard they are only logged.
	Guard *guard.Guard
	// Progress has the loop that handles messages. It may be nil.
	Progress *progress.Board
	// Counters counts what happens. It may be nil.
	Counters Counters
}

func (c Config) withDefaults() Config {
	if c.Dialect == nil {
		c.Dialect = Wavry{}
	}
	if c.ReadFile == nil {
		c.ReadFile = os.ReadFile
	}
	if c.Display == "" {
		c.Display = "default"
	}
	if c.MaxCallers == 0 {
		c.MaxCallers = 64
	}
	if c.Opened == nil {
		c.Opened = func(session.Owner, session.Role, string, error) {}
	}
	if c.Counters == nil {
		c.Counters = uncounted{}
	}
	return c
}

// Validate returns an error that names the first invalid field. Zero fields count as their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	u, err := url.Parse(c.URL)
	traits := c.Dialect.Traits()
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" ||
		(u.Scheme != "ws" && u.Scheme != "wss"):
		// It is not shown: it may have a password.
		return errors.New("gateway: the URL is not of the form wss://host/ws")
	case u.Scheme == "ws" && !c.Insecure && !loopback(u.Hostname()):
		return fmt.Errorf("gateway: ws:// would show the token to everybody between here and %s: use wss://", u.Host)
	case (c.TokenFile == "") == (c.AccountFile == ""):
		return errors.New("gateway: either a token file or an account file is needed")
	case c.AccountFile != "" && !traits.Login:
		return fmt.Errorf("gateway: there is no login in dialect %s: use a token file", traits.Name)
	case c.Username != "" && !isName(c.Username):
		return fmt.Errorf("gateway: user name %.80q is not one", c.Username)
	case c.MaxCallers < 1:
		return fmt.Errorf("gateway: a limit of %d callers is not positive", c.MaxCallers)
	case len(c.Pins) > 0 && u.Scheme != "wss":
		return errors.New("gateway: certificates are pinned, and the URL is not wss://")
	}
	if _, err := parsePins(c.Pins); err != nil {
		return err
	}
	_, err = newAllowList(c.Allow)
	return err
}

// parsePins parses the fingerprints.
func parsePins(pins []string) (map[[32]byte]struct{}, error) {
	set := make(map[[32]byte]struct{}, len(pins))
	for _, p := range pins {
		b, err := hex.DecodeString(strings.ReplaceAll(p, ":", ""))
		if err != nil || len(b) != 32 {
			return nil, fmt.Errorf("gateway: pin %.80q is not the SHA-256 of a certificate: 64 hexadecimal digits", p)
		}
		set[[32]byte(b)] = struct{}{}
	}
	return set, nil
}

// loopback reports whether host is this machine. Names other than localhost are not looked up.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// manager is what the link uses of the session manager.
type manager interface {
	Create(ctx context.Context, o session.Offer) (session.Answer, error)
	Patch(ctx context.Context, id, ifMatch, fragment string) (session.Patched, error)
	End(ctx context.Context, id string, why session.EndReason, note string) error
	Session(id string) (session.Snapshot, error)
}

var _ manager = (*session.Manager)(nil)
