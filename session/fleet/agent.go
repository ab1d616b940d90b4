package fleet

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/platform/guard"

	"github.com/nats-io/nats.go"
)

// Agent is the host's member of the fleet. Its methods may be called from several goroutines.
type Agent struct {
	cfg  Config
	host Host
	log  *slog.Logger
	id   string

	later *later
	// changed has room for one token: the host has changed, or the connection was made.
	changed chan struct{}
	rivals  rivals
	rooms   rooms
	replays replays
	// orders has room for one token: there is a new standing order. joined is set when the connection was made.
	orders chan struct{}
	joined atomic.Bool
	// busy bounds the requests that are being answered; session waits for them.
	busy     chan struct{}
	requests sync.WaitGroup

	mu        sync.Mutex // guards all following fields
	status    Status
	accepting bool          // requests may begin
	nc        *nats.Conn    // nil without one
	ended     bool          // Run has ended
	news      chan struct{} // closed and replaced when nc or status changes
}

// Status is the Agent as the control API shows it.
type Status struct {
	// ID is the host's ID in the fleet.
	ID string `json:"id"`
	// State is one of States, entered at Since. Reason is the last error, for people.
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
	// Server is the NATS server of the connection.
	Server string `json:"server,omitempty"`
}

// maxRequests bounds the requests that are answered at the same time.
const maxRequests = 16

// part names the Agent in reports of panics.
const part = "fleet"

// New returns an Agent for a host.
func New(cfg Config, host Host, log *slog.Logger) (*Agent, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	id := cfg.Bus.Identity.ID()
	log = log.With("fleet_id", id)
	if cfg.Guard == nil {
		cfg.Guard = guard.New(log, nil, nil)
	}
	if cfg.Bus.Inbox == "" {
		cfg.Bus.Inbox = "_INBOX_" + id
	}
	a := &Agent{
		cfg: cfg, host: host, log: log, id: id, later: newLater(), changed: make(chan struct{}, 1),
		busy: make(chan struct{}, maxRequests), news: make(chan struct{}),
		orders: make(chan struct{}, 1),
	}
	a.status = Status{ID: id, State: StateDisconnected.String(), Since: time.Now()}
	cfg.Counters.State(StateDisconnected)
	return a, nil
}

// Status returns the state of the Agent.
func (a *Agent) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// Changed makes the Agent look at the host at once.
func (a *Agent) Changed() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// enter sets the state, and applies change to the status.
func (a *Agent) enter(s State, change func(*Status)) {
	a.mu.Lock()
	if a.status.State != s.String() {
		a.status.State, a.status.Since = s.String(), time.Now()
	}
	change(&a.status)
	a.tell()
	a.mu.Unlock()
	a.cfg.Counters.State(s)
}

// accept says whether requests may begin.
func (a *Agent) accept(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepting = on
}

// begin runs f in a goroutine that session waits for, unless it is ending.
func (a *Agent) begin(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.accepting {
		return
	}
	a.requests.Go(func() { _ = a.cfg.Guard.Run(part, f) })
}

// enterIfConnected enters a state of a connected Agent.
func (a *Agent) enterIfConnected(s State) {
	now := a.Status().State
	if now == StateDisconnected.String() || now == s.String() {
		return
	}
	a.enter(s, func(st *Status) {
		st.Reason = ""
		if s == StateDuplicate {
			st.Reason = "an older host has the same identity"
		}
	})
	if s == StateDuplicate {
		a.log.Error("another host has the identity of this one, and is older; this one stays silent",
			"remedy", "remove fleet.key from the state folder of the copy and restart it: docs/operate/runbooks/fleet.md")
	} else {
		a.log.Info("fleet has one host with this identity again")
	}
}

// delay runs f after a time, in the goroutine of the Agent.
func (a *Agent) delay(d time.Duration, f func()) {
	if !a.later.put(time.Now().Add(d), f) {
		a.cfg.Counters.Dropped(DropFull)
	}
}
