package main

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
)

// programFile is the file that the daemon was started from.
type programFile struct {
	path string
	info fs.FileInfo // nil if the system does not say
}

// ownProgram returns the file of this process. It is called at the start, while the file is still there.
func ownProgram() programFile {
	path, err := os.Executable()
	if err != nil {
		return programFile{}
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	info, err := os.Stat(path)
	if err != nil {
		return programFile{}
	}
	return programFile{path, info}
}

// replaced reports whether another file has taken the place of the program, as an update does. A removed program has
// no replacement to start.
func (p programFile) replaced() bool {
	if p.info == nil {
		return false
	}
	info, err := os.Stat(p.path)
	return err == nil && !os.SameFile(p.info, info)
}

// newRestartPending returns the metric of it.
func newRestartPending(p programFile) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wavry_host_restart_pending",
		Help: "1 if an update has replaced the program and the daemon still runs the old one; wavry-host upgrade " +
			"restarts it.",
	}, func() float64 {
		if p.replaced() {
			return 1
		}
		return 0
	})
}
