package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/custody"
	"wavryhost/session/api/durable"
	"wavryhost/session/api/grant"
	"wavryhost/session/api/openapi"
	"wavryhost/session/fleet"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/outbox"
)

// fleetKeyFile is the file, in the state folder, of the host's identity in a fleet.
const fleetKeyFile = "fleet.key"

// fleetOrdersFile is the file, in the state folder, of the standing orders that the host has answered.
const fleetOrdersFile = "fleet-orders.json"

// fleetCounters exports the activity of the fleet's agent. The values of each label are a closed set.
type fleetCounters struct {
	state                   *prometheus.GaugeVec
	dropped, bids, requests *prometheus.CounterVec
	events                  *prometheus.CounterVec
}

var _ fleet.Counters = (*fleetCounters)(nil)

// newFleetCounters registers the metrics of the fleet's agent on reg. All series exist from the start.
func newFleetCounters(reg prometheus.Registerer) *fleetCounters {
	c := &fleetCounters{
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wavry_host_fleet_state",
			Help: "1 for the current state of the connection to the fleet, 0 for the others. Only with fleet.url.",
		}, []string{"state"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_fleet_messages_dropped_total",
			Help: "Messages of the fleet that were not used, by reason. Only with fleet.url.",
		}, []string{"reason"}),
		bids: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_fleet_bids_total",
			Help: "Answers to questions of the fleet for room, by result. Only with fleet.url.",
		}, []string{"result"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wavry_host_fleet_requests_total",
			Help: "Answered requests of the fleet, by result: failed for HTTP status 500 and up. Only with fleet.url.",
		}, []string{"result"}),
	}
	c.events = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wavry_host_fleet_events_total",
		Help: "Attempts to store an event in the fleet's stream, by result. Only with fleet.url.",
	}, []string{"result"})
	reg.MustRegister(c.state, c.dropped, c.bids, c.requests, c.events)
	for _, result := range []string{eventStored, eventNoStream, eventDuplicate, eventFailed} {
		c.events.WithLabelValues(result)
	}
	for _, result := range []string{bidOffered, bidRefused} {
		c.bids.WithLabelValues(result)
	}
	for _, result := range []string{requestOK, requestRefused, requestFailed} {
		c.requests.WithLabelValues(result)
	}
	for _, s := range fleet.States() {
		c.state.WithLabelValues(s.String())
	}
	for _, d := range fleet.Drops() {
		c.dropped.WithLabelValues(d.String())
	}
	return c
}

// unregister removes the metrics: a host that is in no fleet has none.
func (c *fleetCounters) unregister(reg prometheus.Registerer) {
	if c == nil {
		return
	}
	for _, one := range []prometheus.Collector{c.state, c.dropped, c.bids, c.requests, c.events} {
		reg.Unregister(one)
	}
}

func (c *fleetCounters) State(s fleet.State) {
	for _, other := range fleet.States() {
		if other != s {
			c.state.WithLabelValues(other.String()).Set(0)
		}
	}
	c.state.WithLabelValues(s.String()).Set(1)
}

// The results of bids.
const (
	bidOffered = "offered"
	bidRefused = "refused"
)

func (c *fleetCounters) Bid(offered bool) {
	result := bidRefused
	if offered {
		result = bidOffered
	}
	c.bids.WithLabelValues(result).Inc()
}

func (c *fleetCounters) Request(status int) {
	c.requests.WithLabelValues(requestResult(status)).Inc()
}

func (c *fleetCounters) Dropped(d fleet.Drop) { c.dropped.WithLabelValues(d.String()).Inc() }

// fleetKeyPath returns the path of the host's identity in a fleet.
func fleetKeyPath(c *config.Config, env []string) (string, error) {
	if c.Fleet.KeyFile != "" {
		return c.Fleet.KeyFile, nil
	}
	path := inState(fleetKeyFile, env)
	if path == "" {
		return "", errors.New("fleet.key_file: there is no state folder: set HOME or XDG_STATE_HOME, or set fleet.key_file")
	}
	return path, nil
}

// fleetIdentity reads the host's identity, and makes one if there is none.
func fleetIdentity(path string) (*bus.Identity, error) {
	text, _, err := custody.Read(path, 4096, custody.Secret)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("fleet.key_file: %s", config.Reason(err))
		}
		id, text, err := bus.NewIdentity()
		if err != nil {
			return nil, err
		}
		if err := durable.Create(path, text); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("fleet.key_file: %s: %s", path, config.Reason(err))
		} else if err == nil {
			return id, nil
		}
		return fleetIdentity(path) // another process was faster
	}
	if err != nil {
		return nil, fmt.Errorf("fleet.key_file: %s: %s", path, config.Reason(err))
	}
	id, err := bus.ParseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("fleet.key_file: %s: %w", path, err)
	}
	return id, nil
}

// fleetBus returns how to reach the NATS servers of the configuration. It reads the authorities.
func fleetBus(c *config.Config) (bus.Config, error) {
	b := bus.Config{URL: c.Fleet.URL, Insecure: c.Fleet.Insecure, CredentialsFile: c.Fleet.CredentialsFile}
	if c.Fleet.CAFile != "" {
		data, err := config.ReadFile(c.Fleet.CAFile)
		if err != nil {
			return b, fmt.Errorf("fleet.ca_file: %s: %s", c.Fleet.CAFile, config.Reason(err))
		}
		b.RootCAs = x509.NewCertPool()
		if !b.RootCAs.AppendCertsFromPEM(data) {
			return b, fmt.Errorf("fleet.ca_file: %s holds no certificate in PEM form", c.Fleet.CAFile)
		}
	}
	return b, nil
}

// fleetLink keeps the host in the fleet of the current configuration, which a reload may change.
type fleetLink struct {
	env  []string
	host *fleetHost
	// handler returns the control API.
	handler func() http.Handler
	mgr     *session.Manager
	reg     prometheus.Registerer
	met     *outbox.Metrics // registered with the counters
	courier *outbox.Courier
	log     *slog.Logger
	// changed has room for one token: there is another agent, or none.
	changed chan struct{}

	mu       sync.Mutex // guards all following fields
	cfg      config.Fleet
	agent    *fleet.Agent   // nil without a fleet
	counters *fleetCounters // nil without a fleet
}

// newFleetLink returns the link of the configuration, and shows it in the API.
func newFleetLink(
	l *loaded, env []string, cfg *api.Config, mgr *session.Manager, handler func() http.Handler,
	reg prometheus.Registerer, log *slog.Logger,
) (*fleetLink, error) {
	f := &fleetLink{
		env: env, mgr: mgr, handler: handler, reg: reg, log: log, changed: make(chan struct{}, 1),
		met: outbox.NewMetrics("fleet"),
	}
	cfg.BootID, cfg.Fleet = rand.Text(), f.status
	f.host = newFleetHost(cfg, mgr)
	if err := f.apply(&l.Config); err != nil {
		return nil, err
	}
	f.courier = f.newCourier(&l.Config)
	return f, nil
}

// status is what the API shows; nil without a fleet.
func (f *fleetLink) status() *api.FleetLink {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.agent == nil {
		return nil
	}
	s := api.FleetLink(f.agent.Status())
	return &s
}

// reconfigure applies a new configuration. If it cannot work, the former one stays in force.
func (f *fleetLink) reconfigure(c *config.Config) {
	if err := f.apply(c); err != nil {
		f.log.Error("fleet settings cannot be applied; the former ones stay in force", "err", err)
		return
	}
	f.courier.Reconfigure(f.keptEvents(c))
}

// apply makes the agent of a configuration, unless it is the current one.
func (f *fleetLink) apply(c *config.Config) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Fleet == f.cfg {
		return nil
	}
	if c.Fleet.URL == "" {
		f.agent, f.cfg = nil, c.Fleet
		f.counters.unregister(f.reg)
		f.unregister()
		f.counters = nil
		f.wake()
		return nil
	}
	b, err := fleetBus(c)
	if err != nil {
		return err
	}
	path, err := fleetKeyPath(c, f.env)
	if err != nil {
		return err
	}
	if b.Identity, err = fleetIdentity(path); err != nil {
		return err
	}
	b.Name = "wavry-host " + f.host.static.Name
	if c.Fleet.Insecure {
		f.log.Warn("fleet.insecure is set: requests of the fleet may go over the network in clear text")
	}
	counters := f.counters
	if counters == nil {
		counters = newFleetCounters(f.reg)
		f.reg.MustRegister(f.met.Collectors()...)
	}
	most := grant.Role(c.Fleet.Role)
	agent, err := fleet.New(fleet.Config{
		Bus: b, Guard: f.mgr.Guard(), Counters: counters, OrdersFile: inState(fleetOrdersFile, f.env),
		Serve: func(w http.ResponseWriter, r *http.Request, who bus.Caller) { f.serve(w, r, who, most) },
	}, f.host.at(c), f.log)
	if err != nil {
		if f.counters == nil {
			counters.unregister(f.reg)
			f.unregister()
		}
		return err
	}
	f.agent, f.cfg, f.counters = agent, c.Fleet, counters
	f.wake()
	return nil
}

// serve answers a request of the fleet by the control API. The caller has at most the role that the host allows.
func (f *fleetLink) serve(w http.ResponseWriter, r *http.Request, who bus.Caller, most grant.Role) {
	p := auth.Principal{Owner: session.Owner{Credential: session.CredentialFleet, Name: who.Name}}
	if role, err := grant.ParseRole(who.Role); err == nil && most != "" {
		p.Role = role.Capped(most) // the API refuses what is left without a role
	}
	r.RemoteAddr = localAddress
	f.handler().ServeHTTP(w, r.WithContext(auth.WithPrincipal(r.Context(), p)))
}

func (f *fleetLink) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// run keeps the host in its fleet until ctx ends.
func (f *fleetLink) run(ctx context.Context) error {
	for ctx.Err() == nil {
		f.mu.Lock()
		agent := f.agent
		f.mu.Unlock()
		inner, cancel := context.WithCancel(ctx)
		done := make(chan error, 1) // one result, never blocks
		if agent != nil {
			go func() { done <- agent.Run(inner) }()
		} else {
			done <- nil
		}
		select {
		case <-ctx.Done():
		case <-f.changed:
		}
		cancel()
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

// fleetHost is this host, as its fleet sees it.
type fleetHost struct {
	parts  api.Parts
	static bus.Description
}

var _ fleet.Host = (*fleetHost)(nil)

// newFleetHost returns this host, with what does not change while the daemon runs.
func newFleetHost(cfg *api.Config, mgr *session.Manager) *fleetHost {
	return &fleetHost{parts: api.PartsOf(mgr), static: bus.Description{
		HostID: cfg.ID, Name: cfg.Name, Labels: cfg.Labels, APIVersion: openapi.Version, Version: cfg.Version,
		Features: cfg.Features(), Boot: cfg.BootID,
	}}
}

// at returns the host with the address of a configuration.
func (h *fleetHost) at(c *config.Config) *fleetHost {
	one := *h
	if one.static.Address = fleetAddress(c, h.static.Name); one.static.Address != "" {
		one.static.Scheme = "http"
		if c.API.TLS.CertFile != "" {
			one.static.Scheme = "https"
		}
	}
	return &one
}

// fleetAddress returns the address at which others reach the control API; empty if they cannot.
func fleetAddress(c *config.Config, name string) string {
	if c.Fleet.Address != config.Auto {
		return c.Fleet.Address
	}
	host, port, err := net.SplitHostPort(c.API.Listen)
	switch ip := net.ParseIP(host); {
	case err != nil || port == "0" || config.Loopback(host):
		return ""
	case host == "" || ip != nil && ip.IsUnspecified():
		host = name
	}
	if host == "" {
		return ""
	}
	return net.JoinHostPort(host, port)
}

// Describe returns the host as others see it.
func (h *fleetHost) Describe() bus.Description {
	d, info := h.static, h.parts.Host()
	d.State, d.Reason, d.Since = info.State, info.StateReason, info.StateSince
	d.Started, d.Sessions, d.Limit = info.Started, info.Sessions, info.Limit
	for _, c := range h.parts.Capacity() {
		d.Capacity = append(d.Capacity, bus.Capacity{Profile: c.Profile, More: c.More})
	}
	d.Capacity = slices.Clip(d.Capacity)
	if d.Sessions > 0 {
		d.Quality = make(map[string]int)
		for _, s := range h.parts.Sessions() {
			if s.State == "connected" {
				d.Quality[s.Quality]++
			}
		}
	}
	return d
}

// The reasons why the host has no room for a session.
const (
	noCodec   = "no_codec"
	noDisplay = "no_display"
	noRoom    = "full"
)

// defaultProfile is the profile of a session that names none.
const defaultProfile = "1920x1080@60"

// Room returns the room for a session.
func (h *fleetHost) Room(q bus.Ask) fleet.Room {
	info := h.parts.Host()
	r := fleet.Room{Sessions: info.Sessions, Retry: h.parts.RetryAfter()}
	profile, err := admission.ParseProfile(cmp.Or(q.Profile, defaultProfile))
	if err != nil {
		r.Refusal = "bad_profile"
		return r
	}
	d, ok := freeDisplay(info.Displays, q.Display)
	switch {
	case info.State == "draining" || info.State == "cordoned":
		r.Refusal = info.State
	case q.Codec != "" && !slices.ContainsFunc(info.Encoders, func(e session.EncoderInfo) bool {
		return e.Usable && strings.EqualFold(e.Codec, q.Codec)
	}):
		r.Refusal = noCodec
	case !ok:
		r.Refusal = noDisplay
	}
	if r.Refusal != "" {
		return r
	}
	if list := h.parts.Capacity(profile); len(list) > 0 {
		r.More = list[0].More
	}
	if r.More < 1 {
		r.Refusal = noRoom
		return r
	}
	r.Display, r.Weak = d.ID, info.State == "degraded" || info.State == "probation"
	return r
}

// freeDisplay returns the display of a backend, or of any, that has the fewest viewers and takes one more.
func freeDisplay(list []session.DisplayInfo, backend string) (best session.DisplayInfo, ok bool) {
	for _, d := range list {
		if backend != "" && d.Backend != backend || d.Most > 0 && d.Viewers >= d.Most ||
			d.State != "live" && d.State != "idle" {
			continue
		}
		if !ok || d.Viewers < best.Viewers {
			best, ok = d, true
		}
	}
	return best, ok
}

// The results of requests.
const (
	requestOK      = "ok"
	requestRefused = "refused"
	requestFailed  = "failed"
)

func requestResult(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return requestOK
	case status < http.StatusInternalServerError:
		return requestRefused
	default:
		return requestFailed
	}
}
