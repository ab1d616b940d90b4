package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/problem"
	"wavryhost/session/hoststate"
	"wavryhost/session/peer"
	"wavryhost/session/relay"

	"github.com/prometheus/client_golang/prometheus"
)

// fakeManager answers as configured and notes the calls.
type fakeManager struct {
	create func(ctx context.Context, o session.Offer) (session.Answer, error)
	patch  func(id, ifMatch, fragment string) (session.Patched, error)
	end    func(id string, why session.EndReason) error
	list   []session.Snapshot
	state  session.Host
	// obliging makes every request succeed.
	obliging bool
	// servers are its STUN and TURN servers.
	servers func(region, user string, last time.Time) []relay.Server

	mu           sync.Mutex // guards all following fields
	offers       []session.Offer
	ended        []session.EndReason
	notes        []string
	keys         []string
	drained      []time.Duration
	postponed    []time.Duration
	reports      []session.ViewerReport
	postponable  time.Duration
	resized      []session.Resize
	fixed        error // why no display changes its size
	resumed      int
	revoked      []string
	reservations []admission.Reservation
	asked        []admission.ReservationRequest
	changes      []session.Change
	past         []session.EventRecord
	more         chan struct{}
}

var _ manager = (*fakeManager)(nil)

func (m *fakeManager) SetControl(id string, on bool) (session.Snapshot, error) {
	one, err := m.Session(id)
	switch {
	case err != nil:
		return session.Snapshot{}, err
	case on && one.Role == session.RoleViewer.String():
		return session.Snapshot{}, session.ErrNoControl
	}
	one.Control = on
	return one, nil
}

func (m *fakeManager) TakesInput(_ context.Context, display string, r session.Role) bool {
	return display == "x11:0" && r != session.RoleViewer
}

func (m *fakeManager) Create(ctx context.Context, o session.Offer) (session.Answer, error) {
	m.mu.Lock()
	m.offers = append(m.offers, o)
	m.mu.Unlock()
	if m.create != nil {
		return m.create(ctx, o)
	}
	return session.Answer{ID: "s1", SDP: "v=0\r\n", ETag: `"e1"`}, nil
}

func (m *fakeManager) Patch(_ context.Context, id, ifMatch, fragment string) (session.Patched, error) {
	return m.patch(id, ifMatch, fragment)
}

// tell adds an event.
func (m *fakeManager) tell(e session.EventRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.ID = uint64(len(m.past) + 1)
	m.past = append(m.past, e)
	if m.more != nil {
		close(m.more)
		m.more = nil
	}
}

// happen adds an event.
func (m *fakeManager) happen(kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past = append(m.past, session.EventRecord{ID: uint64(len(m.past) + 1), Kind: kind, Session: "s1"})
	if m.more != nil {
		close(m.more)
		m.more = nil
	}
}

func (m *fakeManager) Events(after uint64) (list []session.EventRecord, lost bool, more <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if after > uint64(len(m.past)) {
		after, lost = 0, true
	}
	if m.more == nil {
		m.more = make(chan struct{})
	}
	for _, e := range m.past[after:] {
		list = append(list, shaped(e))
	}
	return list, lost, m.more
}

// shaped gives an event the fields that every event of its kind has.
func shaped(e session.EventRecord) session.EventRecord {
	fill := map[string]*string{
		"session": &e.Session, "display": &e.Display, "reservation": &e.Reservation, "server": &e.Server,
		"from": &e.From, "to": &e.To,
	}
	for kind, s := range session.EventShapes() {
		if kind.String() != e.Kind {
			continue
		}
		for _, name := range s.Required {
			switch {
			case name == "transition" && e.Transition == nil:
				e.Transition = &session.TransitionRecord{Seq: 1, From: "good", To: "degraded", Reason: "loss"}
			case name == "reason" && e.Reason == "":
				e.Reason = s.Reasons[0]
			case fill[name] != nil && *fill[name] == "":
				*fill[name] = "x11:0"
			}
		}
	}
	return e
}

func (m *fakeManager) LastEvent() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.past))
}

func (m *fakeManager) WriteRecording(id string, w io.Writer) error {
	if _, err := m.Session(id); err != nil {
		return err
	}
	_, err := io.WriteString(w, "a recording of "+id)
	return err
}

func (m *fakeManager) RequestKeyframe(id string) error {
	m.mu.Lock()
	m.keys = append(m.keys, id)
	m.mu.Unlock()
	_, err := m.Session(id)
	return err
}

func (m *fakeManager) End(_ context.Context, id string, why session.EndReason, note string) error {
	m.mu.Lock()
	if why == session.EndOperator {
		m.notes = append(m.notes, note)
	}
	m.ended = append(m.ended, why)
	m.mu.Unlock()
	if m.end != nil {
		return m.end(id, why)
	}
	_, err := m.Session(id)
	return err
}

// ends returns the reasons of the sessions that were ended.
func (m *fakeManager) ends() []session.EndReason {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ended)
}

func (m *fakeManager) Session(id string) (session.Snapshot, error) {
	for _, s := range m.Sessions() {
		if s.ID == id {
			return s, nil
		}
	}
	return session.Snapshot{}, session.ErrUnknownSession
}

func (m *fakeManager) Sessions() []session.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.list)
}

func (m *fakeManager) Host() session.Host {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *fakeManager) Drain(o hoststate.DrainOrder) hoststate.DrainStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drained = append(m.drained, o.Deadline)
	return hoststate.DrainStatus{}
}

func (m *fakeManager) Cordon(o hoststate.CordonOrder) hoststate.CordonStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Cordon = &hoststate.CordonStatus{Owner: o.Owner, Note: o.Note, Begun: time.Now()}
	if o.For > 0 {
		m.state.Cordon.Until = m.state.Cordon.Begun.Add(o.For)
	}
	return *m.state.Cordon
}

func (m *fakeManager) Uncordon() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Cordon = nil
}

func (m *fakeManager) Draining() (hoststate.DrainStatus, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return hoststate.DrainStatus{Policy: "wait", Left: 1}, m.obliging || len(m.drained) > m.resumed
}

func (m *fakeManager) Postpone(_ string, by time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if by > m.postponable && !m.obliging {
		return hoststate.ErrNotPostponable
	}
	m.postponed = append(m.postponed, by)
	return nil
}

func (m *fakeManager) Resize(_ context.Context, r session.Resize) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resized = append(m.resized, r)
	return m.fixed
}

func (m *fakeManager) ReportViewer(id string, r session.ViewerReport) error {
	if _, err := m.Session(id); err != nil && !m.obliging {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports = append(m.reports, r)
	return nil
}

func (m *fakeManager) SetProbation(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.State = "active"
	if on {
		m.state.State = "probation"
	}
}

func (m *fakeManager) Reserve(_ context.Context, r admission.ReservationRequest) (admission.Reservation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.obliging:
		return admission.Reservation{ID: "l1"}, nil
	case r.Display != "default" && r.Display != "x11:0":
		return admission.Reservation{}, session.ErrUnknownDisplay
	case len(m.reservations) == 2:
		return admission.Reservation{}, &session.RefusalError{
			Resource: "sessions", Fit: "640x360@30",
			RetryAfter: 7 * time.Second,
		}
	}
	m.asked = append(m.asked, r)
	l := admission.Reservation{
		ID: fmt.Sprintf("l%d", len(m.reservations)+1), Display: "x11:0", MaxBitrate: r.MaxBitrate, Weight: 100,
		Subject: r.Subject,
	}
	m.reservations = append(m.reservations, l)
	return l, nil
}

func (m *fakeManager) Capacity(profiles ...admission.Profile) []admission.Capacity {
	if len(profiles) == 0 {
		profiles = admission.Profiles()
	}
	var list []admission.Capacity
	for _, p := range profiles {
		list = append(list, admission.Capacity{
			Profile: p.String(), Width: p.Width, Height: p.Height, FPS: p.FPS,
			More: 3, LimitedBy: "cpu",
		})
	}
	return list
}

func (m *fakeManager) Revoke(_, grant, subject string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revoked = append(m.revoked, grant+"/"+subject)
	return len(m.revoked)
}

func (m *fakeManager) List() []admission.Reservation {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.reservations)
	if m.obliging {
		list = append(list, admission.Reservation{ID: "s1", Display: "default"})
	}
	return list
}

func (m *fakeManager) Reservation(id string) (admission.Reservation, error) {
	for _, l := range m.List() {
		if l.ID == id {
			return l, nil
		}
	}
	return admission.Reservation{}, session.ErrUnknownReservation
}

func (m *fakeManager) Renew(id string, hold time.Duration) (admission.Reservation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.reservations {
		if l := &m.reservations[i]; l.ID == id {
			l.Expires = l.Expires.Add(hold)
			return *l, nil
		}
	}
	if m.obliging {
		return admission.Reservation{ID: id}, nil
	}
	return admission.Reservation{}, session.ErrUnknownReservation
}

func (m *fakeManager) Inherit(_ context.Context, list []admission.Reservation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reservations = append(m.reservations, list...)
	return nil
}

func (m *fakeManager) Release(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.reservations, func(l admission.Reservation) bool { return l.ID == id })
	switch {
	case m.obliging && id == "s1":
		return nil
	case i < 0:
		return session.ErrUnknownReservation
	}
	m.reservations = slices.Delete(m.reservations, i, i+1)
	return nil
}

func (m *fakeManager) Change(_ context.Context, id string, c session.Change) (session.Snapshot, error) {
	s, err := m.Session(id)
	switch {
	case err != nil:
		return s, err
	case m.obliging:
		return s, nil
	case c.Display != nil && *c.Display != "x11:0":
		return s, session.ErrUnknownDisplay
	case c.MaxBitrate != nil && *c.MaxBitrate == 1:
		return s, session.ErrBadChange
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes = append(m.changes, c)
	return s, nil
}

func (m *fakeManager) Resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resumed++
}

func (m *fakeManager) ICEServers(region, user string, last time.Time) []relay.Server {
	if m.servers == nil {
		return nil
	}
	return m.servers(region, user, last)
}

func (m *fakeManager) RetryAfter() time.Duration { return 2500 * time.Millisecond }

// healthy is a host that accepts viewers, with one session.
func healthy() *fakeManager {
	return &fakeManager{
		patch: func(id, ifMatch, fragment string) (session.Patched, error) {
			switch {
			case id != "s1":
				return session.Patched{}, session.ErrUnknownSession
			case ifMatch == "":
				return session.Patched{}, peer.ErrNoMatch
			case ifMatch == "*":
				return session.Patched{SDP: "a=ice-ufrag:new\r\n", ETag: `"e2"`}, nil
			case ifMatch != `"e1"`:
				return session.Patched{}, peer.ErrStale
			case !strings.HasPrefix(fragment, "a="):
				return session.Patched{}, peer.ErrBadOffer
			}
			return session.Patched{ETag: ifMatch}, nil
		},
		list: []session.Snapshot{{
			ID: "s1", Display: "x11:0", State: "connected", Pointer: "picture", Codec: "H264", CodecReason: "only",
			Role: "controller", Quality: "good", Reason: "startup", CeilingOf: "host",
		}},
		state: session.Host{
			State: "active", StateReason: "started", Default: "x11:0",
			Displays: []session.DisplayInfo{{
				ID: "x11:0", Name: "desk", Backend: "x11", Width: 1280,
				Height: 720, State: "idle",
			}},
			Encoders: []session.EncoderInfo{{Name: "libx264", Codec: "H264", Price: "free", Usable: true, InUse: true}},
		},
	}
}

// theOperator owns what is opened by the operator's token.
var theOperator = session.Owner{Credential: session.CredentialOperatorToken, Name: "token"}

// theContract is made of the document of all servers at the first one.
var (
	theContract *contract
	documents   sync.Once
)

// newServer returns a Server for m and its metrics registry. Every answer is compared with the document. Without a
// configured credential, requests without Authorization are the operator's.
func newServer(tb testing.TB, cfg Config, m manager) (*Server, *prometheus.Registry) {
	tb.Helper()
	reg := prometheus.NewRegistry()
	open := !cfg.guarded() && cfg.OwnToken == ""
	if open {
		cfg.Token = token
	}
	s, err := New(cfg, m, reg, NewMetrics(reg), slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	documents.Do(func() { theContract = newContract(tb, s.spec.Document()) })
	s.handler = theContract.watch(tb, s.handler)
	if inner := s.handler; open {
		s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(r.Header.Values("Authorization")) == 0 {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			inner.ServeHTTP(w, r)
		})
	}
	return s, reg
}

// ask is a request of a test.
type ask struct {
	method, path, body string
	header             map[string]string
	host               string
	remote             string
	noHost             bool
	secure             bool // by TLS
}

// reply is a response, as tests look at it.
type reply struct {
	StatusCode int
	Header     http.Header
	body       string
}

// do sends a to h.
func (a ask) do(h http.Handler) reply {
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(a.body)
	}
	r := httptest.NewRequestWithContext(context.Background(), a.method, a.path, body)
	r.Host = "127.0.0.1:8470"
	if a.host != "" {
		r.Host = a.host
	}
	if a.noHost {
		r.Host = ""
	}
	if a.secure {
		r.TLS = new(tls.ConnectionState)
	}
	if a.remote != "" {
		r.RemoteAddr = a.remote
	}
	for name, value := range a.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), w.Body.String()}
}

// refusal reads an error answer, which must have the common JSON shape, and returns its code.
func refusal(t *testing.T, resp reply) problem.Code {
	t.Helper()
	if got := resp.Header.Get("Content-Type"); got != problem.Media {
		t.Errorf("Content-Type of a %d is %q; want a problem document", resp.StatusCode, got)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(resp.body), &body); err != nil {
		t.Fatalf("body of a %d is not JSON: %v: %q", resp.StatusCode, err, resp.body)
	}
	message, _ := body["detail"].(string)
	code, _ := body["code"].(string)
	if message == "" || code == "" {
		t.Errorf("error %q lacks a message or a code", resp.body)
	}
	if want := problem.Code(code).Status(); want != resp.StatusCode {
		t.Errorf("code %q came with status %d; want %d", code, resp.StatusCode, want)
	}
	return problem.Code(code)
}

// read reads a response that came over a connection.
func read(t *testing.T, resp *http.Response) reply {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// obliging is a healthy host where every request succeeds.
func obliging() *fakeManager {
	m := healthy()
	m.obliging = true
	return m
}
