package capture_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"wavryhost/capture"
)

func TestEnding(t *testing.T) {
	cause := errors.New("the connection broke")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var e capture.Ending
	ends := 0
	fail := func(ctx context.Context, err error) error { return e.Failed(ctx, err, "display 1", func() { ends++ }) }
	if err := e.Err(t.Context()); err != nil || e.Closed() {
		t.Errorf("before: %v", err)
	}
	if err := e.Err(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	wrapped := fmt.Errorf("wait: %w", context.Canceled)
	if err := fail(ended, wrapped); !errors.Is(err, wrapped) || ends != 0 || e.Err(t.Context()) != nil {
		t.Errorf("a wait that the context ended: %v, given up %d times", err, ends)
	}
	lost := fail(ended, cause)
	if !errors.Is(lost, capture.ErrLost) || !errors.Is(lost, cause) || ends != 1 ||
		lost.Error() != "display 1 is lost: the connection broke" {
		t.Errorf("a display that is lost: %v, given up %d times", lost, ends)
	}
	if err := fail(t.Context(), capture.ErrDenied); !errors.Is(err, cause) || ends != 1 {
		t.Errorf("the next failure: %v, given up %d times; want the first one's", err, ends)
	}
	if err := e.Err(ended); !errors.Is(err, cause) {
		t.Errorf("after the loss: %v", err)
	}
	if !e.Close() || e.Close() || !e.Closed() {
		t.Error("it is not closed once")
	}
	if err := errors.Join(e.Err(t.Context()), fail(t.Context(), cause)); !errors.Is(err, capture.ErrClosed) ||
		errors.Is(err, capture.ErrLost) {
		t.Errorf("after the close: %v", err)
	}
}
