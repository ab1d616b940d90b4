package service

import (
	"fmt"
	"os"
	"slices"
	"syscall"
)

// Journal returns the address of journald's socket if f, which is standard error, is connected to the journal. It
// returns an empty string otherwise: systemd names the stream in JOURNAL_STREAM, and programs that started us may have
// inherited the variable and redirected the output.
func Journal(env []string, f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !slices.Contains(env, fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino)) {
		return ""
	}
	if _, err := os.Stat(journalSocket); err != nil {
		return ""
	}
	return journalSocket
}
