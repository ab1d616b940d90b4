package display

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"wavryhost/platform/guard"
)

// Env says where to search for displays.
type Env struct {
	// Display and WaylandDisplay are the variables DISPLAY and WAYLAND_DISPLAY.
	Display, WaylandDisplay string
	// Wanted is the address of a configured X display. It is listed even without a sign of it.
	Wanted string
	// RuntimeDir is XDG_RUNTIME_DIR. Authority is XAUTHORITY.
	RuntimeDir, Authority string
	// SocketDir is the directory of X servers' sockets. It defaults to /tmp/.X11-unix. ProcDir defaults to /proc.
	SocketDir, ProcDir string
	// Bus is the address of the session bus, or empty.
	Bus string
	// Helper is the socket of the helper for graphics cards, and Cards the pattern of their nodes.
	Helper, Cards string
	// X asks X servers. Wayland asks compositors, which have a socket as address, and whose outputs are the monitors
	// of one screen. GNOME asks GNOME's compositor on the session bus in the same way. Portal asks whether the bus has a
	// portal, whose screen a person chooses. Displays of a kind that cannot be probed are listed as unusable.
	X, Wayland, GNOME, Portal Client
	// KMS asks the helper for graphics cards. Each of its screens is an output, by its only monitor.
	KMS Client
}

// Client asks servers of one kind for their screens. Its functions may be nil.
type Client struct {
	// Probe connects to a server and returns its screens. An error that wraps context.DeadlineExceeded means that the
	// server does not answer.
	Probe func(ctx context.Context, address string, authority []string) ([]Screen, error)
	// Watch reports the screens of a server at once and after each change, until ctx ends or the server is lost.
	Watch func(ctx context.Context, address string, authority []string, report func([]Screen)) error
}

// Rules for asking servers. A server that has answered is not asked again until its socket is replaced. Another
// connection would reset a server without other clients, and start a server that starts on demand.
const (
	// probeTime is the time after which a display without an answer counts as slow.
	probeTime = 2 * time.Second
	// lookInterval is the interval for checking the sockets, which servers do not notice.
	lookInterval = time.Second
	// The pauses before a server is asked again that did not answer or was unusable: first and longest.
	firstRetry, longestRetry = time.Second, 10 * time.Second
)

// Registry knows the displays of this machine, with one record each.
type Registry struct {
	env Env
	log *slog.Logger
	// sockets is socketsIn; tests replace it.
	sockets func(dir string) map[address]string

	news chan struct{} // a watched server has changed

	mu      sync.Mutex
	servers map[address]*server
}

// server is the record of an X server, or of a compositor.
type server struct {
	address   address
	socket    string // the stamp of its socket
	listening bool   // the kernel listed it when it was asked
	authority []string
	cookies   string // the stamp of its authority files
	screens   []Screen
	state     State // empty until it has been asked
	why       string
	dead      bool // no listener: its socket was left behind

	asking chan struct{} // closed when the current probe ends; nil when there is none
	late   bool          // that probe has taken too long
	again  time.Time     // when to ask again; zero when something must change first
	pause  time.Duration

	watched    bool
	watchAfter time.Time // no earlier
}

// NewRegistry returns a Registry without any displays yet.
func NewRegistry(env Env, log *slog.Logger) *Registry {
	env.SocketDir = cmp.Or(env.SocketDir, defaultSocketDir)
	env.ProcDir = cmp.Or(env.ProcDir, "/proc")
	return &Registry{
		env: env, log: log, sockets: socketsIn, news: make(chan struct{}, 1), servers: make(map[address]*server),
	}
}

// Run checks again and again, and watches usable X servers of this machine, until ctx ends. It calls changed after
// each check and each change of a server.
func (r *Registry) Run(ctx context.Context, changed func()) {
	var watching sync.WaitGroup
	defer watching.Wait()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.news:
		case <-tick.C:
			r.look(time.Now()) //nolint:contextcheck // a probe has its own limit, and outlives the check
			r.watch(ctx, &watching)
		}
		changed()
	}
}

// Look searches for displays. It waits until each new server has answered, or has not answered in time.
func (r *Registry) Look(ctx context.Context) {
	limit := time.NewTimer(probeTime + probeTime/10)
	defer limit.Stop()
	for _, asking := range r.look(time.Now()) { //nolint:contextcheck // a probe has its own limit, and outlives the check
		select {
		case <-asking:
		case <-limit.C:
			r.look(time.Now()) //nolint:contextcheck // a probe has its own limit, and outlives the check
			return
		case <-ctx.Done():
			return
		}
	}
}

// Again has a display asked again at the next check, because it could not be opened.
func (r *Registry) Again(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range []address{parseAddress(name).base(), compositor(name), gnome(name), portal(name), cards(name)} {
		if s := r.servers[a]; s != nil {
			s.again = time.Now()
		}
	}
}

// base is the address of the server.
func (a address) base() address { return address{server: a.server, remote: a.remote} }

// compositor is the address of the compositor of a socket.
func compositor(socket string) address { return address{server: socket, wayland: true} }

// gnome is the address of GNOME on a session bus.
func gnome(bus string) address { return address{server: bus, gnome: true} }

// portal is the address of the portal on a session bus.
func portal(bus string) address { return address{server: bus, portal: true} }

// cards is the address of the helper for graphics cards.
func cards(socket string) address { return address{server: socket, kms: true} }

// look records what exists, and starts the probes that are due. It returns the running probes.
func (r *Registry) look(now time.Time) (asking []chan struct{}) {
	found := r.sockets(r.env.SocketDir)
	if found == nil {
		found = make(map[address]string)
	}
	for _, name := range []string{r.env.Display, r.env.Wanted} {
		a := parseAddress(name)
		if _, ok := found[a.base()]; name != "" && !ok {
			found[a.base()] = stampOf(r.socketOf(a))
		}
	}
	listening := listeners(r.env.ProcDir)
	running := sync.OnceValue(func() []commandLine { return commandLines(r.env.ProcDir) })
	for _, path := range waylandSockets(r.env) {
		found[compositor(path)] = stampOf(path)
	}
	if r.env.Bus != "" && r.env.GNOME.Probe != nil {
		found[gnome(r.env.Bus)] = stampOf(busSocket(r.env.Bus))
	}
	if r.env.Bus != "" && r.env.Portal.Probe != nil {
		found[portal(r.env.Bus)] = stampOf(busSocket(r.env.Bus))
	}
	// A container may have the helper's socket, and no card.
	nodes, _ := filepath.Glob(r.env.Cards) // the pattern is good
	if helper := stampOf(r.env.Helper); r.env.KMS.Probe != nil && (len(nodes) > 0 || helper != "") {
		found[cards(r.env.Helper)] = helper
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for a, s := range r.servers {
		if _, ok := found[a]; !ok && s.asking == nil {
			delete(r.servers, a)
		}
	}
	for a, socket := range found {
		s := r.servers[a]
		if s == nil {
			s = &server{address: a}
			r.servers[a] = s
			s.again = now
		}
		hears := listening[r.socketOf(a)]
		switch {
		case s.asking != nil:
			if now.After(s.again) && !s.late {
				s.late = true
				s.set(Slow, "it does not answer within "+probeTime.String())
			}
		case r.foreign(a):
			s.set(
				Unusable,
				"it is on another machine, or behind a tunnel like that of ssh -X: only display: x11"+a.server+" offers it",
			)
		case s.socket != socket || s.listening && !hears || !s.again.IsZero() && !now.Before(s.again),
			s.state == Unusable && (hears && !s.listening || s.cookies != stampOf(s.authority...)):
			s.socket, s.listening = socket, hears
			r.ask(s, now, running)
		}
		if s.asking != nil {
			asking = append(asking, s.asking)
		}
	}
	return asking
}

// foreign reports whether a server must not be asked without being configured: DISPLAY may name another person's
// screen.
func (r *Registry) foreign(a address) bool { return a.remote && parseAddress(r.env.Wanted).base() != a }

// socketOf is the path of a server's socket. It is empty for other transports.
func (r *Registry) socketOf(a address) string {
	switch {
	case strings.HasPrefix(a.server, "/"):
		return a.server
	case a.number() >= 0:
		return filepath.Join(r.env.SocketDir, "X"+strings.TrimPrefix(a.server, ":"))
	}
	return ""
}

// ask starts a probe of a server. A probe that never returns costs a goroutine, and is the last one of that server.
// The caller holds mu.
func (r *Registry) ask(s *server, now time.Time, running func() []commandLine) {
	s.authority = s.authority[:0:0]
	for _, path := range []string{r.env.Authority, serverAuthority(running(), s.address.number())} {
		if path != "" && !slices.Contains(s.authority, path) {
			s.authority = append(s.authority, path)
		}
	}
	s.cookies = stampOf(s.authority...)
	s.asking, s.late, s.again = make(chan struct{}), false, now.Add(probeTime)
	authority := slices.Clone(s.authority)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		var screens []Screen
		var err error
		guarded := guard.New(r.log, nil, nil)
		if p := guarded.Run("probe", func() { screens, err = r.probe(ctx, s.address, authority) }); p != nil {
			err = p
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.answered(s, screens, err)
		close(s.asking)
		s.asking = nil
	}()
}

var errNoClient = errors.New("displays of this kind cannot be captured here")

// client returns what asks a server.
func (r *Registry) client(a address) Client {
	switch {
	case a.wayland:
		return r.env.Wayland
	case a.gnome:
		return r.env.GNOME
	case a.portal:
		return r.env.Portal
	case a.kms:
		return r.env.KMS
	}
	return r.env.X
}

// probe asks a server for its screens.
func (r *Registry) probe(ctx context.Context, a address, authority []string) ([]Screen, error) {
	ask := r.client(a).Probe
	if ask == nil {
		return nil, errNoClient
	}
	return ask(ctx, a.server, authority)
}

// answered stores the result of a probe. The caller holds mu.
func (r *Registry) answered(s *server, screens []Screen, err error) {
	s.again = time.Time{}
	s.dead = errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
	switch {
	case err == nil:
		s.screens, s.pause = screens, 0
		s.set(Usable, "")
		return
	case errors.Is(err, context.DeadlineExceeded):
		s.set(Slow, err.Error())
	default:
		s.set(Unusable, err.Error())
	}
	s.pause = min(max(2*s.pause, firstRetry), longestRetry)
	if s.dead && s.pause == longestRetry && r.socketOf(s.address) != "" {
		return // a server that comes to listen there makes another socket, or shows among the listeners
	}
	s.again = time.Now().Add(s.pause)
}

func (s *server) set(state State, why string) { s.state, s.why = state, why }

// List returns the displays as of the last check. First come the screens of local X servers in the order of their
// numbers, with the server that DISPLAY names in front. Then come remote servers, Wayland, GNOME, the portal and
// graphics cards. No display is not an error.
func (r *Registry) List() []Display {
	r.mu.Lock()
	defer r.mu.Unlock()
	named := parseAddress(r.env.Display)
	order := func(a address) int {
		switch {
		case a.kms:
			return 7
		case a.portal:
			return 6
		case a.gnome:
			return 5
		case a.wayland && filepath.Base(a.server) != filepath.Base(r.env.WaylandDisplay):
			return 4
		case a.wayland:
			return 3
		case a.remote:
			return 2
		case r.env.Display != "" && a == named.base():
			return 0
		}
		return 1
	}
	servers := slices.SortedFunc(maps.Values(r.servers), func(s, t *server) int {
		return cmp.Or(
			order(s.address)-order(t.address), s.address.number()-t.address.number(),
			cmp.Compare(s.address.server, t.address.server),
		)
	})
	var list []Display
	for _, s := range servers {
		asked := s.address == named.base() || s.address == parseAddress(r.env.Wanted).base()
		if (s.dead || s.state == "") && !asked {
			continue
		}
		if s.address.kms || s.address.wayland || s.address.gnome || s.address.portal {
			list = append(list, s.outputs()...)
			continue
		}
		var screens, monitors []Display
		for i := range max(len(s.screens), 1) {
			screens = append(screens, s.display(i))
			monitors = append(monitors, s.monitors(i)...)
		}
		for _, name := range []string{r.env.Display, r.env.Wanted} { // a screen that is not known yet
			a := parseAddress(name)
			if name != "" && a.base() == s.address && a.screen >= len(screens) {
				d := s.display(a.screen)
				if d.State == Usable {
					d.State, d.Why = Unusable, "the server has no such screen"
				}
				screens = append(screens, d)
			}
		}
		for i := range screens {
			if r.env.Display != "" && screens[i].Address == named.of(named.screen) {
				screens[i].Named = true
				screens[0], screens[i] = screens[i], screens[0]
			}
		}
		list = append(append(list, screens...), monitors...)
	}
	return settle(list)
}

// display describes a screen.
func (s *server) display(screen int) Display {
	at := s.address.of(screen)
	d := Display{
		ID:        "x11" + at,
		Name:      "X display " + at,
		Backend:   "x11",
		Address:   at,
		Authority: s.authority,
		State:     s.state,
		Why:       s.why,
		Remote:    s.address.remote,
	}
	if d.State == "" {
		d.State, d.Why = Slow, "it is being probed"
	}
	if screen < len(s.screens) {
		d.Width, d.Height, d.Scale = s.screens[screen].Width, s.screens[screen].Height, s.screens[screen].Scale
		if why := s.screens[screen].Why; why != "" && d.State == Usable {
			d.State, d.Why = Unusable, why
		}
	}
	return d
}

// monitors describes the monitors of a screen.
func (s *server) monitors(screen int) []Display {
	if screen >= len(s.screens) {
		return nil
	}
	var list []Display
	whole := s.display(screen)
	for _, m := range s.screens[screen].separate() {
		d := whole
		d.ID += "@" + m.Name
		d.Name = "Monitor " + m.Name + " of X display " + d.Address
		d.Monitor, d.Width, d.Height, d.Layout = m.Name, m.Width, m.Height, m.Layout
		list = append(list, d)
	}
	return list
}
