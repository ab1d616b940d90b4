package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// The doctor reads the limits of the daemon that it was told to ask, and no others.
func TestDoctorLooksAtTheDaemonThatItAsks(t *testing.T) {
	dir := t.TempDir()
	a := &app{env: []string{"XDG_RUNTIME_DIR=" + dir}}
	own := socketPath("auto", a.env)
	if err := os.Mkdir(filepath.Dir(own), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", own)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := filepath.Join(dir, "silent.sock")
	for socket, want := range map[string]int{"": os.Getpid(), own: os.Getpid(), silent: 0} {
		if got := daemonProcess(a, socket); got != want {
			t.Errorf("--socket %q: process %d; want %d", socket, got, want)
		}
	}
}
