package display

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// tailLines is how much of what a child printed last is kept to explain its end, and lineLength bounds each line.
const tailLines, lineLength = 3, 1024

// lineLogger logs what a child prints, a line a record, and keeps the last ones.
type lineLogger struct {
	log *slog.Logger

	mu    sync.Mutex
	rest  []byte
	lines []string
}

func (l *lineLogger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) > lineLength { // a line that never ends
			end = lineLength
		}
		if end < 0 {
			return len(p), nil
		}
		line := strings.TrimSpace(strings.ToValidUTF8(string(l.rest[:end]), "?"))
		l.rest = slices.Delete(l.rest, 0, min(end+1, len(l.rest)))
		if line == "" {
			continue
		}
		l.log.Debug("program printed", "line", line)
		l.lines = append(l.lines, line)
		if len(l.lines) > tailLines {
			l.lines = slices.Delete(l.lines, 0, 1)
		}
	}
}

// tail returns the last lines, as one.
func (l *lineLogger) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "; ")
}
