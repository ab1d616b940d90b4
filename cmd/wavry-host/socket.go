package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/grant"
)

// serviceSocket is the socket of the system service: the folder of RuntimeDirectory= in the unit.
const serviceSocket = "/run/wavry-host/api.sock"

// socketPath returns the path of the daemon's socket for its operators on this machine. It is empty for none.
func socketPath(setting string, env []string) string {
	if setting != config.Auto {
		return setting
	}
	a := app{env: env}
	if dir, _, _ := strings.Cut(a.variable("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return filepath.Join(dir, "api.sock")
	}
	if dir := a.variable("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "wavry-host", "api.sock")
	}
	return inState("api.sock", env) // as for root in a container: next to the daemon's own token
}

// localAPI serves the API on a Unix socket. Its clients are operators: root, and the user of the daemon. The kernel
// says who they are.
type localAPI struct {
	path    string
	handler http.Handler
	log     *slog.Logger
}

// errSocketInUse means that another process answers on the socket.
var errSocketInUse = errors.New("another daemon uses it")

// listen opens the socket.
func (l *localAPI) listen(ctx context.Context) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return nil, err
	}
	ln, err := listenUnix(ctx, "unix", l.path)
	if err != nil {
		return nil, err
	}
	return peers{ln, l.log}, nil
}

// listenUnix opens a Unix socket for this user. A socket that a process left behind is replaced; another file, or a
// socket in use, is an error.
func listenUnix(ctx context.Context, network, path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s exists and is no socket", path)
	case err == nil:
		var d net.Dialer
		if c, err := d.DialContext(ctx, network, path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("%s: %w", path, errSocketInUse)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, network, path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// run serves until ctx ends. Without the socket the daemon works all the same: the commands on this machine need a
// token then.
func (l *localAPI) run(ctx context.Context) error {
	if l.path == "" {
		return nil
	}
	ln, err := l.listen(ctx)
	if err != nil {
		l.log.Warn("no socket for the operators of this machine", "err", err,
			"remedy", "set api.socket to a path in a folder that the daemon can write, or to none")
		return nil
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = localAddress
			l.handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(l.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			p, _ := c.(*localConn)
			return auth.WithPrincipal(ctx, auth.Principal{
				Owner: session.Owner{Credential: session.CredentialLocal, Name: p.name}, Role: grant.Operator,
			})
		},
	}
	l.log.Info("api listening for the operators of this machine", "socket", l.path)
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // the listener removes the socket
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.path, err)
	}
	return nil
}

// localAddress stands for the address of a client on the socket, which has none.
const localAddress = "127.0.0.1:0"

// peers accepts the connections of root and of the daemon's own user.
type peers struct {
	net.Listener
	log *slog.Logger
}

// localConn is a connection of a known user.
type localConn struct {
	net.Conn
	name string
}

func (p peers) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err == nil && (uid == 0 || uid == os.Geteuid()) {
			return &localConn{c, userName(uid)}, nil
		}
		p.log.Warn("client of the socket refused: it is neither root nor the user of the daemon", "uid", uid, "err", err)
		_ = c.Close()
	}
}

// userName returns the name of a user, or the number if it has none.
func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(uid)
}
