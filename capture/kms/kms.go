// Package kms captures the picture that a Linux graphics card sends to a monitor, whatever program draws it: a
// compositor, an X server, a login screen or the console.
//
// A helper with the needed capability passes the buffers (see package wavryhost/platform/kms). A consumer that accepts
// DMA-BUFs gets them as they are, in tiles too. For main memory they are mapped and copied, which requires a picture
// without tiles.
//
// A program that flips buffers costs nothing while its picture stays, but for a comparison in each second. A picture
// that changes in place is compared all the time, and less often while it is still. DMA-BUFs are compared by a hash,
// unless they have tiles: then only flips are seen.
//
// Planes over the picture, as players of video use them, are left out, except that of the pointer.
package kms

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/kms"
)

// Config configures a Source.
type Config struct {
	// Socket is the helper's socket.
	Socket string
	// Output is the ID of the output: "0000:00:02.0@HDMI-A-1".
	Output string
	// Demand is what the frames are for.
	Demand capture.Demand
}

// openTimeout is the limit for opening.
const openTimeout = 5 * time.Second

// errUnknown means that the helper's answer makes no sense.
var errUnknown = errors.New("the helper passes a buffer that makes no sense")

// dialed connects to the helper, and gives an error its reason.
func dialed[T any](ctx context.Context, cfg Config, open func(context.Context, *kms.Conn) (*T, error)) (*T, error) {
	if err := checkSystem(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c, err := kms.Dial(limited, cfg.Socket)
	var t *T
	if err == nil {
		if t, err = open(limited, c); err != nil {
			c.Close()
		}
	}
	switch {
	case err == nil:
		return t, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	err = fmt.Errorf("kms: open output %s: %w", cfg.Output, err)
	return nil, capture.WithReason(err, reason(err))
}

// reason returns why an output could not be opened.
func reason(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, kms.ErrDenied):
		return capture.ErrDenied
	case errors.Is(err, kms.ErrSilent), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, os.ErrDeadlineExceeded):
		return capture.ErrSilent
	case errors.Is(err, kms.ErrUnsupported), errors.Is(err, errUnknown), errors.Is(err, kms.ErrProtocol):
		return capture.ErrUnsupported
	case errors.Is(err, kms.ErrAbsent), errors.Is(err, kms.ErrOff), errors.Is(err, fs.ErrNotExist),
		errors.Is(err, syscall.ECONNREFUSED):
		return capture.ErrNotFound
	}
	return capture.ErrNotFound // the helper ended
}
