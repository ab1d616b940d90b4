package gatewaytest

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The gateway's limits.
const (
	maxFrame     = 64 << 10
	maxSDP       = 32 << 10
	maxCandidate = 4 << 10
	maxRIFT      = 8 << 10
	window       = time.Minute
	bindTimeout  = 10 * time.Second
	outboxSize   = 128
	maxFailures  = 5
	lockTime     = 15 * time.Minute
	tokenLife    = 24 * time.Hour
)

// Config configures a Gateway.
type Config struct {
	// Origins are the allowed origins. Empty allows all, and requests without one.
	Origins []string
	// Master selects the protocol of Wavry's master.
	Master bool
	// PerIP bounds the connections of one address. It defaults to 16.
	PerIP int
	// Binds bounds the binds of one address per minute. It defaults to 10.
	Binds int
	// Frames bounds the frames of one connection per minute, including pings and pongs. It defaults to 600.
	Frames int
	// ForgetsRoutes: the end of an older connection of a user deletes the route to the newer one, as in Wavry's
	// gateway.
	ForgetsRoutes bool
	// KeepsOwn: messages of users to themselves do not arrive.
	KeepsOwn bool
}

// Gateway is a fake gateway. It is an http.Handler; its methods may be called from several goroutines.
type Gateway struct {
	cfg Config
	mux *http.ServeMux

	mu       sync.Mutex // guards the rest
	accounts map[string]*account
	tokens   map[string]*token
	routes   map[string]*conn
	conns    map[*conn]struct{}
	perIP    map[string]int
	binds    map[string][]time.Time
	faults   Faults
	seen     Seen
	changed  chan struct{} // closed, and replaced, when a fault comes or goes
}

// Faults are the current faults of the gateway.
type Faults struct {
	// Down refuses every request with status 503.
	Down bool
	// Stalled: connections are accepted, but not read or written.
	Stalled bool
	// BoundDelay is the delay of Bound.
	BoundDelay time.Duration
	// NoBound: a Bind is accepted, but not acknowledged.
	NoBound bool
	// EndAfterBound ends each connection as soon as it is bound.
	EndAfterBound bool
	// Reply, if set, is the answer to each Bind.
	Reply string
}

// Seen is what the gateway has seen so far.
type Seen struct {
	Logins, Upgrades, Bound, Pings int
	// Refused counts the refused upgrades.
	Refused int
	// Frames are the frames of all connections, oldest first.
	Frames []string
	// BindTimes are the times of successful binds.
	BindTimes []time.Time
	// WorstMinute is the largest number of frames of one connection in a minute.
	WorstMinute int
}

type account struct {
	email, password, username string
	banned, totp              bool
	failures                  int
	lockedUntil               time.Time
}

type token struct {
	username string
	expires  time.Time
}

// New returns a gateway without accounts.
func New(cfg Config) *Gateway {
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	number(&cfg.PerIP, 16)
	number(&cfg.Binds, 10)
	number(&cfg.Frames, 600)
	g := &Gateway{
		cfg: cfg, mux: http.NewServeMux(), accounts: make(map[string]*account), tokens: make(map[string]*token),
		routes: make(map[string]*conn), conns: make(map[*conn]struct{}), perIP: make(map[string]int),
		binds: make(map[string][]time.Time), changed: make(chan struct{}),
	}
	g.mux.HandleFunc("GET /ws", g.socket)
	if !cfg.Master {
		g.mux.HandleFunc("POST /auth/login", g.login)
		g.mux.HandleFunc("POST /webrtc/{kind}", g.bridge)
	}
	return g
}

// ServeHTTP serves the login, the WebSocket and the HTTP bridge.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	down := g.faults.Down
	g.mu.Unlock()
	if down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	g.mux.ServeHTTP(w, r)
}

// Register creates an account.
func (g *Gateway) Register(username, email, password string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accounts[email] = &account{email: email, password: password, username: strings.ToLower(username)}
}

// Ban suspends an account. Its connections and tokens stay valid: only logins are refused.
func (g *Gateway) Ban(email string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accounts[email].banned = true
}

// AskTOTP makes logins of an account require a second factor.
func (g *Gateway) AskTOTP(email string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accounts[email].totp = true
}

// Token returns a new token for a user name.
func (g *Gateway) Token(username string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.token(username)
}

func (g *Gateway) token(username string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	text := hex.EncodeToString(b[:])
	g.tokens[text] = &token{username: strings.ToLower(username), expires: time.Now().Add(tokenLife)}
	return text
}

// Expire invalidates all tokens of a user. Bound connections stay.
func (g *Gateway) Expire(username string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.tokens {
		if t.username == username {
			t.expires = time.Time{}
		}
	}
}

// Fault changes the faults of the gateway.
func (g *Gateway) Fault(change func(*Faults)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&g.faults)
	g.tell()
}

// tell wakes the connections that wait for the end of a fault. The caller holds mu.
func (g *Gateway) tell() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// Seen returns what the gateway has seen so far.
func (g *Gateway) Seen() Seen {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.seen
	s.Frames, s.BindTimes = slices.Clone(s.Frames), slices.Clone(s.BindTimes)
	return s
}

// Routed reports whether messages to a user arrive at a connection.
func (g *Gateway) Routed(username string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.routes[username] != nil
}

// Open returns the number of connections.
func (g *Gateway) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// Restart ends all connections without a Close frame and forgets all routes.
func (g *Gateway) Restart() {
	g.mu.Lock()
	var all []*conn
	for c := range g.conns {
		all = append(all, c)
	}
	clear(g.routes)
	g.mu.Unlock()
	for _, c := range all {
		c.cut()
	}
}

// Send sends any text frame to a user's connection. It reports whether there is one with room.
func (g *Gateway) Send(username, frame string) bool { return g.put(username, outgoing{frame: frame}) }

// SendBinary sends a binary frame.
func (g *Gateway) SendBinary(username, frame string) bool {
	return g.put(username, outgoing{frame: frame, binary: true})
}

func (g *Gateway) put(username string, o outgoing) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.routes[username]
	return c != nil && c.put(o)
}

// HalfOpen kills a user's connection so that neither side notices.
func (g *Gateway) HalfOpen(username string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.routes[username]; c != nil {
		c.dead = true
	}
}

// Notice ends the dead connections, as TCP does after minutes.
func (g *Gateway) Notice() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		c.dead = false
	}
	g.tell()
}

// Close ends all connections and refuses new ones.
func (g *Gateway) Close() {
	g.mu.Lock()
	g.faults = Faults{Down: true}
	for c := range g.conns {
		c.dead = false
	}
	g.tell()
	g.mu.Unlock()
	g.Restart()
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
