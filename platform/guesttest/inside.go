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
		fmt.Println("guest:", err)
	} else {
		status = m.Run()
	}
	fmt.Printf("\nguest: exit status %d\n", status)
	unix.Sync()
	fmt.Println("guest:", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

// prepare mounts file systems and loads the modules, in the order of their names.
func prepare() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"}} {
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
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
