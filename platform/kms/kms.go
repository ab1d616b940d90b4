// Package kms reads what Linux graphics cards show on their connectors: the pictures of whatever runs on the screen, be
// it a compositor, an X server or the console.
//
// The kernel gives these buffers only to processes with CAP_SYS_ADMIN, which the daemon must not have. So a Helper is a
// small process that alone has this capability. It answers on a Unix socket, whose messages keep their boundaries
// (SOCK_SEQPACKET): a request and an answer are one message of JSON each. Buffers come with the answer, as descriptors
// of DMA-BUFs, or of files in memory where the card has no DMA-BUF that programs can map. The helper changes nothing on
// the card.
package kms

import (
	"errors"
	"fmt"
	"image"
	"strings"
	"time"

	"wavryhost/platform/kms/drm"
)

// Socket is the socket of the helper's systemd unit.
const Socket = "/run/wavry-host-kms/control.sock"

// Errors of the helper.
var (
	// ErrAbsent means that there is no such output.
	ErrAbsent = errors.New("kms: no such output")
	// ErrOff means that an output shows nothing: it is switched off, or no program draws on it.
	ErrOff = errors.New("kms: output shows nothing")
	// ErrDenied means that the helper, or its caller, lacks a permission.
	ErrDenied = errors.New("kms: not permitted")
	// ErrUnsupported means that the card, or the form of its pictures, cannot be captured.
	ErrUnsupported = errors.New("kms: not supported")
	// ErrProtocol means that the other side sent what is not understood.
	ErrProtocol = errors.New("kms: malformed message")
)

// reasons are the errors that have a name in answers.
var reasons = map[string]error{
	"absent": ErrAbsent, "off": ErrOff, "denied": ErrDenied, "unsupported": ErrUnsupported, "malformed": ErrProtocol,
}

// Limits of messages.
const (
	maxRequest = 1 << 10
	maxAnswer  = 64 << 10
	maxFiles   = 8
	// maxOutputs is the number of outputs that are listed.
	maxOutputs = 64
	// maxSide is the longest side of a framebuffer, in pixels. The kernel's structures have 16 bits for it.
	maxSide = 1<<16 - 1
	// waitTime is the time after which the helper answers although nothing has changed.
	waitTime = 50 * time.Millisecond
)

// Output is a connector with a monitor.
type Output struct {
	// ID names it: the address of the card's device, and the connector. Both stay over a restart of the machine, in
	// contrast to the number of a card: "0000:00:02.0@HDMI-A-1".
	ID     string `json:"id"`
	Driver string `json:"driver"`
	// Width and Height are of the mode in pixels, and Refresh in Hz. They are 0 when it is off.
	Width   int `json:"width,omitempty"`
	Height  int `json:"height,omitempty"`
	Refresh int `json:"refresh,omitempty"`
	// Why says why it shows nothing. It is empty when it does.
	Why string `json:"why,omitempty"`
}

// Card returns the card and the connector of an output's ID.
func Card(id string) (card, connector string) {
	card, connector, _ = strings.Cut(id, "@")
	return card, connector
}

// RenderNode is the device number of a card's render node. It identifies the card's memory. It is zero if it is not
// known.
type RenderNode struct {
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`
}

// State is what planes show. It distinguishes one picture from the next.
type State struct {
	// FB is the number of the framebuffer, or 0 when the output is off. Area is the part that is shown, in its pixels.
	FB   uint32          `json:"fb"`
	Area image.Rectangle `json:"area"`
	// CursorFB is that of the cursor, or 0. CursorAt is its upper left corner on the screen.
	CursorFB uint32      `json:"cursor_fb"`
	CursorAt image.Point `json:"cursor_at"`
}

// Query asks for what an output shows.
type Query struct {
	Output string `json:"output"`
	// Seen is the state that is known. The answer comes when the state differs, or after a short time. Without it, the
	// answer comes at once.
	Seen *State `json:"seen,omitempty"`
	// Picture asks for the buffer of the picture, and Cursor for the state and the buffer of the cursor.
	Picture bool `json:"picture,omitempty"`
	Cursor  bool `json:"cursor,omitempty"`
	// Surface asks for the picture's own buffer. Without it, a buffer that programs cannot map is copied.
	Surface bool `json:"surface,omitempty"`
}

// Scanout is what an output shows.
type Scanout struct {
	State
	Driver  string `json:"driver"`
	Refresh int    `json:"refresh"` // Hz
	// Render is the card's.
	Render RenderNode `json:"render,omitzero"`
	// Missed reports whether there was a time, since Seen was known, in which the state was not looked at.
	Missed bool `json:"missed,omitempty"`
	// Overlays is the number of planes over the picture, which are not in it.
	Overlays int `json:"overlays,omitempty"`
	// Rotation is not drm.Rotate0 if the card turns the picture.
	Rotation uint64 `json:"rotation"`
	// Hot is the cursor's pixel that points, or zero where the driver does not know.
	Hot image.Point `json:"hot"`
	// Picture and Cursor are the buffers. They are nil if they were not asked for, or did not change.
	Picture *Buffer `json:"picture,omitempty"`
	Cursor  *Buffer `json:"cursor,omitempty"`
}

// request is a message to the helper. It lists the outputs if there is no query.
type request struct {
	Query *Query `json:"query,omitempty"`
}

// answer is a message from the helper.
type answer struct {
	Reason  string   `json:"reason,omitempty"`
	Error   string   `json:"error,omitempty"`
	Outputs []Output `json:"outputs,omitempty"`
	Scanout *Scanout `json:"scanout,omitempty"`
}

// failed is the answer that says why there is none.
func failed(err error) answer {
	for name, reason := range reasons {
		if errors.Is(err, reason) {
			return answer{Reason: name, Error: text(err, reason)}
		}
	}
	return answer{Error: clip(err.Error())}
}

// text is the message of an error without that of its reason, which the other side adds.
func text(err, reason error) string {
	return clip(strings.TrimPrefix(err.Error(), reason.Error()+": "))
}

// clip bounds a message.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 500)], "?") }

// err returns the error of an answer.
func (a answer) err() error {
	reason, ok := reasons[a.Reason]
	switch {
	case ok && (a.Error == "" || a.Error == reason.Error()):
		return reason
	case ok:
		return fmt.Errorf("%w: %s", reason, clip(a.Error))
	case a.Error != "" || a.Reason != "":
		return fmt.Errorf("kms: %s", clip(a.Reason+a.Error))
	}
	return nil
}

// check returns what is wrong with an answer that came with a number of files.
func (s *Scanout) check(files int) error {
	for _, n := range []int{
		s.Area.Min.X, s.Area.Min.Y, s.Area.Max.X, s.Area.Max.Y, s.CursorAt.X, s.CursorAt.Y, s.Hot.X, s.Hot.Y, s.Refresh,
	} {
		if int(int32(n)) != n {
			return fmt.Errorf("%w: the number %d", ErrProtocol, n)
		}
	}
	if err := s.Picture.check(files); err != nil {
		return err
	}
	return s.Cursor.check(files)
}

// check returns what is wrong with a buffer that came with a number of files.
func (b *Buffer) check(files int) error {
	if b == nil {
		return nil
	}
	if b.Width < 0 || b.Height < 0 || b.Width > maxSide || b.Height > maxSide || len(b.Parts) == 0 || len(b.Parts) > 4 {
		return fmt.Errorf("%w: a buffer of %dx%d pixels in %d parts", ErrProtocol, b.Width, b.Height, len(b.Parts))
	}
	for _, p := range b.Parts {
		if p.File < 0 || p.File >= files {
			return fmt.Errorf("%w: a buffer in file %d of %d", ErrProtocol, p.File, files)
		}
	}
	return nil
}

// Buffer is a framebuffer. The index of a part's file is into the files of the answer.
type Buffer struct {
	Width    int        `json:"width"`
	Height   int        `json:"height"`
	Format   uint32     `json:"format"` // drm_fourcc.h
	Modifier uint64     `json:"modifier"`
	Parts    []drm.Part `json:"parts"`
}
