package screencast

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
)

// The interfaces of xdg-desktop-portal.
const (
	portalService = "org.freedesktop.portal.Desktop"
	portalPath    = "/org/freedesktop/portal/desktop"
	portalCast    = "org.freedesktop.portal.ScreenCast"
	portalRemote  = "org.freedesktop.portal.RemoteDesktop"
	portalLife    = "org.freedesktop.portal.Session"
	portalRequest = "org.freedesktop.portal.Request"
)

// stepLimit is the limit for what the portal answers without asking the person.
const stepLimit = 5 * time.Second

// The numbers of the portal.
const (
	sourceMonitor = 1 // bits of source types

	deviceKeyboard, devicePointer = 1, 2 // bits of devices

	cursorModeHidden, cursorModeEmbedded = 1, 2 // bits of cursor modes

	persistUntilRevoked = uint32(2) // a mode of persistence

	// The versions from which on consent can be kept.
	castPersists, remotePersists = 4, 2

	answered, refused = 0, 1 // what Response says; all else is a failure
)

// KDE's backend takes a step of the wheel for a unit of scrolling, and reverses smooth vertical scrolling.
const (
	kdeBackend = "org.freedesktop.impl.portal.desktop.kde"
	kdeSteps   = 15 // units of a notch, in KWin
)

// portalSession is an open session of the portal. Its fields but users do not change.
type portalSession struct {
	*Session
	node    uint32      // of PipeWire
	size    image.Point // in the units of positions; zero if the portal does not say
	devices uint32      // that the person allowed
	steps   int32       // of the wheel in a notch
	cursor  Cursor      // in the pictures
	wanted  Cursor
	token   string // for the next session
	kept    bool   // the next session needs no person
	users   int    // Portal.mu guards it
}

// connectPortal connects to the portal. It does not start one: a portal that starts before its desktop has told the bus
// who it is has no backend, and stays so.
func connectPortal(ctx context.Context, bus string) (*Session, error) {
	s, err := connect(ctx, bus, portalService, portalRequest, portalLife)
	if err != nil {
		return nil, err
	}
	s.flags = dbus.FlagNoAutoStart
	return s, nil
}

// offer is what the portal can do.
type offer struct{ cast, remote, sources, cursors, devices uint32 }

// persistentRemote reports whether a session with input can be opened again without the person. Without that, pictures
// alone are better: they need no person the next time.
func (o offer) persistentRemote() bool { return o.remote >= remotePersists }

// offer asks the portal what it can do.
func (s *Session) offer(ctx context.Context) (o offer, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	if o.cast, err = s.number(ctx, portalCast, "version"); err != nil {
		return o, err
	}
	if o.sources, err = s.number(ctx, portalCast, "AvailableSourceTypes"); err != nil {
		return o, err
	}
	if o.cursors, err = s.number(ctx, portalCast, "AvailableCursorModes"); err != nil && !errors.Is(err, ErrUnsupported) {
		return o, err
	}
	if o.sources&sourceMonitor == 0 {
		return o, fmt.Errorf("%w: the portal captures no monitors", ErrUnsupported)
	}
	if o.remote, err = s.number(ctx, portalRemote, "version"); err == nil {
		o.devices, err = s.number(ctx, portalRemote, "AvailableDeviceTypes")
	}
	if errors.Is(err, ErrUnsupported) {
		o.remote, err = 0, nil
	}
	return o, err
}

// number reads a property. The portal has only the interfaces that a backend serves.
func (s *Session) number(ctx context.Context, of, name string) (n uint32, err error) {
	var v dbus.Variant
	err = s.call(ctx, portalPath, "org.freedesktop.DBus.Properties.Get", []any{of, name}, []any{&v})
	if failure, ok := errors.AsType[dbus.Error](err); ok {
		switch failure.Name {
		case "org.freedesktop.DBus.Error.InvalidArgs", "org.freedesktop.DBus.Error.UnknownProperty":
			return 0, fmt.Errorf("%w: its portal has no %s (is a backend for this desktop installed?): %w", ErrUnsupported,
				of, err)
		}
	}
	if err != nil {
		return 0, err
	}
	n, ok := v.Value().(uint32)
	if !ok {
		return 0, fmt.Errorf("%s of %s is %v, not a number", name, of, v)
	}
	return n, nil
}

// openPortal opens a session. It sets asked before the portal may ask the person.
func openPortal(ctx context.Context, cfg PortalConfig, c Cursor, token string, asked *atomic.Bool) (
	*portalSession, error,
) {
	limited, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	s, err := connectPortal(limited, cfg.Bus)
	if err != nil {
		return nil, err
	}
	p := &portalSession{Session: s, wanted: c}
	if err := p.open(ctx, cfg.Consent, token, asked); err != nil {
		s.Close()
		return nil, err
	}
	s.start()
	return p, nil
}

func (p *portalSession) open(ctx context.Context, consent time.Duration, token string, asked *atomic.Bool) error {
	o, err := p.offer(ctx)
	if err != nil {
		return err
	}
	var kde bool
	if err := p.conn.BusObject().CallWithContext(ctx, daemonName+".NameHasOwner", 0, kdeBackend).Store(&kde); err != nil {
		return explain("ask for KDE's portal", err)
	}
	if p.steps = 1; kde {
		p.steps = kdeSteps
	}
	if err := p.create(ctx, o); err != nil {
		return err
	}
	if err := p.choose(ctx, o, token); err != nil {
		return err
	}
	of := portalCast
	if o.persistentRemote() {
		of = portalRemote
	}
	limited, cancel := context.WithTimeout(ctx, consent)
	defer cancel()
	asked.Store(true)
	results, err := p.request(limited, of+".Start", p.path, "", options(nil))
	if errors.Is(err, ErrSilent) {
		return fmt.Errorf("%w: nobody answered the desktop's dialog within %v", ErrConsent, consent)
	}
	if err != nil {
		return err
	}
	return p.read(results)
}

// options are the options of a request.
func options(m map[string]any) map[string]dbus.Variant {
	all := make(map[string]dbus.Variant)
	for k, v := range m {
		all[k] = dbus.MakeVariant(v)
	}
	return all
}

// create makes the session on the bus.
func (p *portalSession) create(ctx context.Context, o offer) error {
	of := portalCast
	if o.persistentRemote() {
		of = portalRemote
	}
	name := options(map[string]any{"session_handle_token": "wavryhost"})
	results, err := p.limitedRequest(ctx, of+".CreateSession", name)
	if err != nil {
		return err
	}
	switch handle := results["session_handle"].Value().(type) { // the interface says that it is a string
	case string:
		p.path = dbus.ObjectPath(handle)
	case dbus.ObjectPath:
		p.path = handle
	}
	if !p.path.IsValid() {
		return fmt.Errorf("the portal names its session %v", results["session_handle"])
	}
	p.closed = []string{portalLife + ".Closed"}
	return nil
}

// choose says what the session is for. A token that the portal does not know is left out.
func (p *portalSession) choose(ctx context.Context, o offer, token string) error {
	sources := map[string]any{"types": uint32(sourceMonitor), "multiple": false}
	p.cursor = p.wanted
	switch {
	case o.cursors&cursorModeHidden == 0:
		p.cursor = CursorEmbedded
	case o.cursors&cursorModeEmbedded == 0:
		p.cursor = CursorHidden
	}
	if mode := uint32(cursorModeHidden << p.cursor); o.cursors&mode != 0 {
		sources["cursor_mode"] = mode
	}
	if o.persistentRemote() {
		devices := map[string]any{"types": o.devices & (deviceKeyboard | devicePointer)}
		if err := p.persist(ctx, portalRemote+".SelectDevices", devices, token); err != nil {
			return err
		}
		_, err := p.limitedRequest(ctx, portalCast+".SelectSources", p.path, options(sources))
		return err
	}
	if o.cast < castPersists {
		_, err := p.limitedRequest(ctx, portalCast+".SelectSources", p.path, options(sources))
		return err
	}
	return p.persist(ctx, portalCast+".SelectSources", sources, token)
}

// persist is a request whose consent is kept.
func (p *portalSession) persist(ctx context.Context, method string, m map[string]any, token string) error {
	m["persist_mode"] = persistUntilRevoked
	if token != "" {
		m["restore_token"] = token
	}
	_, err := p.limitedRequest(ctx, method, p.path, options(m))
	failure, ok := errors.AsType[dbus.Error](err)
	if ok && token != "" && failure.Name == "org.freedesktop.portal.Error.InvalidArgument" {
		delete(m, "restore_token")
		_, err = p.limitedRequest(ctx, method, p.path, options(m))
	}
	return err
}

func (p *portalSession) limitedRequest(ctx context.Context, method string, args ...any) (
	map[string]dbus.Variant, error,
) {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	return p.request(ctx, method, args...)
}

// request calls a method of the portal that answers by a signal.
func (p *portalSession) request(ctx context.Context, method string, args ...any) (map[string]dbus.Variant, error) {
	var handle dbus.ObjectPath
	if err := p.call(ctx, portalPath, method, args, []any{&handle}); err != nil {
		return nil, err
	}
	sig, err := p.await(ctx, func(sig *dbus.Signal) bool {
		return sig.Name == portalRequest+".Response" && sig.Path == handle
	})
	if err != nil {
		return nil, explain("wait for the portal's answer to "+method, err)
	}
	var (
		code    uint32
		results map[string]dbus.Variant
	)
	if err := dbus.Store(sig.Body, &code, &results); err != nil {
		return nil, explain("read the portal's answer to "+method, err)
	}
	switch code {
	case answered:
		return results, nil
	case refused:
		return nil, fmt.Errorf("%w: the person at the screen said no", ErrDenied)
	}
	return nil, fmt.Errorf("the desktop could not do %s (response %d); the log of its portal may say why", method, code)
}

// read reads what Start returned.
func (p *portalSession) read(results map[string]dbus.Variant) error {
	var streams []struct {
		Node       uint32
		Properties map[string]dbus.Variant
	}
	if err := dbus.Store([]any{results["streams"].Value()}, &streams); err != nil {
		return fmt.Errorf("read the portal's streams: %w", err)
	}
	if len(streams) == 0 {
		return errors.New("the portal opened no stream")
	}
	p.node = streams[0].Node
	var size struct{ Width, Height int32 }
	if v, ok := streams[0].Properties["size"]; ok && dbus.Store([]any{v.Value()}, &size) == nil {
		p.size = image.Pt(int(size.Width), int(size.Height))
	}
	p.devices, _ = results["devices"].Value().(uint32)
	p.token, _ = results["restore_token"].Value().(string)
	return nil
}

// over reports whether the session has ended.
func (p *portalSession) over() bool {
	select {
	case <-p.Lost():
		return true
	default:
		return false
	}
}

// Node returns the number of the stream.
func (p *portalSession) Node() uint32 { return p.node }

// Cursor says whether the pictures contain the pointer.
func (p *portalSession) Cursor() Cursor { return p.cursor }

// PipeWire connects to the PipeWire that has the stream. The caller owns the descriptor.
func (p *portalSession) PipeWire(ctx context.Context) (int, error) {
	var fd dbus.UnixFD
	err := p.call(ctx, portalPath, portalCast+".OpenPipeWireRemote", []any{p.path, options(nil)}, []any{&fd})
	if err != nil {
		return -1, err
	}
	return int(fd), nil
}
