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

	"wavryhost/session"
	"wavryhost/session/guard"
)

// Config is what an operator gives to a Link.
type Config struct {
	// URL is the gateway's WebSocket, as wss://gateway.example.net/ws. The login is beside it, at auth/login.
	URL string
	// Insecure allows ws:// to other machines, which shows the token to everybody on the way. It is for development.
	Insecure bool
	// Dialect is how the gateway talks. It defaults to Wavry.
	Dialect Dialect
	// Origin is the Origin header of the handshake; the gateway refuses origins that it does not know. Empty sends none.
	Origin string
	// TokenFile holds a token. AccountFile holds an account that is traded for tokens: a JSON object of email and password. There
	// must be one of the two.
	TokenFile, AccountFile string
	// ReadFile reads these files, and should refuse those that everybody can read. It defaults to os.ReadFile.
	ReadFile func(path string) ([]byte, error)
	// Username is what the gateway calls this host. It is needed for the self-test where neither login nor token tell it.
	Username string
	// Allow lists who may offer: user names, or "*" for every account of the gateway. See Link.Prepare.
	Allow []string
	// Role is what they may do; it defaults to that of a viewer. See Link.Prepare.
	Role session.Role
	// Pins are SHA-256 fingerprints of certificates in hexadecimal digits, with or without colons. When there are any, the
	// gateway has to present one of them, beside being trusted.
	Pins []string
	// RootCAs are the authorities that the gateway's certificate may come from. They default to the system's.
	RootCAs *x509.CertPool
	// Display is the display that callers get. It defaults to "default".
	Display string
	// MaxCallers is how many users are dealt with at a time. It defaults to 64.
	MaxCallers int
	// Opened is called for each offer that reached the session manager, with its user, role, and the session or the
	// error. It may be nil.
	Opened func(owner session.Owner, role session.Role, id string, err error)
	// Guard catches panics: in what a caller sends, which costs that message, or in the connection, which is made anew.
	// Without it they are only logged.
	Guard *guard.Guard
	// Counters are told what happens. They may be nil.
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

// Validate returns an error that names the first field that cannot work. Defaults are taken into account.
func (c Config) Validate() error {
	c = c.withDefaults()
	u, err := url.Parse(c.URL)
	traits := c.Dialect.Traits()
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" || (u.Scheme != "ws" && u.Scheme != "wss"):
		return errors.New("gateway: the URL is not of the form wss://host/ws") // it is not shown: it may have a password
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

// parsePins returns the fingerprints.
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

// loopback tells whether host is this machine. Names other than localhost are not looked up.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// manager is what the link asks of the session manager.
type manager interface {
	Create(ctx context.Context, o session.Offer) (session.Answer, error)
	Patch(ctx context.Context, id, ifMatch, fragment string) (session.Patched, error)
	End(ctx context.Context, id string, why session.EndReason, note string) error
	Session(id string) (session.Snapshot, error)
}

var _ manager = (*session.Manager)(nil)
