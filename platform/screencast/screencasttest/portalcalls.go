//go:build linux

package screencasttest

import (
	"context"
	"fmt"
	"net"

	"github.com/godbus/dbus/v5"

	"wavryhost/platform/screencast"
)

// serve answers calls in order until the connection ends. answered is called when the bus has answered one of ours.
func (p *Portal) serve(conn *dbus.Conn, messages <-chan *dbus.Message, answered func()) {
	for {
		var m *dbus.Message
		select {
		case m = <-messages:
		case <-conn.Context().Done():
			return
		}
		switch m.Type {
		case dbus.TypeMethodReply:
			answered()
		case dbus.TypeMethodCall:
			p.answer(conn, m)
		case dbus.TypeSignal: // of a client that is gone
			if len(m.Body) == 3 && m.Body[2] == "" {
				p.endAll(func(s *session) bool { return s.owner == m.Body[0] })
			}
		case dbus.TypeError:
		}
	}
}

// answer answers a call.
func (p *Portal) answer(conn *dbus.Conn, m *dbus.Message) {
	text := func(f dbus.HeaderField) string {
		s, _ := m.Headers[f].Value().(string)
		return s
	}
	sender := text(dbus.FieldSender)
	result, failure := p.call(sender, text(dbus.FieldInterface), text(dbus.FieldMember), m.Body)
	reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(sender), dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()),
	}}
	switch {
	case failure != nil:
		reply.Type, reply.Body = dbus.TypeError, failure.Body
		reply.Headers[dbus.FieldErrorName] = dbus.MakeVariant(failure.Name)
	case result != nil:
		reply.Body = []any{result}
	}
	if len(reply.Body) > 0 {
		reply.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(reply.Body...))
	}
	conn.Send(reply, nil)
}

// respond answers a request, and returns its handle.
func (p *Portal) respond(answer func(handle dbus.ObjectPath)) dbus.ObjectPath {
	p.mu.Lock()
	p.handles++
	handle := dbus.ObjectPath(fmt.Sprintf("%s/request/%d", portalObject, p.handles))
	silent := p.fault == Silent
	p.mu.Unlock()
	if !silent {
		answer(handle)
	}
	return handle
}

func (p *Portal) response(handle dbus.ObjectPath, code uint32, results map[string]dbus.Variant) {
	if p.is(WrongAnswer) {
		p.emit(handle, "org.freedesktop.portal.Request.Response", "yes")
		return
	}
	if results == nil {
		results = map[string]dbus.Variant{}
	}
	p.emit(handle, "org.freedesktop.portal.Request.Response", code, results)
}

// create is CreateSession.
func (p *Portal) create(sender string, options map[string]dbus.Variant, remote bool) dbus.ObjectPath {
	return p.respond(func(handle dbus.ObjectPath) {
		token, _ := options["session_handle_token"].Value().(string)
		p.mu.Lock()
		path := dbus.ObjectPath(fmt.Sprintf("%s/session/%d/%s", portalObject, p.handles, token))
		p.sessions[path] = &session{owner: sender, remote: remote}
		p.mu.Unlock()
		name := string(path)
		if p.is(WrongSession) {
			name = "no path"
		}
		p.response(handle, 0, map[string]dbus.Variant{"session_handle": dbus.MakeVariant(name)})
	})
}

// persist notes what a session is to be opened again with.
func (p *Portal) persist(path dbus.ObjectPath, options map[string]dbus.Variant) *dbus.Error {
	mode, _ := options["persist_mode"].Value().(uint32)
	token, _ := options["restore_token"].Value().(string)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[path]
	switch {
	case s == nil:
		return failed("NotFound", "no such session")
	case token != "" && !p.tokens[token] && p.fault == RefusesTokens:
		return failed("InvalidArgument", "Restore token is not a valid UUID string")
	}
	s.persists, s.token = mode == 2, token
	return nil
}

// start is Start: it asks the person, unless a token stands for that.
func (p *Portal) start(path dbus.ObjectPath) (any, *dbus.Error) {
	p.mu.Lock()
	s := p.sessions[path]
	known := s != nil && p.tokens[s.token]
	fault := p.fault
	p.mu.Unlock()
	if s == nil {
		return nil, failed("NotFound", "no such session")
	}
	return p.respond(func(handle dbus.ObjectPath) {
		switch {
		case fault == StartFails:
			p.response(handle, 2, nil)
		case fault == EndsWhileItStarts:
			p.emit(path, "org.freedesktop.portal.Session.Closed", map[string]dbus.Variant{})
		case fault == VanishesAtStart:
			p.Kill()
		case known:
			p.grant(handle, s, true)
		default:
			p.mu.Lock()
			p.asked++
			p.mu.Unlock()
			p.ask(handle, s)
		}
	}), nil
}

// ask has the person answer.
func (p *Portal) ask(handle dbus.ObjectPath, s *session) {
	p.mu.Lock()
	person := p.person
	if person == Away {
		p.waiting = append(p.waiting, func() { p.ask(handle, s) })
	}
	p.mu.Unlock()
	switch person {
	case Refuses:
		p.response(handle, 1, nil)
	case Consents, WatchOnly:
		p.grant(handle, s, person == Consents)
	case Away:
	}
}

// grant starts the stream.
func (p *Portal) grant(handle dbus.ObjectPath, s *session, input bool) {
	node, size := uint32(Node), [2]int32{800, 600}
	if p.gnome != nil {
		var err error
		if node, size, err = p.show(s, input); err != nil {
			p.tb.Logf("the portal's stream: %v", err)
			p.response(handle, 2, nil)
			return
		}
	}
	type stream struct {
		Node       uint32
		Properties map[string]dbus.Variant
	}
	type area struct{ Width, Height int32 }
	streams := []stream{{node, map[string]dbus.Variant{
		"source_type": dbus.MakeVariant(uint32(1)), "position": dbus.MakeVariant(area{}),
	}}}
	results := map[string]dbus.Variant{}
	p.mu.Lock()
	if p.fault != NoSize {
		streams[0].Properties["size"] = dbus.MakeVariant(area{size[0], size[1]})
	}
	results["streams"] = dbus.MakeVariant(streams)
	if p.fault == NoStreams {
		results["streams"] = dbus.MakeVariant([]stream{})
	}
	if p.fault == WrongStreams {
		results["streams"] = dbus.MakeVariant([]string{"a stream"})
	}
	if s.remote && input {
		results["devices"] = dbus.MakeVariant(uint32(3))
	}
	delete(p.tokens, s.token)
	if s.persists {
		p.issued++
		token := fmt.Sprint("token", p.issued)
		p.tokens[token] = true
		results["restore_token"], results["persist_mode"] = dbus.MakeVariant(token), dbus.MakeVariant(uint32(2))
	}
	p.mu.Unlock()
	p.response(handle, 0, results)
}

// show has mutter show its monitor.
func (p *Portal) show(s *session, input bool) (node uint32, size [2]int32, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	mode := screencast.CursorHidden
	if s.cursor == 2 {
		mode = screencast.CursorEmbedded
	}
	if s.cast, node, err = screencast.Record(ctx, p.bus, Monitor, mode); err != nil {
		return 0, size, err
	}
	if s.remote && input {
		if s.control, err = screencast.Control(ctx, p.bus, Monitor); err != nil {
			return 0, size, err
		}
	}
	if _, err = fmt.Sscanf(p.gnome.size, "%dx%d", &size[0], &size[1]); err != nil {
		return 0, size, err
	}
	return node, size, nil
}

// call is a call of a method.
func (p *Portal) call(sender, of, method string, args []any) (result any, failure *dbus.Error) {
	switch of + "." + method {
	case "org.freedesktop.DBus.Peer.Ping":
		return nil, nil
	case "org.freedesktop.DBus.Properties.Get":
		return p.property(args)
	case portalCast + ".CreateSession", portalRemote + ".CreateSession":
		options, _ := args[0].(map[string]dbus.Variant)
		return p.create(sender, options, of == portalRemote), nil
	}
	path, _ := args[0].(dbus.ObjectPath)
	options, _ := args[1].(map[string]dbus.Variant)
	switch of + "." + method {
	case portalRemote + ".SelectDevices":
		if failure := p.persist(path, options); failure != nil {
			return nil, failure
		}
		return p.respond(func(handle dbus.ObjectPath) { p.response(handle, 0, nil) }), nil
	case portalCast + ".SelectSources":
		return p.sources(path, options)
	case portalCast + ".Start", portalRemote + ".Start":
		return p.start(path)
	case portalCast + ".OpenPipeWireRemote":
		return p.pipewire()
	}
	return nil, p.input(path, method, args[2:])
}

// failed is an error of the portal.
func failed(name, text string) *dbus.Error {
	return dbus.NewError("org.freedesktop.portal.Error."+name, []any{text})
}

// property is a property of the portal's interfaces.
func (p *Portal) property(args []any) (any, *dbus.Error) {
	of, _ := args[0].(string)
	p.mu.Lock()
	defer p.mu.Unlock()
	version := p.versions[of]
	switch {
	case version == 0:
		return nil, dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"No such interface"})
	case args[1] == "version" && p.fault == WrongVersion:
		return dbus.MakeVariant("latest"), nil
	case args[1] == "version":
		return dbus.MakeVariant(version), nil
	}
	return dbus.MakeVariant(uint32(3)), nil
}

// sources is SelectSources.
func (p *Portal) sources(path dbus.ObjectPath, options map[string]dbus.Variant) (any, *dbus.Error) {
	p.mu.Lock()
	s := p.sessions[path]
	if s == nil {
		p.mu.Unlock()
		return nil, failed("NotFound", "no such session")
	}
	s.cursor, _ = options["cursor_mode"].Value().(uint32)
	p.mu.Unlock()
	_, persists := options["persist_mode"]
	switch {
	case s.remote && persists:
		return nil, failed("InvalidArgument", "Remote desktop sessions cannot persist")
	case !s.remote:
		if failure := p.persist(path, options); failure != nil {
			return nil, failure
		}
	}
	return p.respond(func(handle dbus.ObjectPath) { p.response(handle, 0, nil) }), nil
}

// pipewire is OpenPipeWireRemote.
func (p *Portal) pipewire() (any, *dbus.Error) {
	if p.gnome == nil || p.is(NoPipeWire) {
		return nil, failed("Failed", "no PipeWire")
	}
	var d net.Dialer
	c, err := d.DialContext(p.tb.Context(), "unix", p.gnome.Socket)
	if err != nil {
		return nil, failed("Failed", err.Error())
	}
	defer func() { _ = c.Close() }()
	f, err := c.(*net.UnixConn).File()
	if err != nil {
		return nil, failed("Failed", err.Error())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.sent.Close()
	p.sent = f
	return dbus.UnixFD(f.Fd()), nil
}

// input passes input on to mutter.
func (p *Portal) input(path dbus.ObjectPath, method string, args []any) *dbus.Error {
	p.mu.Lock()
	s := p.sessions[path]
	var axis uint32
	var turn int32
	switch {
	case method == "NotifyPointerAxis":
		p.smooth++
	case method == "NotifyPointerAxisDiscrete" && dbus.Store(args, &axis, &turn) == nil:
		p.turned[axis&1] += int(turn)
	}
	p.mu.Unlock()
	if s == nil || s.control == nil {
		return failed("NotAllowed", "session is not allowed to send input")
	}
	var (
		r           = s.control
		x, y        float64
		node, state uint32
		code        int32
		err         error
	)
	switch method {
	case "NotifyPointerMotionAbsolute":
		err = dbus.Store(args, &node, &x, &y)
		r.Move(x, y)
	case "NotifyPointerMotion":
		err = dbus.Store(args, &x, &y)
		r.MoveBy(x, y)
	case "NotifyPointerButton":
		err = dbus.Store(args, &code, &state)
		r.Button(code, state == 1)
	case "NotifyPointerAxis":
		const notch = 15
		err = dbus.Store(args, &x, &y)
		r.ScrollSmooth(x/notch, y/notch)
	case "NotifyPointerAxisDiscrete":
		err = dbus.Store(args, &state, &code)
		r.Scroll(state, code)
	case "NotifyKeyboardKeycode":
		err = dbus.Store(args, &code, &state)
		r.Key(uint32(code), state == 1)
	case "NotifyKeyboardKeysym":
		err = dbus.Store(args, &code, &state)
		r.Symbol(uint32(code), state == 1)
	default:
		return dbus.NewError("org.freedesktop.DBus.Error.UnknownMethod", []any{method})
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if n, syncErr := r.Sync(ctx); err != nil || syncErr != nil || n > 0 {
		return failed("Failed", fmt.Sprint(n, " refused: ", err, syncErr))
	}
	return nil
}
