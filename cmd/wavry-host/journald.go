package main

import (
	"bytes"
	"context"
	"encoding"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
)

// maxJournalField bounds a field of a journal record: a datagram must fit into the socket's buffer, of some 200 kB.
const maxJournalField = 32 << 10

// journalHandler writes records in journald's native form, one record a Write: PRIORITY by the level, MESSAGE with the
// text and the attributes, and a field WAVRY_… for each attribute, for "journalctl WAVRY_SESSION=…".
type journalHandler struct {
	w      io.Writer
	level  slog.Leveler
	prefix string // of the names of attributes, by groups
	attrs  []slog.Attr
}

var _ slog.Handler = (*journalHandler)(nil)

// Enabled reports whether records of a level are logged.
func (h *journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs returns a handler whose records have more attributes.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		with.attrs = flatten(with.attrs, h.prefix, a)
	}
	return &with
}

// WithGroup returns a handler whose further attributes have a prefix.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.prefix += name + "_"
	return &with
}

// Handle writes a record.
func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.prefix, a)
		return true
	})
	var fields bytes.Buffer
	var message strings.Builder
	message.WriteString(r.Message)
	for _, a := range attrs {
		value := journalText(a.Value)
		journalField(&fields, journalName(a.Key), value)
		if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c == '=' || c == '"' }) || value == "" {
			value = strconv.Quote(value)
		}
		message.WriteString(" " + a.Key + "=" + value)
	}
	journalField(&fields, "MESSAGE", message.String())
	journalField(&fields, "PRIORITY", strconv.Itoa(priority(r.Level)))
	journalField(&fields, "SYSLOG_IDENTIFIER", "wavry-host")
	_, err := h.w.Write(fields.Bytes())
	return err
}

// flatten appends an attribute, or the attributes of a group, to a list.
func flatten(list []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "_"
		}
		for _, one := range a.Value.Group() {
			list = flatten(list, prefix, one)
		}
		return list
	}
	if a.Equal(slog.Attr{}) {
		return list
	}
	a = inSeconds(nil, a)
	a.Key = prefix + a.Key
	return append(list, a)
}

// journalText returns a value as text.
func journalText(v slog.Value) string {
	if v.Kind() == slog.KindAny {
		switch x := v.Any().(type) {
		case error:
			return x.Error()
		case encoding.TextMarshaler: // secrets hide themselves there
			if text, err := x.MarshalText(); err == nil {
				return string(text)
			}
		}
	}
	return v.String()
}

// priority returns the syslog priority of a level.
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	default:
		return 7
	}
}

// journalName returns the name of the field of an attribute. journald takes capital letters, digits and underscores.
func journalName(key string) string {
	const longest = 64
	name := "WAVRY_" + strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, strings.ToUpper(key))
	return name[:min(len(name), longest)]
}

// journalField writes a field: NAME=value, or with the length before a value of several lines.
func journalField(b *bytes.Buffer, name, value string) {
	if len(value) > maxJournalField {
		value = value[:maxJournalField] + "…"
	}
	if !strings.Contains(value, "\n") {
		fmt.Fprintf(b, "%s=%s\n", name, value)
		return
	}
	b.WriteString(name + "\n")
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
	b.WriteString(value + "\n")
}

// journalSender writes records to journald, each as one datagram. One goroutine uses it.
type journalSender struct {
	path string
	conn net.Conn // nil until it is needed, and after an error
}

// Write sends a record. It tries another connection if the first one breaks.
func (s *journalSender) Write(record []byte) (n int, err error) {
	for range 2 {
		if s.conn == nil {
			if s.conn, err = (&net.Dialer{}).DialContext(context.Background(), "unixgram", s.path); err != nil {
				s.conn = nil
				return 0, fmt.Errorf("connect to journald: %w", err)
			}
		}
		if n, err = s.conn.Write(record); err == nil {
			return n, nil
		}
		_ = s.conn.Close() // the error of the write says more
		s.conn = nil
	}
	return n, fmt.Errorf("write to journald: %w", err)
}
