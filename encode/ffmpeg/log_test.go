//go:build cgo && !noffmpeg

package ffmpeg

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/asticode/go-astiav"
)

func TestFFmpegLogsToSlog(t *testing.T) {
	var text bytes.Buffer
	SetLogger(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer SetLogger(nil)
	c := astiav.AllocCodecContext(nil)
	defer c.Free()
	astiav.Log(c, astiav.LogLevelError, "bad: %s\n", "thing")
	astiav.Log(c, astiav.LogLevelWarning, "odd\n")
	astiav.Log(c, astiav.LogLevelInfo, "chatter\n")
	astiav.Log(c, astiav.LogLevelInfo, "\n")
	astiav.Log(c, astiav.LogLevelDebug, "too much\n")
	astiav.Log(nil, astiav.LogLevelError, "%s", strings.Repeat("long ", 1000))
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	levels := []string{"ERROR", "WARN", "DEBUG", "ERROR"}
	if len(lines) != len(levels) || !strings.Contains(lines[0], `text="bad: thing"`) {
		t.Fatalf("got\n%s\nwant %d lines", text.String(), len(levels))
	}
	for i, level := range levels {
		if !strings.Contains(lines[i], "level="+level) {
			t.Errorf("line %d is %q; want level %s", i, lines[i], level)
		}
	}
}

func TestCapturedLinesExplainTheErrorAndAreNotLogged(t *testing.T) {
	var text bytes.Buffer
	SetLogger(slog.New(slog.NewTextHandler(&text, nil)))
	defer SetLogger(nil)
	failed := errors.New("code -1")
	lines, err := captured(astiav.LogLevelWarning, func() error {
		astiav.Log(nil, astiav.LogLevelError, "Cannot load libcuda.so.1\n")
		astiav.Log(nil, astiav.LogLevelWarning, "Try another driver.\n")
		astiav.Log(nil, astiav.LogLevelInfo, "chatter\n")
		return failed
	})
	if want := []string{"Cannot load libcuda.so.1", "Try another driver"}; !slices.Equal(lines, want) {
		t.Errorf("got lines %q; want %q", lines, want)
	}
	if err := explained(
		err, lines,
	); !errors.Is(err, failed) ||
		!strings.HasPrefix(err.Error(), "Cannot load libcuda.so.1; ") {
		t.Errorf("got error %q", err)
	}
	if got := explained(failed, nil).Error(); got != failed.Error() {
		t.Errorf("an error without lines became %q", got)
	}
	if text.Len() != 0 {
		t.Errorf("the lines were logged too: %s", text.String())
	}
	astiav.Log(nil, astiav.LogLevelWarning, "afterwards\n")
	if !strings.Contains(text.String(), "afterwards") {
		t.Error("a line after the capture was not logged")
	}
	// More than the buffer holds: the first lines are kept, and nothing is written beyond it.
	lines, _ = captured(astiav.LogLevelWarning, func() error {
		for range 100 {
			astiav.Log(nil, astiav.LogLevelError, "%s\n", strings.Repeat("x", 100))
		}
		return nil
	})
	if n := len(strings.Join(lines, "\n")); n < 1900 || n > 2047 {
		t.Errorf("captured %d bytes; want nearly 2047", n)
	}
}
