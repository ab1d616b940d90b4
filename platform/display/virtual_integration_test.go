//go:build integration

package display

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// answers tells whether the server lets a client in that has the authority file.
func answers(ctx context.Context, address, authority string) error {
	cmd := exec.CommandContext(ctx, "xset", "q")
	cmd.Env = append(os.Environ(), "DISPLAY="+address, "XAUTHORITY="+authority)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestVirtual(t *testing.T) {
	v, err := StartVirtual(t.Context(), VirtualConfig{Width: 640, Height: 480, Programs: [][]string{{"xclock"}, {"no-such-program"}}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- v.Run(ctx) }()

	address := v.Address()
	if err := answers(t.Context(), address, v.Authority()); err != nil {
		t.Errorf("a client with the cookie: %v", err)
	}
	if err := answers(t.Context(), address, "/dev/null"); err == nil {
		t.Error("a client without the cookie is let in")
	}

	// Killed, it comes back under the same number.
	pid := v.server.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	deadline, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	for lost := false; ; {
		err := answers(deadline, address, v.Authority())
		if err != nil {
			lost = true
		} else if lost || syscall.Kill(pid, 0) != nil {
			break
		}
		if deadline.Err() != nil {
			t.Fatalf("the display does not come back: %v", err)
		}
	}

	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	dir, last := v.dir, v.server.cmd.Process.Pid
	v.Close()
	v.Close()
	if err := syscall.Kill(last, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after Close: %v; want no such process", last, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory %s after Close: %v; want it gone", dir, err)
	}
}
