package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/cmd/wavry-host/config"
)

// journalRecord reads a record in journald's native form.
func journalRecord(t *testing.T, record []byte) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	for len(record) > 0 {
		line, rest, ok := bytes.Cut(record, []byte("\n"))
		if !ok {
			t.Fatalf("the record ends in %q", record)
		}
		name, value, short := strings.Cut(string(line), "=")
		if !short {
			n := binary.LittleEndian.Uint64(rest)
			value, rest = string(rest[8:8+n]), rest[8+n+1:]
		}
		fields[name] = value
		record = rest
	}
	return fields
}

// The journal gets the level as priority and each attribute as a field, whatever they contain, and the log
// continues after a restart of journald.
func TestLogInTheJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listen := func() *net.UnixConn {
		t.Helper()
		_ = os.Remove(path) // of the listener before
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	read := func(l *net.UnixConn) map[string]string {
		t.Helper()
		buffer := make([]byte, 1<<17)
		if err := l.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return journalRecord(t, buffer[:n])
	}
	l := listen()
	level := new(slog.LevelVar)
	level.Set(slog.LevelDebug)
	log := slog.New(&journalHandler{w: &journalSender{path: path}, level: level})

	of := log.With("session", "s1").WithGroup("path").With("rtt", 1500*time.Millisecond)
	of.Warn("quality changed", "loss", 0.25, slog.Group("of", "a b", "x y"), "err", errors.New("one\ntwo"))
	want := map[string]string{
		"PRIORITY": "4", "SYSLOG_IDENTIFIER": "wavry-host", "WAVRY_SESSION": "s1", "WAVRY_PATH_RTT_SECONDS": "1.5",
		"WAVRY_PATH_LOSS": "0.25", "WAVRY_PATH_OF_A_B": "x y", "WAVRY_PATH_ERR": "one\ntwo",
		"MESSAGE": `quality changed session=s1 path_rtt_seconds=1.5 path_loss=0.25 path_of_a b="x y" path_err="one\ntwo"`,
	}
	if got := read(l); !maps.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	for l2, want := range map[slog.Level]string{
		slog.LevelDebug: "7", slog.LevelInfo: "6", slog.LevelWarn: "4", slog.LevelError: "3",
	} {
		log.Log(context.Background(), l2, "text")
		if got := read(l); got["PRIORITY"] != want || got["MESSAGE"] != "text" {
			t.Errorf("level %v: %q", l2, got)
		}
	}
	log.Info("a secret", "token", config.Secret("hunter2hunter2"), "stack", strings.Repeat("x", 1<<20))
	if got := read(l); strings.Contains(got["MESSAGE"], "hunter2") || strings.Contains(got["WAVRY_TOKEN"], "hunter2") ||
		len(got["WAVRY_STACK"]) > 2*maxJournalField {
		t.Errorf("token %q, a stack of %d bytes", got["WAVRY_TOKEN"], len(got["WAVRY_STACK"]))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = listen()
	defer l.Close()
	log.Info("journald is back")
	if got := read(l); got["MESSAGE"] != "journald is back" {
		t.Errorf("after a restart of journald: %q", got)
	}
}
