package display

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// tailLines is the number of last lines of a child that are kept to explain its end. lineLength bounds a line.
const tailLines, lineLength = 3, 1024

// lineLogger logs the output of a child, one record per line, and keeps the last lines.
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
		if end < 0 && len(l.rest) > lineLength { // a line without an end
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

// tail returns the last lines, joined.
func (l *lineLogger) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "; ")
}
