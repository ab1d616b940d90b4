package floor

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"wavryhost/platform/guard"
	"wavryhost/session/lockorder"
)

// ErrNoControl means that a session cannot control its display: its role or the host's settings forbid it, or the
// display takes no input.
var ErrNoControl = errors.New("floor: control is not possible")

// ErrEnded means that a session has ended.
var ErrEnded = errors.New("floor: the session has ended")

// Settings are what can change while a Control runs.
type Settings struct {
	Policy Policy
	// Idle is the time without input after which another session may take control of a display.
	Idle time.Duration
}

// Control controls who gives input to which display: one session at a time.
type Control struct {
	settings func() Settings
	log      *slog.Logger
	met      *Metrics
	// guard catches panics of injectors.
	guard *guard.Guard

	mu     lockorder.Mutex[floorLock]
	states map[string]*displayState // by display
	open   map[*Participant]bool    // those with a data channel for input
	closed bool
	wg     sync.WaitGroup // injectors; added to under mu while not closed
}

// New returns a Control without participants. It asks for the settings whenever it needs them.
func New(settings func() Settings, log *slog.Logger, m *Metrics, g *guard.Guard) *Control {
	return &Control{
		settings: settings, log: log, met: m, guard: g,
		states: make(map[string]*displayState), open: make(map[*Participant]bool),
	}
}

// Join returns the participant of a session. Its log and guard are the session's.
func (c *Control) Join(session string, role Role, viewer Viewer, log *slog.Logger, g *guard.Guard) *Participant {
	return &Participant{
		session: session, role: role, log: log, guard: g, viewer: viewer, control: c,
		inputs:    rate.NewLimiter(rate.Every(inputEvery), inputBurst),
		reportsIn: rate.NewLimiter(rate.Every(reportEvery), reportBurst),
	}
}

// policy returns whose input is taken.
func (c *Control) policy() Policy { return c.settings().Policy }

// mayControl reports whether input of p is accepted while nobody else controls the display. The caller holds mu.
func (c *Control) mayControl(p *Participant, display Display) bool {
	return c.policy().Lets(p.role) && display.Open != nil && !p.barred
}

// idle reports whether the holder has given no input for so long that another may take control. A key that is held
// down is input.
func (c *Control) idle(s *displayState, now time.Time) bool {
	return now.Sub(s.lastInput) >= c.settings().Idle && !s.injector.Holding()
}

// release frees the display that p controls. The caller holds mu.
func (c *Control) release(p *Participant, why string) {
	for _, s := range c.states {
		if s.holder == p {
			c.assign(s, nil, why, time.Now())
		}
	}
}

// assign gives control of a display to a session, or to none. Nothing that its holder pressed stays held. The caller
// holds mu.
func (c *Control) assign(s *displayState, to *Participant, why string, now time.Time) {
	from := s.holder
	if from == to {
		return
	}
	s.releaseAll()
	s.holder, s.lastInput = to, now
	change := Change{Display: s.display, Reason: why}
	about := from
	if from != nil {
		change.From = from.session
	}
	if to != nil {
		change.To = to.session
		about = to
	}
	c.met.controlChanges.WithLabelValues(why).Inc()
	n := 0
	for _, s := range c.states {
		if s.holder != nil {
			n++
		}
	}
	c.met.controlled.Set(float64(n))
	event := about.viewer.ControlChanged(change)
	about.log.Info("control changed", "event", event, "display", s.display, "reason", why,
		"from", change.From, "to", change.To, "role", about.role.String())
}
