package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"

	"github.com/prometheus/client_golang/prometheus"
)

// hashLength is the length of a configuration's hash, in hexadecimal digits.
const hashLength = 12

// configHash returns a hash of the settings without their secrets: hosts with the same settings have the same hash.
func configHash(c *config.Config) string {
	h := sha256.New()
	for _, s := range config.Settings() {
		if !s.Secret {
			_, _ = fmt.Fprintf(h, "%s=%v\n", s.Name, s.Value(c)) // secrets in lists print as hidden; a hash does not fail
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:hashLength]
}

// newConfigInfo returns the metric with the hash of the configuration in force.
func newConfigInfo(reg prometheus.Registerer) *prometheus.GaugeVec {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "wavry_host_config_info",
		Help: "1, with a hash of the configuration in force. Secrets do not count.",
	}, []string{"hash"})
	reg.MustRegister(info)
	return info
}

// showConfig sets the metric to a configuration.
func showConfig(info *prometheus.GaugeVec, c *config.Config) {
	info.Reset()
	info.WithLabelValues(configHash(c)).Set(1)
}

// lastExit records how the daemon ends, in the state folder of the service. The next daemon shows it.
type lastExit struct {
	path string // empty for none
	log  *slog.Logger
}

// newLastExit returns the record, and how the previous daemon ended. From here on, a daemon without a recorded end was
// killed.
func newLastExit(env []string, log *slog.Logger) (l *lastExit, before string) {
	l = &lastExit{log: log}
	dir := serviceState(env)
	if dir == "" {
		return l, session.ExitUnknown
	}
	l.path = filepath.Join(dir, "last_exit")
	text, err := os.ReadFile(l.path)
	before = strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		before = session.ExitUnknown
	case err != nil || !slices.Contains(session.Exits(), before):
		log.Warn("record of the previous end not understood; it is replaced", "file", l.path, "err", err)
		before = session.ExitUnknown
	}
	l.begin()
	return l, before
}

// begin notes that the daemon runs.
func (l *lastExit) begin() { l.set(session.ExitKilled) }

// end records the end of the daemon.
func (l *lastExit) end(err error) {
	if err != nil {
		l.set(session.ExitFailed)
		return
	}
	l.set(session.ExitClean)
}

func (l *lastExit) set(reason string) {
	if l.path == "" {
		return
	}
	if err := os.WriteFile(l.path, []byte(reason+"\n"), 0o600); err != nil {
		l.log.Warn("end of the daemon not recorded", "file", l.path, "err", err)
	}
}

// newExitInfo returns the metric that shows how the previous daemon ended.
func newExitInfo(reg prometheus.Registerer) *prometheus.GaugeVec {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "wavry_host_last_exit_info",
		Help: "1, with how the previous daemon ended: clean, failed, killed (it recorded no end), or unknown.",
	}, []string{"reason"})
	reg.MustRegister(info)
	return info
}
