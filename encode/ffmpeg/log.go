//go:build cgo && !noffmpeg

package ffmpeg

/*
#include "bridge.h"
*/
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/asticode/go-astiav"
)

// FFmpeg's log callback is process-wide and has no argument for the caller. So the logger is process-wide too.
var (
	logSink    atomic.Pointer[slog.Logger]
	installLog = sync.OnceFunc(func() { C.wavry_log_install() })
)

// SetLogger sends FFmpeg's log to log: errors and warnings at their levels, and information at debug level. Without it,
// FFmpeg's lines are dropped, except lines that explain an error of Open.
func SetLogger(log *slog.Logger) {
	installLog()
	logSink.Store(log)
	level := astiav.LogLevelWarning
	if log != nil && log.Enabled(context.Background(), slog.LevelDebug) {
		level = astiav.LogLevelVerbose
	}
	C.wavry_log_forward(C.int(level))
}

// wavryLogLine gets a line of FFmpeg's log, on the thread that wrote it.
//
//export wavryLogLine
func wavryLogLine(level C.int, item, line *C.char) {
	log := logSink.Load()
	text := strings.TrimSpace(C.GoString(line))
	if log == nil || text == "" {
		return
	}
	log.Log(context.Background(), slogLevel(astiav.LogLevel(level)), "ffmpeg", "codec", C.GoString(item), "text", text)
}

func slogLevel(l astiav.LogLevel) slog.Level {
	switch {
	case l <= astiav.LogLevelError:
		return slog.LevelError
	case l <= astiav.LogLevelWarning:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

// captured runs f. It returns its error and what FFmpeg logged meanwhile, up to that level. FFmpeg's error codes say
// little: opening NVENC without a driver is "Operation not permitted".
func captured(level astiav.LogLevel, f func() error) (lines []string, err error) {
	installLog()
	runtime.LockOSThread() // lines are collected per thread
	defer runtime.UnlockOSThread()
	C.wavry_log_capture_begin(C.int(level))
	err = f()
	return logLines(C.GoString(C.wavry_log_capture_end())), err
}

func logLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(strings.TrimSpace(line), "."); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// explained adds FFmpeg's log lines about err to err.
func explained(err error, lines []string) error {
	if len(lines) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", strings.Join(lines, "; "), err)
}
