package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// sendTimeout bounds a message to a manager that does not read. The socket holds some ten messages; then it blocks the
// writer, and the daemon's own end.
const sendTimeout = time.Second

// Notifier informs systemd about the daemon. Without systemd it does nothing.
type Notifier struct {
	log *slog.Logger
	// mute: systemd accepts messages of the main process only, and that is another one.
	mute atomic.Bool
}

// NewNotifier returns a notifier of the manager that the environment names.
func NewNotifier(log *slog.Logger) *Notifier { return &Notifier{log: log} }

// Ready says that the daemon serves.
func (n *Notifier) Ready() { n.send(daemon.SdNotifyReady) }

// Stopping says that the daemon has begun to stop.
func (n *Notifier) Stopping() { n.send(daemon.SdNotifyStopping) }

// Status describes the state of the daemon, in a line for people.
func (n *Notifier) Status(text string) {
	n.send("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Watchdog gives a sign of life, twice in the time that systemd allows, as long as healthy returns true. It blocks
// until ctx ends, and returns at once if systemd expects no sign. A call of healthy that hangs withholds the sign too.
func (n *Notifier) Watchdog(ctx context.Context, healthy func() bool) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("service: watchdog: %w", err)
	}
	if limit == 0 {
		return nil
	}
	tick := time.NewTicker(max(limit/2, time.Millisecond))
	defer tick.Stop()
	for {
		if healthy() {
			n.send(daemon.SdNotifyWatchdog)
		} else {
			n.log.Warn("watchdog signal withheld")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Mute keeps messages back, or sends them again. It is for a daemon that is not, or not yet, the main process of its
// service.
func (n *Notifier) Mute(on bool) { n.mute.Store(on) }

// LeaveTo makes another process the main process of the service. It accepts no further messages of this one.
func (n *Notifier) LeaveTo(pid int) {
	n.send("MAINPID=" + strconv.Itoa(pid))
	n.Mute(true)
}

func (n *Notifier) send(state string) {
	if n.mute.Load() {
		return
	}
	// An unreachable manager does not matter to the daemon. systemd acts on the missing message.
	if err := notify(state); err != nil {
		n.log.Warn("service manager not notified", "message", state, "err", err)
	}
}

// notify is daemon.SdNotify with a time limit.
func notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}
