package main

import (
	"cmp"
	"log/slog"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/session/api/durable"
)

// versionsFile is in the state folder of the service.
const versionsFile = "versions.json"

// versions is how often the daemon's version has changed.
type versions struct {
	Version   string `json:"version"` // of the last daemon
	Upgrades  uint64 `json:"upgrades"`
	Rollbacks uint64 `json:"rollbacks"`
}

// countVersion notes in the state folder that a version of the daemon runs. It returns the changes of the version so
// far: a newer version than the last one is an upgrade, an older one a rollback.
func countVersion(env []string, version string, log *slog.Logger) versions {
	dir := serviceState(env)
	if dir == "" {
		return versions{}
	}
	path := filepath.Join(dir, versionsFile)
	durable.Tidy(path)
	var v versions
	if err := readStateFile(path, &v); err != nil {
		log.Warn("record of versions not understood; it begins anew", "file", path, "err", err)
		v = versions{}
	}
	if v.Version == version {
		return v
	}
	switch order, ok := compareVersions(version, v.Version); {
	case !ok:
	case order > 0:
		v.Upgrades++
	case order < 0:
		v.Rollbacks++
	}
	v.Version = version
	if err := writeStateFile(path, v); err != nil {
		log.Warn("version of the daemon not recorded", "file", path, "err", err)
	}
	return v
}

var versionForm = regexp.MustCompile(`^v(\d{1,9})\.(\d{1,9})\.(\d{1,9})(-[0-9A-Za-z.-]+)?(\+.*)?$`)

// compareVersions compares two versions as Go's modules have them; ok is false if one of them has another form. Of two
// prereleases of a version the later one has the later name, as with the times in versions of untagged builds.
func compareVersions(a, b string) (order int, ok bool) {
	x, y := versionForm.FindStringSubmatch(a), versionForm.FindStringSubmatch(b)
	if x == nil || y == nil {
		return 0, false
	}
	for i := 1; i <= 3; i++ {
		m, _ := strconv.Atoi(x[i]) // at most nine digits
		n, _ := strconv.Atoi(y[i])
		if order = cmp.Compare(m, n); order != 0 {
			return order, true
		}
	}
	switch {
	case x[4] == y[4]:
		return 0, true
	case x[4] == "":
		return 1, true
	case y[4] == "":
		return -1, true
	}
	return cmp.Compare(x[4], y[4]), true
}

// newVersionCounters returns the metrics of the changes of the version.
func newVersionCounters(v versions) []prometheus.Collector {
	upgrades := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wavry_host_upgrades_total",
		Help: "Starts of a newer version than the one before, since the state folder exists.",
	})
	upgrades.Add(float64(v.Upgrades))
	rollbacks := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "wavry_host_rollbacks_total",
		Help: "Starts of an older version than the one before, since the state folder exists.",
	})
	rollbacks.Add(float64(v.Rollbacks))
	return []prometheus.Collector{upgrades, rollbacks}
}
