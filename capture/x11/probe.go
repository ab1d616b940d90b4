package x11

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"
)

// Probe connects to the server of a display and describes its screens, in the order of their numbers. It takes no
// longer than ctx and five seconds.
func Probe(ctx context.Context, display string, authority []string) ([]Info, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for {
		list, err := probe(ctx, display, authority)
		// A server that resets when its last client goes disconnects others. The last client may have been the previous
		// probe.
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
	c, _, err := connect(ctx, display, authority)
	if err != nil {
		return nil, err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.wake)()
	var list []Info
	for _, sc := range c.setup.screens {
		info, err := c.info(ctx, sc)
		if err != nil {
			return nil, fmt.Errorf("x11: probe display %s: %w", display, err)
		}
		list = append(list, info)
	}
	return list, nil
}

func (c *conn) info(ctx context.Context, sc screen) (Info, error) {
	info := Info{Depth: int(sc.depth), Vendor: c.setup.vendor, Release: c.setup.release}
	var err error
	if info.Width, info.Height, err = c.geometry(ctx, sc.root); err != nil {
		return info, err
	}
	if info.Extensions, err = c.listExtensions(ctx); err != nil {
		return info, err
	}
	slices.Sort(info.Extensions)
	ext, err := c.extensions(ctx)
	if err != nil {
		return info, err
	}
	info.SharedMemory = ext.shm.present() && c.name.local()
	info.Damage = ext.damage.present() && ext.fixes.present()
	info.Cursor = ext.fixes.present()
	info.Resize = ext.randr.present()
	if _, err := c.setup.pixelsOf(sc); err != nil {
		info.Err = err
		return info, nil //nolint:nilerr // this is the finding
	}
	if err := c.rootless(ctx, sc, ext.randr); errors.Is(err, errXwayland) {
		info.Err = err
	} else if err != nil {
		return info, err
	}
	return info, nil
}
