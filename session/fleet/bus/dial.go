package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Config says how to reach NATS.
type Config struct {
	// URL is one or several servers, separated by commas: nats://nats1.example.net:4222.
	URL string
	// Insecure allows connections to other machines without TLS, and to servers without credentials. It is for
	// development.
	Insecure bool
	// CredentialsFile has the credentials, as "nsc" writes them. It is read at each connection.
	CredentialsFile string
	// Identity is the key to log in with if there is no CredentialsFile. It may be nil.
	Identity *Identity
	// RootCAs verify the server's certificate. They default to the system's.
	RootCAs *x509.CertPool
	// Name is what the server shows of the connection.
	Name string
	// Inbox is the prefix of reply subjects. It defaults to "_INBOX".
	Inbox string
}

// servers returns the servers of c.
func (c Config) servers() ([]*url.URL, error) {
	var list []*url.URL
	for one := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" ||
			(u.Scheme != "nats" && u.Scheme != "tls") {
			// It is not shown: it may have a password.
			return nil, errors.New("fleet: a server is not of the form nats://host:4222 or tls://host:4222")
		}
		list = append(list, u)
	}
	return list, nil
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	_, err := c.servers()
	return err
}

// encrypted reports whether connections use TLS: all that leave this machine do.
func (c Config) encrypted() bool {
	list, err := c.servers()
	if err != nil {
		return true
	}
	for _, u := range list {
		if u.Scheme == "tls" || !c.Insecure && !loopback(u.Hostname()) {
			return true
		}
	}
	return false
}

// loopback reports whether host is this machine. Names other than localhost are not looked up.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// The waits between attempts to connect. They are random, so that the hosts of a pool do not return all at once.
const (
	firstWait   = 200 * time.Millisecond
	longestWait = 10 * time.Second
)

// wait returns the time to wait after so many failed attempts.
func wait(attempts int) time.Duration {
	limit := firstWait << min(attempts, 6)
	return firstWait/2 + rand.N(min(limit, longestWait))
}

// A server that is silent for three intervals is lost, as when its machine loses power. That is GoneAfter: the host is
// at another server about when the others notice.
const (
	pingInterval = 5 * time.Second
	maxPings     = 2
)

// pendingBytes bounds what is kept while there is no connection, in bytes. Heartbeats and answers are worthless later.
const pendingBytes = 64 << 10

// Connect returns a connection that is made in the background, and again whenever it is lost, until it is closed.
// options are added to its own.
func (c Config) Connect(options ...nats.Option) (*nats.Conn, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	all := []nats.Option{
		nats.Name(c.Name), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(wait), nats.ReconnectBufSize(pendingBytes), nats.Timeout(5 * time.Second),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings), nats.NoEcho(),
	}
	if c.Inbox != "" {
		all = append(all, nats.CustomInboxPrefix(c.Inbox))
	}
	if c.encrypted() {
		all = append(all, nats.Secure(&tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}))
	}
	switch {
	case c.CredentialsFile != "":
		all = append(all, nats.UserCredentials(c.CredentialsFile))
	case c.Identity != nil && !c.Insecure:
		all = append(all, nats.Nkey(c.Identity.Public(), c.Identity.Sign))
	}
	nc, err := nats.Connect(c.URL, append(all, options...)...)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	return nc, nil
}
