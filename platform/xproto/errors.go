package xproto

import (
	"errors"
	"fmt"
)

// Conn.Wait returns ErrTimeout and ErrWoken when it has no event.
var (
	ErrTimeout = errors.New("xproto: timeout")
	ErrWoken   = errors.New("xproto: woken")
)

// ErrName means that a display has no valid name.
var ErrName = errors.New("it looks like :0, :0.1, host:0, /path/to/socket or @/abstract")

// ErrTooLong means that a reply is too long to keep.
var ErrTooLong = errors.New("xproto: a reply is too long")

// LostError means that the connection is unusable. Err says why.
type LostError struct{ Err error }

func (e LostError) Error() string { return e.Err.Error() }
func (e LostError) Unwrap() error { return e.Err }

// SilentError means that the server executes no requests. It is inside a LostError.
type SilentError struct{ limit fmt.Stringer }

func (e SilentError) Error() string { return fmt.Sprintf("it has not answered for %v", e.limit) }

// RequestError is the server's error for a request.
type RequestError struct{ Code, Major, Minor byte }

// errorNames are the errors of the core protocol, by code.
var errorNames = []string{
	"",
	"Request",
	"Value",
	"Window",
	"Pixmap",
	"Atom",
	"Cursor",
	"Font",
	"Match",
	"Drawable",
	"Access",
	"Alloc",
	"Colormap",
	"GContext",
	"IDChoice",
	"Name",
	"Length",
	"Implementation",
}

func (e RequestError) Error() string {
	name := fmt.Sprintf("error %d", e.Code)
	if int(e.Code) < len(errorNames) {
		name = "Bad" + errorNames[e.Code]
	}
	return fmt.Sprintf("X request %d.%d: %s", e.Major, e.Minor, name)
}

func parseError(b []byte) RequestError {
	return RequestError{Code: b[1], Minor: b[8], Major: b[10]}
}

// RefusedError is the server's reason for the refusal of a connection.
type RefusedError string

func (e RefusedError) Error() string { return "the server refuses: " + string(e) }
