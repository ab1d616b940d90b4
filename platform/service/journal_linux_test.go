package service

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestJournalIsFound(t *testing.T) {
	dir := t.TempDir()
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	var stat syscall.Stat_t
	if err := syscall.Stat(stderr.Name(), &stat); err != nil {
		t.Fatal(err)
	}
	env := []string{"A=b", fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino)}
	before := journalSocket
	defer func() { journalSocket = before }()
	journalSocket = filepath.Join(dir, "socket")
	if got := Journal(env, stderr); got != "" {
		t.Errorf("without a socket: %q", got)
	}
	if err := os.WriteFile(journalSocket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Journal(env, stderr); got != journalSocket {
		t.Errorf("got %q; want the socket", got)
	}
	another := fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino+1)
	for _, other := range [][]string{nil, {"JOURNAL_STREAM="}, {another}} {
		if got := Journal(other, stderr); got != "" {
			t.Errorf("with %q: %q", other, got)
		}
	}
}
