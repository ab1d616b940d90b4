package guard

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func rig() (g *Guard, log *bytes.Buffer, counted *[]string, failed *[]error) {
	log, counted, failed = &bytes.Buffer{}, &[]string{}, &[]error{}
	g = New(slog.New(slog.NewTextHandler(log, nil)), func(part string) { *counted = append(*counted, part) },
		func(err error) { *failed = append(*failed, err) })
	return g, log, counted, failed
}

func breaks() { panic("the barometer fell") }

func TestPanicBecomesAnError(t *testing.T) {
	g, log, counted, failed := rig()
	err := g.Run("pacer", breaks)
	p, ok := errors.AsType[*PanicError](err)
	if !ok || p.Part != "pacer" || p.Value != "the barometer fell" ||
		err.Error() != "panic in pacer: the barometer fell" {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(*counted, []string{"pacer"}) || len(*failed) != 0 {
		t.Errorf("counted %v, told %v", *counted, *failed)
	}
	if !strings.Contains(log.String(), "guard.breaks") {
		t.Errorf("the log has no stack: %s", log)
	}
	if err := g.Run("pacer", func() {}); err != nil || len(*counted) != 1 {
		t.Errorf("nothing happened, and got %v, %v", err, *counted)
	}
}

func TestPanicOfACallbackIsTold(t *testing.T) {
	g, _, counted, failed := rig()
	func() {
		defer g.Recover("transport")
		breaks()
	}()
	func() { defer g.Recover("transport") }()
	if len(*failed) != 1 || !slices.Equal(*counted, []string{"transport"}) {
		t.Errorf("counted %v, told %v", *counted, *failed)
	}
	New(slog.New(slog.DiscardHandler), nil, nil).Recover("transport")
}

func TestNoGuardLetsPanicsPass(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the panic is gone")
		}
	}()
	var g *Guard
	_ = g.Run("pacer", breaks)
}
