//go:build linux

package guesttest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Inside reports whether this program runs in a guest.
func Inside() bool { return os.Getpid() == 1 }

// Main runs the tests of a package, in a guest as well. Its TestMain calls it.
func Main(m *testing.M) {
	if !Inside() {
		os.Exit(m.Run())
	}
	status := 1
	if err := prepare(); err != nil {
		say("%v", err)
	} else {
		status = m.Run()
	}
	say("exit status %d", status)
	unix.Sync()
	say("switch off: %v", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

// say prints a line. What a test prints may not end its line.
func say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stdout, "\nguest: "+format+"\n", args...)
}

// prepare mounts file systems and loads the modules, in the order of their names.
func prepare() error {
	for path, kind := range map[string]string{
		"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs", "/tmp": "tmpfs", "/run": "tmpfs",
	} {
		if err := unix.Mount(kind, path, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
	}
	modules, err := filepath.Glob("/modules/*.ko")
	if err != nil {
		return err
	}
	slices.Sort(modules)
	for _, path := range modules {
		if err := load(path); err != nil {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}
