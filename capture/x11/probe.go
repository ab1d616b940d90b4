package x11

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"wavryhost/platform/xproto"
)

// Probe connects to the server of a display and describes its screens, in the order of their numbers. It takes no
// longer than ctx and five seconds.
func Probe(ctx context.Context, display string, authority []string) ([]Info, error) {
	ctx, cancel := context.WithTimeout(ctx, xproto.OpenTimeout)
	defer cancel()
	for {
		list, err := probe(ctx, display, authority)
		// A server that resets when its last client goes disconnects others. The last client may have been the
		// previous probe.
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) &&
			!errors.Is(err, syscall.EPIPE) {
			return list, err
		}
		again := time.NewTimer(100 * time.Millisecond)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return list, err
		}
	}
}

func probe(ctx context.Context, display string, authority []string) ([]Info, error) {
	c, err := dial(ctx, display, authority)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Wake)()
	var list []Info
	for _, sc := range c.Setup.Screens {
		info, err := describe(ctx, c, sc)
		if err != nil {
			return nil, fmt.Errorf("x11: probe display %s: %w", display, err)
		}
		list = append(list, info)
	}
	return list, nil
}

func describe(ctx context.Context, c *xproto.Conn, sc xproto.Screen) (Info, error) {
	info := Info{Depth: int(sc.Depth), Vendor: c.Setup.Vendor, Release: c.Setup.Release}
	var err error
	if info.Width, info.Height, err = c.Geometry(ctx, sc.Root); err != nil {
		return info, err
	}
	if info.Extensions, err = c.ListExtensions(ctx); err != nil {
		return info, err
	}
	slices.Sort(info.Extensions)
	ext, err := queryExtensions(ctx, c)
	if err != nil {
		return info, err
	}
	info.SharedMemory = ext.shm.Present() && c.Local()
	info.Damage = ext.damage.Present() && ext.fixes.Present()
	info.Cursor = ext.fixes.Present()
	info.Resize = ext.randr.Present()
	if info.Monitors, err = c.Monitors(ctx, ext.randr, sc.Root); err != nil {
		return info, err
	}
	if info.Scale, err = c.Scale(ctx); err != nil {
		return info, err
	}
	if _, err := pixelsOf(c.Setup, sc); err != nil {
		info.Err = err
		return info, nil //nolint:nilerr // this is the finding
	}
	if err := rootless(ctx, c, sc, ext.randr); errors.Is(err, errXwayland) {
		info.Err = err
	} else if err != nil {
		return info, err
	}
	return info, nil
}
