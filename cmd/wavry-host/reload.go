package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
	"wavryhost/session/api"
)

// configurable is what a reloader informs about a new configuration.
type configurable interface {
	Reconfigure(session.Config) error
}

// preparable is the API. A new configuration must fit it before any part is applied.
type preparable interface {
	Prepare(api.Config) (apply func(), err error)
}

// allowing is a link to a gateway, whose users a new configuration may change.
type allowing interface {
	Prepare(allow []string, role session.Role) (apply func(), err error)
}

// reloader reads the configuration again on demand. It checks a change as a whole before it applies any part. A change
// that required confirmation and got none is taken back.
type reloader struct {
	read    func() (*loaded, error)
	manager configurable
	// event records the outcome of a change, and returns the event's ID.
	event func(outcome string, err error) uint64
	// api is set once it is made, which requires the reloader.
	api preparable
	// link is the link to the gateway, nil without one.
	link  allowing
	level *slog.LevelVar
	// trail is the audit log. others apply what cannot fail.
	trail   *trail
	others  []func(*config.Config)
	log     *slog.Logger
	results *prometheus.CounterVec
	good    prometheus.Gauge
	// look searches for missing drivers of graphics cards at each reload; nil for none.
	look func()
	// terminal means that the daemon was started by hand.
	terminal bool

	mu      sync.Mutex // guards all following fields
	current *loaded    // the applied configuration
	before  *loaded    // the previous configuration, while a change waits for confirmation; else nil
	by      time.Time  // the end of that wait
	timer   *time.Timer
}

// newReloader returns a reloader of the configuration that read returns. current is in force.
func newReloader(
	current *loaded, read func() (*loaded, error), level *slog.LevelVar, m configurable,
	event func(outcome string, err error) uint64, reg prometheus.Registerer, log *slog.Logger,
) *reloader {
	r := &reloader{
		read: read, manager: m, event: event, level: level, trail: new(trail), log: log, current: current,
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_config_reloads_total",
			Help: "Attempts to change the configuration of the running daemon, by result.",
		}, []string{"result"}),
		good: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wavry_host_config_last_reload_successful",
			Help: "1 unless the last read configuration was refused.",
		}),
	}
	r.good.Set(1)
	reg.MustRegister(r.results, r.good)
	return r
}

// complete makes all series of closed sets exist, for the document of all metrics.
func (r *reloader) complete() {
	for _, result := range []string{
		session.ConfigApplied, session.ConfigRefused, session.ConfigRolledBack, session.ConfigConfirmed,
	} {
		r.results.WithLabelValues(result)
	}
}

// run reloads at each SIGHUP until ctx ends. On a terminal this signal keeps its meaning: the terminal is gone.
func (r *reloader) run(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	if !r.terminal {
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
	}
	for {
		select {
		case <-ctx.Done():
			r.settle()
			return nil
		case <-hup:
			_, _ = r.reload(0) // the log has it
		}
	}
}

// settle ends the wait for a confirmation. At the end of the daemon there is nothing to take back.
func (r *reloader) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = nil
	if r.timer != nil {
		r.timer.Stop()
	}
}

// reload reads the configuration and applies what is possible. With a time to confirm, the change is taken back after
// that unless confirm is called. Without one, an earlier change that waits for confirmation keeps waiting, and this
// one with it. So another person's SIGHUP cannot make a change permanent that locks its author out.
func (r *reloader) reload(within time.Duration) (api.Reloaded, error) {
	if r.look != nil {
		r.look()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := r.read()
	if err == nil {
		err = r.apply(next)
	}
	if err != nil {
		r.good.Set(0)
		r.results.WithLabelValues(session.ConfigRefused).Inc()
		event := r.event(session.ConfigRefused, err)
		r.log.Error("configuration refused; the previous one stays in force", "event", event, "err", err)
		return api.Reloaded{}, fmt.Errorf("%w: %w", api.ErrBadConfiguration, err)
	}
	r.good.Set(1)
	r.results.WithLabelValues(session.ConfigApplied).Inc()
	applied, restart := r.changes(r.current, next)
	event := r.event(session.ConfigApplied, nil)
	for _, text := range next.Warnings {
		r.log.Warn("configuration", "problem", text)
	}
	r.log.Info("configuration read again", "event", event, "files", strings.Join(next.Files, " "+
		""), "applied", strings.Join(applied, " "),
		"needs_restart", strings.Join(restart, " "))
	out := api.Reloaded{Applied: applied, NeedsRestart: restart}
	before := r.current
	r.current = next
	switch {
	case within > 0:
		r.by = time.Now().Add(within)
	case r.before == nil:
		return out, nil
	}
	if r.before == nil {
		r.before = before // of several unconfirmed changes, all are taken back
	} else {
		r.timer.Stop()
	}
	out.ConfirmBy = r.by
	r.timer = time.AfterFunc(time.Until(r.by), func() { r.takeBack(next) })
	return out, nil
}

// takeBack restores the configuration before next, unless next was confirmed or replaced.
func (r *reloader) takeBack(next *loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before == nil || r.current != next {
		return
	}
	err := r.apply(r.before)
	r.current, r.before = r.before, nil
	r.results.WithLabelValues(session.ConfigRolledBack).Inc()
	event := r.event(session.ConfigRolledBack, err)
	r.log.Warn("configuration taken back; the change was not confirmed", "event", event, "err", err)
}

// confirm makes the last change permanent.
func (r *reloader) confirm() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before == nil {
		return api.ErrNothingToConfirm
	}
	r.before = nil
	r.timer.Stop()
	r.results.WithLabelValues(session.ConfigConfirmed).Inc()
	r.log.Info("configuration confirmed", "event", r.event(session.ConfigConfirmed, nil))
	return nil
}

// apply applies l completely, or not at all. The caller holds mu.
func (r *reloader) apply(l *loaded) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Log.Level)); err != nil {
		return fmt.Errorf("log level: %w", err)
	}
	serve, err := r.api.Prepare(apiConfig(l))
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "api: "))
	}
	allow := func() {}
	if r.link != nil && l.Gateway.URL != "" {
		if allow, err = r.link.Prepare(l.Gateway.Allow, gatewayRole(l.Gateway.Role)); err != nil {
			return errors.New(strings.TrimPrefix(err.Error(), "gateway: "))
		}
	}
	audit, drop, err := r.trail.prepare(l.API.AuditFile)
	if err != nil {
		return err
	}
	if err := r.manager.Reconfigure(sessionLimits(l)); err != nil {
		drop()
		return errors.New(strings.TrimPrefix(err.Error(), "session: "))
	}
	serve()
	allow()
	audit()
	for _, apply := range r.others {
		apply(&l.Config)
	}
	r.level.Set(level)
	return nil
}

// changes returns the names of the settings that differ: the applied ones, and the ones that require a restart.
func (r *reloader) changes(old, next *loaded) (applied, restart []string) {
	applied, restart = []string{}, []string{}
	for _, s := range config.Settings() {
		same := reflect.DeepEqual(s.Value(&old.Config), s.Value(&next.Config)) &&
			(s.Name != "auth.token_file" || next.Auth.TokenFile == "" || old.SharedToken == next.SharedToken)
		switch {
		case same:
		case s.Live:
			applied = append(applied, s.Name)
		default:
			restart = append(restart, s.Name)
		}
	}
	return applied, restart
}
