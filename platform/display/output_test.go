package display

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLinesOfAChildAreLogged(t *testing.T) {
	var out bytes.Buffer
	l := lineLogger{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, part := range []string{"fi", "rst\n\n  sec", "ond\nthird\n", "fourth\nunfinished", strings.Repeat("x",
		3*lineLength)} {
		if n, err := l.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write: %d, %v; want all %d bytes", n, err, len(part))
		}
	}
	for _, line := range []string{"line=first\n", "line=second\n", "line=third\n", "line=fourth\n", "line=unfinished"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, out.String())
		}
	}
	if len(l.rest) > lineLength || len(l.tail()) > tailLines*(lineLength+2) || !strings.Contains(l.tail(), "x; x") {
		t.Errorf("a line without end is kept as %d bytes and a tail of %d; want both bounded", len(l.rest), len(l.tail()))
	}
}
