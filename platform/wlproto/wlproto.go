// Package wlproto is the one client of the Wayland protocol: connections, the compositor's globals, and its outputs.
//
// It has no policy. Packages that use it know the requests and events of the protocol extensions that they need.
package wlproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The wire format has the byte order of the machine. All supported machines are little-endian.
var le = binary.LittleEndian

// OpenTimeout bounds the opening of a connection, with all that is asked at the start.
const OpenTimeout = 5 * time.Second

// maxMessage is the size of the largest message that is accepted. Compositors send at most 4096 bytes.
const maxMessage = 32 << 10

// maxObjects is the number of objects that may exist at once. A client of ours has dozens.
const maxObjects = 4096

// Wait returns ErrTimeout and ErrWoken when it has no event.
var (
	ErrTimeout = errors.New("wlproto: timeout")
	ErrWoken   = errors.New("wlproto: woken")
)

// ErrSilent means that the compositor does not answer, or takes no requests.
var ErrSilent = errors.New("the compositor does not answer")

// errGarbage means that the compositor broke the wire format.
var errGarbage = errors.New("the compositor sent a malformed message")

// LostError means that the connection is unusable. Err says why.
type LostError struct{ Err error }

func (e LostError) Error() string { return e.Err.Error() }
func (e LostError) Unwrap() error { return e.Err }

// RefusedError is the compositor's complaint about a request. The connection ends with it.
type RefusedError struct {
	Object, Code uint32
	Text         string
}

func (e RefusedError) Error() string {
	return fmt.Sprintf("the compositor ended the connection: object %d, error %d: %q", e.Object, e.Code, e.Text)
}

// File is an argument of Send: a descriptor, which stays the caller's.
type File int

// Args are the arguments of an event. A read past the end returns zero, and fails the connection.
type Args struct {
	b   []byte
	bad bool
}

// Uint reads an unsigned number.
func (a *Args) Uint() uint32 {
	if len(a.b) < 4 {
		a.bad = true
		return 0
	}
	v := le.Uint32(a.b)
	a.b = a.b[4:]
	return v
}

// Int reads a number.
func (a *Args) Int() int { return int(int32(a.Uint())) }

// Text reads a string.
func (a *Args) Text() string {
	n := int64(a.Uint())
	padded := (n + 3) &^ 3
	if padded > int64(len(a.b)) {
		a.bad = true
		return ""
	}
	if n == 0 { // null
		return ""
	}
	s := string(a.b[:n-1])
	a.b = a.b[padded:]
	return s
}
