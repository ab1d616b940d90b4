package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/capture"
	capturekms "wavryhost/capture/kms"
	"wavryhost/capture/wayland"
	"wavryhost/capture/x11"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/cmd/wavry-host/selfprobe"
	"wavryhost/platform/desktop"
	"wavryhost/platform/display"
	"wavryhost/platform/input"
	"wavryhost/platform/kms"
	"wavryhost/platform/xproto"
	"wavryhost/session"
	"wavryhost/session/api/durable"
	"wavryhost/session/floor"
)

// catalog has the offered displays, and is attached to the virtual one.
type catalog struct {
	cfg     *config.Config
	cursor  atomic.Bool // whether pictures contain the cursor
	desktop *displaySearch
	log     *slog.Logger
	inputs  *input.Metrics
	tap     selfprobe.Tap
	virtual *desktop.Attachment // nil when there is none
	// onDemand has the displays of displays.virtual by ID.
	onDemand map[string]*desktop.OnDemand

	mu    sync.Mutex
	known []candidate
	list  []session.Display // the default display first
	first string            // the ID of the default display
}

// newCatalog searches for displays. It attaches to the virtual display that runs. It starts one when it is configured
// or no display exists. The caller must Close the catalog after Run has returned.
func newCatalog(
	ctx context.Context, cfg *config.Config, env []string, d *displaySearch, inputs *input.Metrics, log *slog.Logger,
) (*catalog, error) {
	c := &catalog{cfg: cfg, desktop: d, log: log, inputs: inputs}
	c.reconfigure(cfg)
	if path := inState(consentFile, env); path != "" {
		durable.Tidy(path)
	}
	d.displays.Look(ctx)
	all := append(d.found(), made(cfg)...)
	if err := c.attach(ctx, env, all); err != nil {
		return nil, err
	}
	if err := c.provide(ctx, env); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.scan()
	return c, nil
}

// reconfigure applies what can change at run time.
func (c *catalog) reconfigure(cfg *config.Config) {
	c.cursor.Store(cfg.Displays.Cursor)
	if c.virtual != nil {
		c.virtual.SetKeep(keepOf(cfg))
	}
}

// attach attaches to the virtual display, and starts it if it is the default. If it was not configured by name, the
// test pattern replaces it on failure.
func (c *catalog) attach(ctx context.Context, env []string, all []candidate) error {
	where, err := desktopConfig(c.cfg, env)
	id, why := pick(c.cfg.Displays.Default, "", all)
	if id != idVirtual {
		if err != nil {
			return nil //nolint:nilerr // without a socket there is no desktop
		}
		v, err := desktop.Find(ctx, where, c.log)
		if err == nil {
			c.virtual = v
		} else if !errors.Is(err, desktop.ErrNone) {
			c.log.Warn("a virtual display may run, but cannot be reached", "err", err)
		}
		return nil
	}
	var v *desktop.Attachment
	if err == nil {
		v, err = desktop.Attach(ctx, where, c.log)
	}
	switch {
	case err == nil:
		c.virtual = v
		c.log.Info("virtual display is used", "why", why, "socket", where.Socket)
	case c.cfg.Displays.Default == idVirtual || ctx.Err() != nil:
		return fmt.Errorf("start the virtual display: %w", err)
	default:
		c.log.Warn("no virtual display; the test pattern replaces it", "err", err)
	}
	return nil
}

// provide makes the displays that start on request.
func (c *catalog) provide(ctx context.Context, env []string) error {
	if len(c.cfg.Displays.Virtual) == 0 {
		return nil
	}
	where, err := desktopConfig(c.cfg, env)
	if err != nil {
		return err
	}
	if c.onDemand, err = onDemand(ctx, c.cfg, where, c.log); err != nil {
		c.log.Warn("virtual displays may run, but cannot be reached", "err", err)
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
	c.desktop.displays.Run(ctx, c.scan)
	return nil
}

// Close detaches from the virtual displays, which continue. It ends the portal's session.
func (c *catalog) Close() error {
	c.desktop.portal.Close()
	for _, d := range c.onDemand {
		_ = d.Close() // it only waits
	}
	if c.virtual == nil {
		return nil
	}
	return c.virtual.Close()
}

// where returns the address and the authority file of a virtual display. The address is empty if it does not run, and
// the file if this daemon does not use it. Both are empty for other displays.
func (c *catalog) where(id string) (address, authority string) {
	if d := c.onDemand[id]; d != nil {
		return d.Address()
	}
	if id == idVirtual && c.virtual != nil {
		return c.virtual.Address(), c.virtual.Authority()
	}
	return "", ""
}

// x11Config returns what opens an X display.
func (c *catalog) x11Config(one candidate) (x11.Config, error) {
	if !isVirtual(one.ID) {
		return x11.Config{Display: one.address, Authority: one.authority, Monitor: one.monitor}, nil
	}
	address, authority := c.where(one.ID)
	if authority == "" {
		return x11.Config{}, fmt.Errorf("%w: display %s does not run", capture.ErrNotFound, one.ID)
	}
	return x11.Config{Display: address, Authority: []string{authority}}, nil
}

// scan updates the list from the known displays.
func (c *catalog) scan() {
	all := c.desktop.found()
	for _, m := range made(c.cfg) {
		if m.ID == idVirtual && c.virtual == nil {
			continue
		}
		if address, _ := c.where(m.ID); address != "" { // it is listed among the others, without its key
			all = slices.DeleteFunc(all, func(one candidate) bool {
				own := one.ID == "x11"+address
				if own && one.Width > 0 {
					m.Width, m.Height = one.Width, one.Height
				}
				return own
			})
		}
		all = append(all, m)
	}
	c.mu.Lock()
	before := c.known
	for _, one := range before { // the default display may come back
		if c.first == one.ID && !slices.ContainsFunc(all, func(o candidate) bool { return o.ID == one.ID }) {
			one.State, one.Why = display.Unusable, "its server is gone"
			all = append(all, one)
		}
	}
	id, why := pick(c.cfg.Displays.Default, c.first, all)
	all = choose(id, all)
	from := c.first
	c.known, c.first = all, id
	c.list = c.offered(all)
	c.mu.Unlock()
	c.tell(before, all)
	if from == id {
		return
	}
	c.log.Info("default display chosen", "display", id, "why", why, "before", from)
	for _, one := range all {
		switch {
		case one.ID != id:
		case one.State != display.Usable:
			c.log.Warn("the default display is not available; it is tried again when a viewer connects", "display", id,
				"state", one.State, "why", one.Why)
		case one.Remote:
			c.log.Warn(
				"the default display is on another machine, or behind a tunnel: its viewers see, and may control, what is shown "+
					"there",
				"display", id,
			)
		}
	}
}

// tell logs which displays came, went, or changed.
func (c *catalog) tell(before, now []candidate) {
	find := func(list []candidate, id string) (candidate, bool) {
		if i := slices.IndexFunc(list, func(d candidate) bool { return d.ID == id }); i >= 0 {
			return list[i], true
		}
		return candidate{}, false
	}
	for _, d := range now {
		was, ok := find(before, d.ID)
		switch {
		case ok && was.State == d.State:
		case d.State == display.Usable:
			c.log.Info("display offered", "display", d.ID, "backend", d.Backend, "width", d.Width, "height", d.Height)
		default:
			c.log.Info("display cannot be offered", "display", d.ID, "backend", d.Backend, "state", d.State, "why", d.Why)
		}
	}
	for _, d := range before {
		if _, ok := find(now, d.ID); !ok {
			c.log.Info("display gone", "display", d.ID)
		}
	}
}

// offered makes displays for sessions from the candidates, the default first. The caller holds mu.
func (c *catalog) offered(all []candidate) []session.Display {
	var list []session.Display
	for _, one := range all {
		d := session.Display{
			ID:      one.ID,
			Name:    one.Name,
			Backend: one.Backend,
			Width:   one.Width,
			Height:  one.Height,
			Layout:  one.Layout,
			State:   string(one.State),
			Reason:  one.Why,
			Open:    c.tap.Opener(one.ID, c.opener(one)),
			Pointer: c.pointer(one),
			Input:   c.input(one),
			Resize:  c.resize(one),
			Virtual: isVirtual(one.ID), Group: one.Group, ForGroup: one.ForGroup,
		}
		if v := c.onDemand[one.ID]; v != nil {
			d.Hold, d.Kept = v.Hold, v.Kept
		}
		if d.State == string(display.Usable) {
			d.State = ""
		}
		if one.Default {
			list = slices.Insert(list, 0, d)
			continue
		}
		list = append(list, d)
	}
	return list
}

// opener returns the function that captures a display. A display that cannot be opened is probed again for the reason.
func (c *catalog) opener(one candidate) capture.Opener {
	open := opener(one, c.cfg, c.log)
	if isVirtual(one.ID) {
		open = func(ctx context.Context, d capture.Demand) (capture.Source, error) {
			x, err := c.x11Config(one)
			if err != nil {
				return nil, err
			}
			x.Demand = d
			return opened(x11.New(ctx, x, c.log))
		}
	}
	return func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		if !c.cursor.Load() {
			d.Cursor = capture.CursorHidden
		}
		source, err := open(ctx, d)
		if err != nil {
			c.desktop.displays.Again(one.address)
		}
		return source, err
	}
}

// errNoCursor means that the operator shows no pointer.
var errNoCursor = fmt.Errorf("%w: displays.cursor is off", capture.ErrUnsupported)

// pointer returns the function that opens the pointer of a display. It is nil if that is in the picture only.
func (c *catalog) pointer(d candidate) capture.PointerOpener {
	var open capture.PointerOpener
	switch {
	case d.offLimits():
		return nil
	case d.Backend == "x11":
		open = func(ctx context.Context) (capture.PointerSource, error) {
			x, err := c.x11Config(d)
			if err != nil {
				return nil, err
			}
			return openedPointer(x11.NewPointer(ctx, x))
		}
	case d.Backend == "wayland" && d.monitor != "":
		open = func(ctx context.Context) (capture.PointerSource, error) {
			return openedPointer(wayland.NewPointer(ctx, wayland.Config{Socket: d.address, Output: d.monitor}, c.log))
		}
	case d.Backend == "kms" && d.monitor != "":
		open = func(ctx context.Context) (capture.PointerSource, error) {
			return openedPointer(capturekms.NewPointer(ctx, capturekms.Config{Socket: d.address, Output: d.monitor}))
		}
	default:
		return nil
	}
	return func(ctx context.Context) (capture.PointerSource, error) {
		if !c.cursor.Load() {
			return nil, errNoCursor
		}
		return open(ctx)
	}
}

// openedPointer converts a driver's own type to an interface, and a nil pointer to nil.
func openedPointer[S capture.PointerSource](s S, err error) (capture.PointerSource, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// inputTimeout is the time after which an X server without an answer is given up, with all waiting input. Servers pause
// for seconds while a driver or a disk does, and then continue.
const inputTimeout = 10 * time.Second

// input returns the function that makes the injector of a display. It is nil if the display accepts no input.
func (c *catalog) input(d candidate) func() floor.Injector {
	switch {
	case d.offLimits():
		return nil
	case d.Backend == "wayland" && d.monitor != "":
		return func() floor.Injector {
			return input.New(input.Config{Display: d.ID, Open: input.Wayland(d.address, d.monitor)}, c.log, c.inputs)
		}
	case d.ID == idPortal && d.portal != nil && !d.portal.WatchOnly():
		return func() floor.Injector {
			return input.New(input.Config{Display: d.ID, Open: input.Portal(d.portal)}, c.log, c.inputs)
		}
	case d.Backend == "pipewire" && d.monitor != "":
		return func() floor.Injector {
			return input.New(input.Config{Display: d.ID, Open: input.GNOME(d.address, d.monitor)}, c.log, c.inputs)
		}
	case d.Backend == "kms" && d.monitor != "" && c.cfg.Input.UInput != config.None:
		return func() floor.Injector {
			_, connector := kms.Card(d.monitor)
			open := input.UInput(input.UInputConfig{Name: connector, American: c.cfg.Input.UInput == config.American})
			return input.New(input.Config{Display: d.ID, Open: open}, c.log, c.inputs)
		}
	case d.Backend != "x11":
		return nil
	}
	return func() floor.Injector {
		dial := func(ctx context.Context) (*xproto.Conn, error) { return c.dial(ctx, d) }
		open := input.XTEST(dial, d.monitor, inputTimeout)
		return input.New(input.Config{Display: d.ID, Open: open}, c.log, c.inputs)
	}
}

// dial connects to an X display.
func (c *catalog) dial(ctx context.Context, d candidate) (*xproto.Conn, error) {
	x, err := c.x11Config(d)
	if err != nil {
		return nil, err
	}
	return xproto.Dial(ctx, x.Display, x.Authority)
}

// resize returns the function that changes the size of a display. It is nil for all but whole X screens.
func (c *catalog) resize(d candidate) func(context.Context, image.Point) (image.Point, error) {
	if d.Backend != "x11" || d.monitor != "" || d.offLimits() {
		return nil
	}
	return func(ctx context.Context, size image.Point) (before image.Point, err error) {
		conn, err := c.dial(ctx, d)
		if err != nil {
			return before, fmt.Errorf("%w: %w", session.ErrNoPicture, err)
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, conn.Wake)()
		before = image.Pt(conn.Screen.Width, conn.Screen.Height)
		err = conn.Resize(ctx, conn.Screen.Root, size, conn.Screen.DPI())
		_, outside := errors.AsType[xproto.RangeError](err)
		_, lost := errors.AsType[xproto.LostError](err)
		switch {
		case outside:
			err = fmt.Errorf("%w: %w", session.ErrBadChange, err)
		case errors.Is(err, xproto.ErrFixedSize):
			err = fmt.Errorf("%w: %w", session.ErrFixedSize, err)
		case lost:
			err = fmt.Errorf("%w: %w", session.ErrNoPicture, err)
		}
		return before, err
	}
}

// displays returns the offered displays, the default first.
func (c *catalog) displays(context.Context) []session.Display {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}
