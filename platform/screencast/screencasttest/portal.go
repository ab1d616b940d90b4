//go:build linux

package screencasttest

import (
	"os"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"wavryhost/platform/screencast"
)

// Person is what the person at the screen of a Portal does.
type Person int

// The persons.
const (
	Consents  Person = iota
	WatchOnly        // consents to pictures, but not to input
	Refuses
	Away
)

// Fault is what a Portal does wrong.
type Fault int

// The faults.
const (
	None              Fault = iota
	Silent                  // it answers no request
	StartFails              // its backend cannot start the stream
	EndsWhileItStarts       // it closes the session instead of an answer
	VanishesAtStart         // its process ends instead of an answer
	NoStreams               // it starts nothing
	WrongStreams            // its streams are no streams
	WrongSession            // its session is no object
	WrongAnswer             // its answers are of another kind
	WrongVersion            // its versions are no numbers
	RefusesTokens           // it has an error for tokens that it does not know
	NoSize                  // it does not say how large the screen is
	NoPipeWire              // it has no connection to PipeWire
)

const (
	portalName   = "org.freedesktop.portal.Desktop"
	portalObject = "/org/freedesktop/portal/desktop"
	portalCast   = "org.freedesktop.portal.ScreenCast"
	portalRemote = "org.freedesktop.portal.RemoteDesktop"
)

// Node is the number of the stream of a Portal without GNOME.
const Node = 42

// Portal is an xdg-desktop-portal for tests. With GNOME it shows mutter's monitor, and passes input on.
type Portal struct {
	bus   string
	gnome *GNOME
	conn  *dbus.Conn
	tb    testing.TB

	mu       sync.Mutex
	person   Person
	fault    Fault
	versions map[string]uint32
	asked    int
	tokens   map[string]bool // that stand for consent
	issued   int
	handles  int
	sessions map[dbus.ObjectPath]*session
	waiting  []func() // for the person
	turned   [2]int   // steps of the wheel, by axis
	smooth   int      // events of smooth scrolling
	sent     *os.File // the descriptor of the last answer, which may still be on its way
}

// session is a session of a Portal.
type session struct {
	owner     string
	remote    bool
	persists  bool
	token     string
	cast      *screencast.Session
	control   *screencast.Remote
	cursor    uint32
	endedOnce sync.Once
}

// StartPortal runs a portal on a bus. With a GNOME it is that one's.
func StartPortal(tb testing.TB, bus string, g *GNOME) *Portal {
	tb.Helper()
	p := &Portal{
		bus: bus, gnome: g, tb: tb, versions: map[string]uint32{portalCast: 5, portalRemote: 2},
		tokens: make(map[string]bool), sessions: make(map[dbus.ObjectPath]*session),
	}
	p.Restart()
	tb.Cleanup(func() {
		p.Kill()
		_ = p.sent.Close()
	})
	return p
}

// Restart runs the portal again after Kill. It keeps what it knows about consent.
func (p *Portal) Restart() {
	p.tb.Helper()
	conn, err := dbus.Dial(p.bus)
	if err == nil {
		err = conn.Auth(nil)
	}
	if err == nil {
		err = conn.Hello()
	}
	if err == nil {
		err = conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"),
			dbus.WithMatchMember("NameOwnerChanged"))
	}
	if err != nil {
		p.tb.Fatal(err)
	}
	p.mu.Lock()
	p.conn = conn
	p.mu.Unlock()
	messages := make(chan *dbus.Message, 4096)
	conn.Eavesdrop(messages) // which keeps the order of input
	named := make(chan struct{})
	go p.serve(conn, messages, sync.OnceFunc(func() { close(named) }))
	conn.BusObject().Go("org.freedesktop.DBus.RequestName", 0, make(chan *dbus.Call, 1), portalName,
		dbus.NameFlagDoNotQueue)
	<-named
}

// Kill ends the portal.
func (p *Portal) Kill() {
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	conn.Eavesdrop(nil) // the library may send to a channel that Close has closed
	_ = conn.Close()
	p.endAll(func(*session) bool { return true })
}

func (p *Portal) endAll(which func(*session) bool) {
	p.mu.Lock()
	var ended []*session
	for path, s := range p.sessions {
		if which(s) {
			delete(p.sessions, path)
			ended = append(ended, s)
		}
	}
	p.mu.Unlock()
	for _, s := range ended {
		s.end()
	}
}

func (s *session) end() {
	s.endedOnce.Do(func() {
		if s.cast != nil {
			s.cast.Close()
		}
		if s.control != nil {
			s.control.Close()
		}
	})
}

// Person sets what the person does. A person who comes back answers what waits.
func (p *Portal) Person(n Person) {
	p.mu.Lock()
	p.person = n
	waiting := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, answer := range waiting {
		answer()
	}
}

// Fault sets what the portal does wrong.
func (p *Portal) Fault(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Versions sets the versions of the interfaces. An interface of version 0 is missing.
func (p *Portal) Versions(cast, remote uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.versions = map[string]uint32{portalCast: cast, portalRemote: remote}
}

// Forget makes the portal forget all consent.
func (p *Portal) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.tokens)
}

// Asked returns how often the person was asked.
func (p *Portal) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Sessions returns the number of sessions that run.
func (p *Portal) Sessions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// KDE gives the portal the backend of KDE.
func (p *Portal) KDE() {
	p.tb.Helper()
	conn, err := dbus.Connect(p.bus)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.RequestName("org.freedesktop.impl.portal.desktop.kde", dbus.NameFlagDoNotQueue); err != nil {
		p.tb.Fatal(err)
	}
}

// Scrolled returns by how many steps the wheel was turned, down and to the right, and how many events of smooth
// scrolling came.
func (p *Portal) Scrolled() (steps [2]int, smooth int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turned, p.smooth
}

// CloseSessions ends all sessions, as the person at the screen can.
func (p *Portal) CloseSessions() {
	p.mu.Lock()
	var paths []dbus.ObjectPath
	for path := range p.sessions {
		paths = append(paths, path)
	}
	p.mu.Unlock()
	for _, path := range paths {
		p.emit(path, "org.freedesktop.portal.Session.Closed", map[string]dbus.Variant{})
	}
	p.endAll(func(*session) bool { return true })
}

func (p *Portal) is(f Fault) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault == f
}

func (p *Portal) emit(path dbus.ObjectPath, name string, args ...any) {
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	_ = conn.Emit(path, name, args...)
}
