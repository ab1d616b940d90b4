// Package wayland captures an output of a Wayland compositor.
//
// It uses the protocol ext-image-copy-capture-v1 where the compositor has it, and wlr-screencopy-unstable-v1
// otherwise. Sway, Hyprland, river, Wayfire, labwc and others based on wlroots have one of them; GNOME and KDE have
// neither (see package pipewire). The compositor copies its picture into shared memory, and reports damage.
// Without such reports (the first version of wlr-screencopy) a Source polls, and says so in the log.
//
// A Pointer follows the pointer apart from the pictures, with ext-image-copy-capture-v1 only. With wlr-screencopy the
// pointer can only be had in the picture.
package wayland

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"wavryhost/capture"
	"wavryhost/platform/wlproto"
)

// Config configures a Source.
type Config struct {
	// Socket is the path of the compositor's socket.
	Socket string
	// Output is the name of the output to capture. It defaults to the first one.
	Output string
	// Demand is what the frames are for.
	Demand capture.Demand
}

// The protocols for capture.
const (
	extManager = "ext_image_copy_capture_manager_v1"
	extSources = "ext_output_image_capture_source_manager_v1"
	wlrManager = "zwlr_screencopy_manager_v1"
)

// errNoProtocol means that a compositor lets no client capture it.
var errNoProtocol = fmt.Errorf("%w: the compositor has neither ext-image-copy-capture-v1 nor "+
	"wlr-screencopy-unstable-v1 (GNOME's monitors are displays pipewire:gnome@NAME; on KDE and others the desktop's "+
	"portal, if it is there, is the display pipewire:portal)",
	capture.ErrUnsupported)

var errNoOutput = errors.New("the compositor has no such output at present")

// Info describes a compositor.
type Info struct {
	// Protocol is what its outputs are captured with.
	Protocol string
	Outputs  []wlproto.Output
}

// supported returns the protocol that a Source will use.
func supported(c *wlproto.Conn) (string, error) {
	if err := checkSystem(); err != nil {
		return "", err
	}
	if _, ok := c.Global("wl_shm"); !ok {
		return "", fmt.Errorf("%w: the compositor has no wl_shm", capture.ErrUnsupported)
	}
	_, sources := c.Global(extSources)
	if _, ok := c.Global(extManager); ok && sources {
		return extManager, nil
	}
	if _, ok := c.Global(wlrManager); ok {
		return wlrManager, nil
	}
	return "", errNoProtocol
}

// Probe connects to a compositor and describes it. It takes no longer than ctx and five seconds.
func Probe(ctx context.Context, socket string) (Info, error) {
	var info Info
	err := watch(ctx, socket, func(i Info) bool {
		info = i
		return false
	})
	return info, err
}

// Watch calls changed at once, and after each change of the outputs, until ctx ends or the compositor is lost. It
// returns why.
func Watch(ctx context.Context, socket string, changed func(Info)) error {
	return watch(ctx, socket, func(i Info) bool {
		changed(i)
		return true
	})
}

// watch calls changed until that returns false.
func watch(ctx context.Context, socket string, changed func(Info) bool) error {
	limited, cancel := context.WithTimeout(ctx, wlproto.OpenTimeout)
	defer cancel()
	c, err := wlproto.Dial(limited, socket)
	if err != nil {
		return fmt.Errorf("wayland: %w", capture.WithReason(err, reason(err)))
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Wake)()
	protocol, err := supported(c)
	if err != nil {
		return fmt.Errorf("wayland: %w", err)
	}
	defer context.AfterFunc(limited, c.Wake)()
	outputs, err := wlproto.NewOutputs(limited, c)
	if err != nil {
		return fmt.Errorf("wayland: ask for outputs: %w", capture.WithReason(err, reason(err)))
	}
	for {
		outputs.Changed = false
		if !changed(Info{Protocol: protocol, Outputs: outputs.List()}) {
			return nil
		}
		// A change is several events, which an answer to a request ends.
		for !outputs.Changed {
			if err := c.Wait(noDeadline); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil && !errors.Is(err, wlproto.ErrWoken) {
				return fmt.Errorf("wayland: %w", err)
			}
		}
		if err := c.Sync(ctx); err != nil {
			return fmt.Errorf("wayland: %w", err)
		}
	}
}

// reason returns why a compositor could not be reached.
func reason(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return capture.ErrDenied
	case errors.Is(err, wlproto.ErrSilent), errors.Is(err, context.DeadlineExceeded):
		return capture.ErrSilent
	}
	_, lost := errors.AsType[wlproto.LostError](err)
	if lost || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, errNoOutput) {
		return capture.ErrNotFound
	}
	return capture.ErrUnsupported
}

var _ capture.Source = (*Source)(nil)
