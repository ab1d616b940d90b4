package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"

	"wavryhost/cmd/wavry-host/config"
)

// serviceTokenPath is the file of the system service's own token: the folder of StateDirectory= in the unit.
const serviceTokenPath = "/var/lib/wavry-host/token"

// urlCmd is "wavry-host url".
type urlCmd struct {
	Settings settingFlags `embed:""`
}

// Run is called by kong.
func (c *urlCmd) Run(a *app) error {
	l, err := c.Settings.load(a)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(l.API.Listen)
	if err != nil {
		return err
	}
	if port == "0" {
		return &coded{
			exitUsage,
			errors.New(`api.listen has port 0, so only the daemon's log has the port: see "api listening"`),
		}
	}
	token, err := l.operatorToken(a, serviceTokenPath)
	if err != nil {
		return err
	}
	addr := net.Addr(listenAddr(net.JoinHostPort(host, port)))
	if tcp, err := net.ResolveTCPAddr("tcp", l.API.Listen); err == nil && tcp.IP.IsUnspecified() {
		addr = tcp
	}
	say(a.stdout, "%s\n", withToken(l.pageURL(addr), token))
	if token == "" {
		say(
			a.stderr, "wavry-host: the configuration has no operator's token: add #token=… with one of "+
				"auth.tokens_file or a grant\n",
		)
	}
	return nil
}

// listenAddr is a configured address.
type listenAddr string

func (listenAddr) Network() string  { return "tcp" }
func (l listenAddr) String() string { return string(l) }

// operatorToken returns the token that a running daemon with this configuration accepts from its operator. It is empty
// if the configuration has other credentials only. service is the file of the system service, for users who may read
// it.
func (l *loaded) operatorToken(a *app, service string) (config.Secret, error) {
	if l.SharedToken != "" || l.Guarded() {
		return l.SharedToken, nil
	}
	var tried []string
	for _, path := range []string{service, ownTokenPath(a.env)} {
		if path == service && serviceState(a.env) != "" || path == "" {
			continue
		}
		text, err := readOwnToken(path)
		if err == nil {
			return text, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w; run this as root or as the daemon's user", err)
		}
		tried = append(tried, path+": "+config.Reason(err))
	}
	return "", fmt.Errorf("find the daemon's token (it is made at the first start): %s", strings.Join(tried, "; "))
}

// withToken returns the address of the page with a token for it. The token is in the fragment, which browsers do not
// send.
func withToken(page string, token config.Secret) string {
	if token == "" {
		return page
	}
	return page + "#token=" + url.QueryEscape(token.Reveal())
}
