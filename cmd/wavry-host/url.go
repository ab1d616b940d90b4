package main

import (
	"context"
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
func (c *urlCmd) Run(ctx context.Context, a *app) error {
	l, err := c.Settings.load(a)
	if err != nil {
		return err
	}
	page, err := l.runningPage(ctx, a)
	if err == nil && page == "" {
		page, err = l.configuredPage()
	}
	if err != nil {
		return err
	}
	token, err := l.operatorToken(a, serviceTokenPath)
	if err != nil {
		return err
	}
	say(a.stdout, "%s\n", withToken(page, token))
	if token == "" {
		say(
			a.stderr, "wavry-host: the configuration has no operator's token: add #token=… with one of "+
				"auth.tokens_file or a grant\n",
		)
	}
	return nil
}

// runningPage returns the address of the page of the daemon that runs with this configuration: its flags may have
// another address than the file. It is empty if no daemon answers on the socket.
func (l *loaded) runningPage(ctx context.Context, a *app) (string, error) {
	var flags clientFlags
	if l.API.Socket != config.Auto {
		if flags.Socket = socketPath(l.API.Socket, a.env); flags.Socket == "" {
			return "", nil
		}
	}
	daemon, err := flags.connect(a)
	if err != nil {
		return "", nil //nolint:nilerr // none runs, or it is not this user's
	}
	var h struct {
		PageURL string `json:"page_url"`
	}
	err = daemon.call(ctx, "GET", "/v1/host", nil, &h, nil)
	return h.PageURL, err
}

// configuredPage returns the address of the page by the configuration.
func (l *loaded) configuredPage() (string, error) {
	host, port, err := net.SplitHostPort(l.API.Listen)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", &coded{
			exitUsage, errors.New("api.listen has port 0, and no daemon runs whose port could be asked"),
		}
	}
	addr := net.Addr(listenAddr(net.JoinHostPort(host, port)))
	if tcp, err := net.ResolveTCPAddr("tcp", l.API.Listen); err == nil && tcp.IP.IsUnspecified() {
		addr = tcp
	}
	return l.pageURL(addr), nil
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
