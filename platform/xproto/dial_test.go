package xproto

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// overdue is a context whose deadline has passed once done is closed. With a real deadline, connecting might be late
// on a busy machine.
type overdue struct {
	context.Context //nolint:containedctx // this is a context
	done            chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.done }

func (o overdue) Err() error {
	select {
	case <-o.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestConnectSaysWhatIsWrong(t *testing.T) {
	path := t.TempDir() + "/server"
	if _, err := Dial(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "no X server is listening") {
		t.Errorf("got %v; want that nothing listens", err)
	}
	if _, err := Dial(
		t.Context(), "nonsense", nil,
	); err == nil ||
		!strings.Contains(err.Error(), `"nonsense" has no colon`) {
		t.Errorf("got %v; want what is wrong with the name", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	answers := make(chan []byte, 1)
	late := overdue{t.Context(), make(chan struct{})}
	served := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-served })
	go func() {
		defer close(served)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if b := <-answers; b != nil {
				_, _ = nc.Write(b)
			} else if _, err := nc.Read(make([]byte, 1)); err == nil {
				close(late.done)
			}
			// Until the client goes.
			_, _ = io.Copy(io.Discard, nc)
			nc.Close()
		}
	}()
	refusal := slices.Concat([]byte{0, 10, 11, 0, 0, 0, 3, 0}, []byte("Go away!!!\x00\x00"))
	for want, answer := range map[string][]byte{
		"Go away!!!":         refusal,
		"more proof":         slices.Concat([]byte{2, 0, 0, 0, 0, 0, 3, 0}, []byte("more proof\x00\x00")),
		"not an X11 server":  []byte("\x09HTTP/1.1 400"),
		"is cut short":       slices.Concat([]byte{1, 0, 11, 0, 0, 0, 1, 0}, make([]byte, 4)),
		"no authority file ": refusal,
		"-maxclients": slices.Concat([]byte{0, 33, 11, 0, 0, 0, 9, 0},
			[]byte("Maximum number of clients reached\x00\x00\x00")),
	} {
		answers <- answer
		if _, err := Dial(
			t.Context(), path, nil,
		); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("got %v; want it to name %s and say %q", err, path, want)
		}
	}
	answers <- nil
	if _, err := Dial(
		late, path, nil,
	); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v; want that the server does not answer", err)
	}
}
