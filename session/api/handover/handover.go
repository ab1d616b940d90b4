// Package handover joins two daemons of a host while one takes over from the other. The former daemon listens on a Unix
// socket in a private folder. The new one tells it there how far it has come, and passes on the requests of clients
// about sessions that the former daemon still has.
//
//	former daemon                                  new daemon
//	starts the installed program ────────────────▶ tries encoders and displays, reads the state
//	gets its packets by the new daemon ◀─ /media   reads the media port, if there is one port for all
//	accepts no connection any more ◀──── /serving  listens on the same socket, and watches a display as a viewer does
//	leaves its sessions and links  ◀────── /ready  has the links of the host, and accepts sessions
//	serves what it still has       ◀─── /v1, /whep passes requests about those sessions on
//	ends with its last session
//
// Until /ready, any failure of the new daemon leaves the former one as it was.
package handover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/problem"
)

// The paths of the steps.
const (
	pathStatus  = "/handover"
	pathMedia   = "/handover/media"
	pathServing = "/handover/serving"
	pathReady   = "/handover/ready"
)

// headerClient has the Statement about the client of a request that is passed on.
const headerClient = "Wavry-Client"

// stepTime bounds a request of the new daemon: the former one ends its links meanwhile.
const stepTime = 15 * time.Second

// Status describes the former daemon.
type Status struct {
	// Listen is the setting of its API's address, of which the new daemon has the socket.
	Listen string `json:"listen"`
	// Sessions is the number of its sessions.
	Sessions int `json:"sessions"`
	// Media is the number of its UDP sockets that the new daemon gets, and TCP whether that gets the listener for media.
	Media int  `json:"media"`
	TCP   bool `json:"tcp"`
	// Visible reports whether its self-probe passed. Then the one of the new daemon must pass, too.
	Visible bool `json:"visible"`
}

// Steps are what the former daemon does when the new one asks.
type Steps struct {
	Status func() Status
	// Media is called before the new daemon reads the first packet of the media sockets.
	Media func() error
	// Serving is called before the new daemon begins to accept connections. It returns what that needs to know of their
	// clients.
	Serving func() Estate
	// Ready is called when the new daemon works. It returns when the former one has left everything to it that only one
	// can have.
	Ready func(context.Context)
}

// Estate is what the former daemon leaves to the new one.
type Estate struct {
	Tokens       []auth.Bequest          `json:"tokens"`
	Reservations []admission.Reservation `json:"reservations"`
}

// Handler returns the handler of the former daemon's socket: the steps, and its API for clients of the new daemon.
func Handler(s Steps, api http.Handler) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the new daemon is gone if that fails
	}
	mux.HandleFunc("GET "+pathStatus, func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Status()) })
	mux.HandleFunc("POST "+pathMedia, func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Media(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST "+pathServing, func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Serving()) })
	mux.HandleFunc("POST "+pathReady, func(_ http.ResponseWriter, r *http.Request) { s.Ready(r.Context()) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var client auth.Statement
		if err := json.Unmarshal([]byte(r.Header.Get(headerClient)), &client); err != nil {
			http.Error(w, "no statement about the client", http.StatusBadRequest)
			return
		}
		r.Header.Del(headerClient)
		r.RemoteAddr = client.Remote
		api.ServeHTTP(w, r.WithContext(client.With(r.Context())))
	})
	return mux
}

// Former is the daemon that this one takes over from, or took over from. Its methods may be called from several
// goroutines.
type Former struct {
	client *http.Client
	proxy  *httputil.ReverseProxy
	// sessions is the number of its sessions, and -1 once it is gone.
	sessions atomic.Int64
}

// Dial returns the former daemon that listens on the Unix socket at path.
func Dial(path string) *Former {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	f := &Former{client: &http.Client{Transport: transport}}
	f.proxy = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "former"
			for _, name := range []string{"Authorization", "Forwarded", "X-Forwarded-For"} {
				r.Out.Header.Del(name) // the statement replaces them
			}
			state(r.Out.Header, r.In)
		},
	}
	return f
}

// state adds the statement about the client of r to a header.
func state(h http.Header, r *http.Request) {
	text, err := json.Marshal(auth.StatementOf(r))
	if err == nil { // it has nothing that cannot be encoded
		h.Set(headerClient, string(text))
	}
}

// Forward passes a request on, and reports whether the former daemon has answered it.
func (f *Former) Forward(w http.ResponseWriter, r *http.Request) bool {
	one := *f.proxy
	one.ModifyResponse = func(a *http.Response) error {
		w.Header().Del("X-Request-Id") // the answer may name the one of the former daemon
		for name := range w.Header() {
			a.Header.Del(name) // this daemon has set it by the same rules
		}
		return nil
	}
	lost := false
	one.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { lost = true }
	one.ServeHTTP(w, r)
	return !lost
}

// Session returns a session of the former daemon, for the client of r. The error is session.ErrUnknownSession if there
// is none that this client may see.
func (f *Former) Session(r *http.Request, id string) (session.Snapshot, error) {
	var one session.Snapshot
	err := f.ask(r.Context(), http.MethodGet, "/v1/sessions/"+url.PathEscape(id), r, nil, &one)
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return one, session.ErrUnknownSession
	}
	return one, err
}

// Pass makes the request of r to the former daemon, too, with the body in, and decodes its answer into out.
func (f *Former) Pass(r *http.Request, in, out any) error {
	return f.ask(r.Context(), r.Method, r.URL.Path, r, in, out)
}

// Status asks the former daemon.
func (f *Former) Status(ctx context.Context) (s Status, err error) {
	err = f.ask(ctx, http.MethodGet, pathStatus, nil, nil, &s)
	return s, err
}

// Media says that this daemon begins to read the media sockets.
func (f *Former) Media(ctx context.Context) error {
	return f.ask(ctx, http.MethodPost, pathMedia, nil, nil, nil)
}

// Serving says that this daemon begins to accept connections.
func (f *Former) Serving(ctx context.Context) (e Estate, err error) {
	err = f.ask(ctx, http.MethodPost, pathServing, nil, nil, &e)
	return e, err
}

// Ready says that this daemon works. When it returns nil, the former daemon has left everything to this one of which
// there can be only one.
func (f *Former) Ready(ctx context.Context) error {
	return f.ask(ctx, http.MethodPost, pathReady, nil, nil, nil)
}

// Sessions returns the number of sessions that the former daemon still has, and -1 once it is gone.
func (f *Former) Sessions() int { return int(f.sessions.Load()) }

// Follow keeps Sessions current until the former daemon is gone, or ctx ends.
func (f *Former) Follow(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s, err := f.Status(ctx)
		if err != nil && ctx.Err() == nil {
			f.sessions.Store(-1)
			return
		}
		f.sessions.Store(int64(s.Sessions))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// refusal is an answer that is not a success.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("it answers %d: %s", r.status, r.text) }

// ask sends a request to the former daemon, for the client of by unless that is nil, and decodes the answer into out.
func (f *Former) ask(ctx context.Context, method, path string, by *http.Request, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var body io.Reader = http.NoBody
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://former"+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if by != nil {
		r.Host = by.Host // its policy on names applies
		state(r.Header, by)
	}
	a, err := f.client.Do(r)
	if err != nil {
		return fmt.Errorf("ask the former daemon: %w", err)
	}
	defer func() { _ = a.Body.Close() }()
	if a.StatusCode != http.StatusOK {
		var p problem.Document
		_ = json.NewDecoder(a.Body).Decode(&p) // the status says enough
		return fmt.Errorf("ask the former daemon: %w", &refusal{a.StatusCode, p.Detail})
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(a.Body).Decode(out)
}
