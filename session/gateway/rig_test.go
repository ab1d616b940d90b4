package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"wavryhost/session"
	"wavryhost/session/gateway/gatewaytest"
)

// network is a network within the process, so that a test's time can be faked.
type network struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newNetwork() *network { return &network{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.conns <- far:
		return near, nil
	case <-n.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tally counts.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	states []State
}

var _ Counters = (*tally)(nil)

func (t *tally) add(what string, v fmt.Stringer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	t.counts[what+" "+v.String()]++
}

func (t *tally) State(s State) {
	t.add("state", s)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.states = append(t.states, s)
}
func (t *tally) Failure(c Class) { t.add("failure", c) }
func (t *tally) Received(k Kind) { t.add("received", k) }
func (t *tally) Sent(k Kind)     { t.add("sent", k) }
func (t *tally) Offer(r Result)  { t.add("offer", r) }
func (t *tally) Dropped(d Drop)  { t.add("dropped", d) }

func (t *tally) of(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[what]
}

// fakeManager is a session manager without media.
type fakeManager struct {
	mu        sync.Mutex
	createErr error
	block     chan struct{} // creations wait for it, when it is set
	patchErr  error
	offers    []session.Offer
	patches   []string // "id fragment"
	ended     []string
	alive     map[string]bool // whether it connected
}

var _ manager = (*fakeManager)(nil)

func (m *fakeManager) Create(ctx context.Context, o session.Offer) (session.Answer, error) {
	m.mu.Lock()
	block := m.block
	m.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return session.Answer{}, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offers = append(m.offers, o)
	if m.createErr != nil {
		return session.Answer{}, m.createErr
	}
	id := fmt.Sprintf("s%d", len(m.offers))
	if m.alive == nil {
		m.alive = make(map[string]bool)
	}
	m.alive[id] = false
	return session.Answer{ID: id, SDP: "answer " + id, ETag: `"e"`}, nil
}

func (m *fakeManager) Patch(_ context.Context, id, _, fragment string) (session.Patched, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.alive[id]; !ok {
		return session.Patched{}, session.ErrUnknownSession
	}
	if m.patchErr != nil {
		return session.Patched{}, m.patchErr
	}
	m.patches = append(m.patches, id+" "+fragment)
	return session.Patched{}, nil
}

func (m *fakeManager) End(_ context.Context, id string, _ session.EndReason, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = append(m.ended, id)
	delete(m.alive, id)
	return nil
}

func (m *fakeManager) Session(id string) (session.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	connected, ok := m.alive[id]
	if !ok {
		return session.Snapshot{}, session.ErrUnknownSession
	}
	s := session.Snapshot{ID: id, State: "connecting"}
	if connected {
		s.State, s.Connected = "connected", time.Now()
	}
	return s, nil
}

// set changes how the manager answers.
func (m *fakeManager) set(change func(*fakeManager)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *fakeManager) got() (offers []session.Offer, patches, ended []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.offers), slices.Clone(m.patches), slices.Clone(m.ended)
}

// files are the files that a link reads.
type files struct {
	mu   sync.Mutex
	data map[string]string
}

func (f *files) read(path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := f.data[path]
	if !ok {
		return nil, fmt.Errorf("open %s: no such file", path)
	}
	return []byte(data), nil
}

func (f *files) write(path, data string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data[path] = data
}

const (
	email    = "host@example.net"
	password = "a pass word of the host"
)

func accountFile(password string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

// rig is a link with a gateway that it reaches through a network of its own. It is for use within a bubble of
// synctest.
type rig struct {
	*gatewaytest.Gateway
	t      *testing.T
	net    *network
	files  files
	mgr    *fakeManager
	counts *tally
	link   *Link
	logged bytes.Buffer
	cancel context.CancelFunc
	done   chan error
	server *http.Server
	served chan struct{}
}

// open runs a link to a new gateway. The host's account is host.
func open(t *testing.T, setup gatewaytest.Config, change func(*rig, *Config)) *rig {
	t.Helper()
	r := &rig{
		Gateway: gatewaytest.New(setup), t: t, net: newNetwork(), mgr: &fakeManager{}, counts: &tally{},
		done:   make(chan error, 1),
		served: make(chan struct{}), files: files{data: map[string]string{"account": accountFile(password)}},
	}
	r.Register("host", email, password)
	r.server = &http.Server{
		Handler: r.Gateway, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	go func() {
		defer close(r.served)
		_ = r.server.Serve(r.net) // it always ends with an error
	}()
	cfg := Config{
		URL: "ws://127.0.0.1:3000/ws", Origin: "http://localhost:3000", AccountFile: "account", ReadFile: r.files.read,
		Allow: []string{"alice", "Bob"}, Counters: r.counts,
	}
	if change != nil {
		change(r, &cfg)
	}
	log := slog.New(slog.NewTextHandler(&r.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	link, err := New(cfg, r.mgr, log)
	if err != nil {
		t.Fatal(err)
	}
	link.dial = r.net.dial
	r.link = link
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.done <- link.Run(ctx) }()
	synctest.Wait()
	return r
}

// stop ends the link.
func (r *rig) stop() {
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}

// close ends the link and the gateway, and looks for secrets in the log. What is left running fails the test by
// synctest.
func (r *rig) close() {
	r.t.Helper()
	r.stop()
	r.shut()
	for _, secret := range []string{password, gatewaytest.RelayToken} {
		if strings.Contains(r.logged.String(), secret) {
			r.t.Errorf("the log has a secret, %q:\n%s", secret, r.logged.String())
		}
	}
}

func (r *rig) shut() {
	r.Close()
	r.server.Close()
	<-r.served
	r.net.Close()
}

// state checks the link's state and the class of its last failure.
func (r *rig) state(state State, class string) {
	r.t.Helper()
	synctest.Wait()
	if s := r.link.Status(); s.State != state.String() || s.Class != class {
		r.t.Fatalf("link is %+v; want %v, class %q", s, state, class)
	}
}

// within lets time go on until ok, and fails the test when that takes longer than d.
func (r *rig) within(d time.Duration, what string, ok func() bool) time.Duration {
	r.t.Helper()
	begin := time.Now()
	for synctest.Wait(); !ok(); synctest.Wait() {
		if time.Since(begin) > d {
			r.t.Fatalf("%s: not within %v; link is %+v", what, d, r.link.Status())
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(begin)
}

func (r *rig) bound() bool { return r.link.Status().State == StateBound.String() }

// viewer is another user of the gateway.
type viewer struct {
	t  *testing.T
	ws *websocket.Conn
}

// join binds another user.
func (r *rig) join(username string) *viewer {
	r.t.Helper()
	return join(r.t, "ws://127.0.0.1:3000/ws", r.Gateway, r.client(), username, Wavry{})
}

// client returns an HTTP client on the rig's network.
func (r *rig) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: r.net.dial}}
}

func join(t *testing.T, url string, g *gatewaytest.Gateway, client *http.Client, username string, d Dialect) *viewer {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{ //nolint:bodyclose // the library closes it
		HTTPClient: client, HTTPHeader: http.Header{"Origin": {"http://localhost:3000"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{t, ws}
	token := g.Token(username)
	if d.Traits().NameOf != nil {
		token = strings.TrimPrefix(username, "user_")
	}
	v.send(d, Message{Kind: KindBind, Token: token})
	if d.Traits().Acknowledges {
		if m := v.next(d); m.Kind != KindBound {
			t.Fatalf("bind of %s: got %+v", username, m)
		}
	}
	return v
}

func (v *viewer) send(d Dialect, m Message) {
	v.t.Helper()
	frame, err := d.Encode(m)
	if err != nil {
		v.t.Fatal(err)
	}
	v.raw(string(frame))
}

func (v *viewer) raw(frame string) {
	v.t.Helper()
	if err := v.ws.Write(v.t.Context(), websocket.MessageText, []byte(frame)); err != nil {
		v.t.Fatal(err)
	}
}

func (v *viewer) next(d Dialect) Message {
	v.t.Helper()
	_, frame, err := v.ws.Read(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	m, err := d.Decode(frame)
	if err != nil {
		v.t.Fatalf("%s: %v", frame, err)
	}
	return m
}

func (v *viewer) close() { _ = v.ws.CloseNow() }

// offer sends an offer to the host and returns what comes back.
func (v *viewer) offer(sdp string) Message {
	v.t.Helper()
	v.send(Wavry{}, Message{Kind: KindOffer, Peer: "host", SDP: sdp})
	return v.next(Wavry{})
}

// post asks the gateway's HTTP bridge.
func (r *rig) post(path string, v any) int {
	r.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	transport := &http.Transport{DialContext: r.net.dial, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://127.0.0.1:3000"+path,
		bytes.NewReader(b))
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}
