package capture_test

import (
	"errors"
	"fmt"
	"image"
	"testing"

	"wavryhost/capture"
)

func TestErrorsHaveOneReason(t *testing.T) {
	plain := errors.New("no such file")
	err := capture.WithReason(plain, capture.ErrNotFound)
	if !errors.Is(err, capture.ErrNotFound) || !errors.Is(err, plain) || err.Error() != plain.Error() {
		t.Errorf("got %v", err)
	}
	again := capture.WithReason(fmt.Errorf("open: %w", err), capture.ErrLost)
	if errors.Is(again, capture.ErrLost) || !errors.Is(again, capture.ErrNotFound) {
		t.Errorf("got another reason: %v", again)
	}
	if err := capture.WithReason(nil, capture.ErrLost); err != nil {
		t.Errorf("got %v for no error", err)
	}
}

func TestDemandForMainMemory(t *testing.T) {
	for _, d := range []capture.Demand{{}, {Kinds: capture.Kinds(), FPS: 30}, {Kinds: []capture.Kind{capture.Memory}}} {
		if err := d.MemoryOnly(); err != nil {
			t.Errorf("%+v: got %v", d, err)
		}
	}
	for _, d := range []capture.Demand{{Kinds: []capture.Kind{capture.DMA}}, {Area: image.Rect(0, 0, 5, 5)}} {
		if err := d.MemoryOnly(); !errors.Is(err, capture.ErrDemand) {
			t.Errorf("%+v: got %v; want ErrDemand", d, err)
		}
	}
}
