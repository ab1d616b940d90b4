package service

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

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
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("service manager not notified", "message", state, "err", err)
	}
}
