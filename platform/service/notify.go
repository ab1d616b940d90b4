package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// sendTimeout is how long a manager is waited for that does not read: its socket has room for some ten messages, and then holds up whoever writes, and the daemon's own end.
const sendTimeout = time.Second

// Notifier tells systemd how the daemon is doing. Without systemd it does nothing.
type Notifier struct {
	log *slog.Logger
}

// NewNotifier returns a notifier of the manager that the environment names.
func NewNotifier(log *slog.Logger) *Notifier { return &Notifier{log: log} }

// Ready tells that the daemon serves.
func (n *Notifier) Ready() { n.send(daemon.SdNotifyReady) }

// Stopping tells that the daemon began to stop.
func (n *Notifier) Stopping() { n.send(daemon.SdNotifyStopping) }

// Status tells, in a line for people, what the daemon is at.
func (n *Notifier) Status(text string) {
	n.send("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Watchdog gives a sign of life, twice in the time that systemd allows, as long as healthy returns true. It blocks until ctx
// ends, and returns at once when systemd expects no sign. A healthy that does not return withholds the sign too.
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
			n.log.Warn("watchdog sign withheld")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (n *Notifier) send(state string) {
	// A manager that cannot be reached is not the daemon's trouble: systemd acts on the missing message.
	if err := notify(state); err != nil {
		n.log.Warn("service manager not notified", "message", state, "err", err)
	}
}

// notify is daemon.SdNotify with an end to how long it takes.
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
