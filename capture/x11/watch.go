package x11

import (
	"context"
	"errors"
	"time"

	"wavryhost/platform/xproto"
)

// settleTime is the time without further events after which an arrangement of monitors counts as finished. A tool that
// arranges several causes a dozen events.
const settleTime = 100 * time.Millisecond

// Watch calls changed after each change of the sizes and monitors of a server's screens, until ctx ends or the server
// is lost. It returns why.
func Watch(ctx context.Context, display string, authority []string, changed func([]Info)) error {
	list, err := Probe(ctx, display, authority)
	if err != nil {
		return err
	}
	c, err := dial(ctx, display, authority)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Wake)()
	randr, err := c.QueryRandR(ctx)
	if err != nil {
		return err
	}
	var news bool
	c.OnEvent = func(b []byte) {
		news = news || xproto.Kind(b) == eventConfigureNotify || randr.Changed(b)
	}
	for _, sc := range c.Setup.Screens {
		c.Send(opChangeWindowAttributes, 0, sc.Root, attributeEventMask, maskStructureNotify)
		c.WatchMonitors(randr, sc.Root)
	}
	if err := c.Sync(ctx); err != nil {
		return err
	}
	for news = true; ; { // something may have changed since the probe
		var limit time.Time
		if news {
			limit = time.Now().Add(settleTime)
		}
		err := c.Wait(limit)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, xproto.ErrTimeout):
			news = false
			if err := measure(ctx, c, randr, list); err != nil {
				return err
			}
			changed(list)
		case err != nil && !errors.Is(err, xproto.ErrWoken):
			return err
		}
	}
}

// measure updates the sizes and monitors of screens.
func measure(ctx context.Context, c *xproto.Conn, randr xproto.RandR, list []Info) error {
	for i, sc := range c.Setup.Screens[:min(len(list), len(c.Setup.Screens))] {
		var err error
		if list[i].Width, list[i].Height, err = c.Geometry(ctx, sc.Root); err != nil {
			return err
		}
		if list[i].Monitors, err = c.Monitors(ctx, randr, sc.Root); err != nil {
			return err
		}
		if list[i].Scale, err = c.Scale(ctx); err != nil {
			return err
		}
	}
	return nil
}
