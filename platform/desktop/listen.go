package desktop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"wavryhost/platform/child"
)

// LogPath is the path of the log of a supervisor that a daemon has started.
func LogPath(socket string) string { return socket + ".log" }

// Detached returns a function that starts a supervisor as a process that outlives this one. It listens on the socket.
func Detached(socket string) func() (*child.Process, error) {
	return func() (*child.Process, error) {
		self, err := child.Self()
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
			return nil, err
		}
		out, err := os.OpenFile(LogPath(socket), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, err
		}
		defer out.Close()
		return child.Detach(child.Command{Program: self, Args: []string{"desktop", "run", "--socket", socket}}, out)
	}
}

// Listen opens the socket of a supervisor. A socket that a supervisor left behind is replaced. The lock belongs to the
// listener, which releases it at its end: of two supervisors that start at once, one gets an error.
func Listen(ctx context.Context, socket string) (net.Listener, error) {
	lock, err := lockFile(socket + ".lock")
	if err != nil {
		return nil, fmt.Errorf("desktop: another supervisor has the socket %s: %w", socket, err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, lock.Close())
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", socket)
	if err == nil {
		err = os.Chmod(socket, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return locked{ln, lock}, nil
}

// locked is a listener with a lock.
type locked struct {
	net.Listener
	lock *os.File
}

func (l locked) Close() error { return errors.Join(l.Listener.Close(), l.lock.Close()) }
