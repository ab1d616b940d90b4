package x11

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// errXwayland is that of an X server inside a Wayland session: programs' windows are there, the picture is the compositor's.
var errXwayland = errors.New("it is Xwayland, whose screen is black; the picture is the Wayland compositor's, which cannot be captured yet")

// Probe connects to a display and tells what is there, or why it cannot be captured. It takes no longer than ctx and
// five seconds.
func Probe(ctx context.Context, display, authority string) (Info, error) {
	cfg, err := Config{Display: display, Authority: authority}.withDefaults()
	if err != nil {
		return Info{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c, sc, err := connect(ctx, cfg.Display, cfg.Authority)
	if err != nil {
		return Info{}, err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.wake)()
	info, err := c.info(ctx, sc)
	if err != nil {
		return Info{}, fmt.Errorf("x11: probe display %s: %w", cfg.Display, err)
	}
	return info, nil
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
	if slices.Contains(info.Extensions, "XWAYLAND") {
		return info, errXwayland
	}
	ext, err := c.extensions(ctx)
	if err != nil {
		return info, err
	}
	info.SharedMemory = ext.shm.present() && c.name.local()
	info.Damage = ext.damage.present() && ext.fixes.present()
	info.Cursor = ext.fixes.present()
	info.Resize = ext.randr.present()
	return info, nil
}
