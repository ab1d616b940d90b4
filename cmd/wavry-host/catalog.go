package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/x11"
	"wavryhost/platform/display"
	"wavryhost/platform/input"
	"wavryhost/session"
)

// rescan is how often displays are looked for.
const rescan = 5 * time.Second

// catalog knows the displays that are offered, and owns the virtual one.
type catalog struct {
	cfg     *Config
	desktop desktop
	log     *slog.Logger
	inputs  *input.Metrics
	// choice is the setting that picks the default; it stays what it came to at the start.
	choice  string
	virtual *display.Virtual // nil without one

	mu   sync.Mutex
	list []session.Display // the default first
}

// newCatalog looks for displays, and starts a virtual one when it is asked for or nothing else is there. The caller must Close
// it, after Run has returned.
func newCatalog(ctx context.Context, cfg *Config, d desktop, inputs *input.Metrics, log *slog.Logger) (*catalog, error) {
	c := &catalog{cfg: cfg, desktop: d, log: log, inputs: inputs, choice: cfg.Display}
	all := choose(cfg.Display, append(d.found(ctx), made(cfg)...))
	for _, one := range all {
		if !one.Default {
			continue
		}
		// A display that comes later does not take the place of the one that viewers know.
		c.choice = one.ID
		if one.ID == idVirtual {
			if err := c.start(ctx); err != nil {
				return nil, err
			}
		} else if !one.Usable {
			log.Warn("the display is not to be had; it is tried again when a viewer comes", "display", one.ID, "why", one.Why)
		}
	}
	c.scan(ctx)
	return c, nil
}

// start starts the virtual display. When it was not asked for by name, the test pattern does as well.
func (c *catalog) start(ctx context.Context) error {
	v, err := display.StartVirtual(ctx, display.VirtualConfig{
		Width: c.cfg.VirtualSize.Width, Height: c.cfg.VirtualSize.Height,
	}, c.log)
	switch {
	case err == nil:
		c.virtual = v
	case c.cfg.Display == idVirtual || ctx.Err() != nil:
		return fmt.Errorf("start the virtual display: %w", err)
	default:
		c.log.Warn("no virtual display; the test pattern takes its place", "err", err)
		c.choice = idSynthetic
	}
	return nil
}

// Run keeps the catalog current until ctx ends.
func (c *catalog) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if c.virtual != nil {
		wg.Go(func() {
			if err := c.virtual.Run(ctx); err != nil && ctx.Err() == nil {
				c.log.Error("virtual display lost", "err", err)
			}
		})
	}
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.scan(ctx)
		}
	}
}

// Close ends the virtual display.
func (c *catalog) Close() error {
	if c.virtual == nil {
		return nil
	}
	return c.virtual.Close()
}

// scan looks for displays again.
func (c *catalog) scan(ctx context.Context) {
	all := c.desktop.found(ctx)
	if c.virtual != nil { // it shows among the others, without the key to it
		all = slices.DeleteFunc(all, func(one candidate) bool { return one.ID == "x11"+c.virtual.Address() })
	}
	for _, m := range made(c.cfg) {
		if m.ID == idSynthetic || c.virtual != nil {
			all = append(all, m)
		}
	}
	if ctx.Err() != nil {
		return // what was found is not all
	}
	list := offered(choose(c.choice, all), c.open)
	for i := range list {
		list[i].Input = c.input(list[i])
	}
	c.mu.Lock()
	before := c.list
	c.list = list
	c.mu.Unlock()
	c.tell(before, list)
}

// tell logs what came and went.
func (c *catalog) tell(before, now []session.Display) {
	has := func(list []session.Display, id string) bool {
		return slices.ContainsFunc(list, func(d session.Display) bool { return d.ID == id })
	}
	for _, d := range now {
		if !has(before, d.ID) {
			c.log.Info("display offered", "display", d.ID, "backend", d.Backend, "width", d.Width, "height", d.Height)
		}
	}
	for _, d := range before {
		if !has(now, d.ID) {
			c.log.Info("display gone", "display", d.ID)
		}
	}
}

func (c *catalog) open(one candidate) func(context.Context) (capture.Source, error) {
	if one.ID != idVirtual {
		return opener(one, c.cfg, c.desktop.authority, c.log)
	}
	return func(ctx context.Context) (capture.Source, error) {
		return opened(x11.New(ctx, x11.Config{
			Display: c.virtual.Address(), Authority: c.virtual.Authority(), NoCursor: !c.cfg.Cursor,
		}, c.log))
	}
}

// input returns what makes the injector of a display; nil where it takes no input.
func (c *catalog) input(d session.Display) func() session.Injector {
	if d.Backend != "x11" {
		return nil
	}
	dial := func(ctx context.Context) (net.Conn, input.Screen, error) {
		address, authority := strings.TrimPrefix(d.ID, "x11"), c.desktop.authority
		if d.ID == idVirtual {
			address, authority = c.virtual.Address(), c.virtual.Authority()
		}
		nc, s, err := x11.Dial(ctx, address, authority)
		return nc, input.Screen(s), err
	}
	return func() session.Injector { return input.New(input.Config{Display: d.ID, Dial: dial}, c.log, c.inputs) }
}

// displays returns what is offered, the default first.
func (c *catalog) displays(context.Context) []session.Display {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}
