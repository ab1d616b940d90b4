package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode"
	"wavryhost/encode/ffmpeg"
	"wavryhost/platform/identity"
	"wavryhost/platform/input"
	"wavryhost/platform/pressure"
	"wavryhost/platform/service"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/api/grant"
	"wavryhost/session/gateway"
	"wavryhost/session/tracing"
	"wavryhost/session/webhook"
)

// runCmd is "wavry-host run".
type runCmd struct {
	Settings settingFlags `embed:""`
	Trial    bool         `hidden:"" help:"Try this program on this host, print a report, and do not serve."`
}

// Run is called by kong.
func (c *runCmd) Run(ctx context.Context, a *app) error {
	l, err := c.Settings.load(a)
	if err != nil {
		return err
	}
	if err := l.inspect(a.env); err != nil {
		return err
	}
	if c.Trial {
		return c.try(ctx, a, l)
	}
	log, level, lines, err := newLogger(&l.Config, a.env, a.stderr)
	if err != nil {
		return err
	}
	defer lines.Close(lastWords)
	defer surviveReaders()()
	for _, text := range l.Warnings {
		log.Warn("configuration", "problem", text)
	}
	b := thisBuild()
	log.Info("starting", "version", b.Version, "revision", b.Revision, "go", b.Go, "config", strings.Join(l.Files, " "))
	ffmpeg.SetLogger(log) //nolint:contextcheck // FFmpeg's log belongs to no context
	own := &ownTokens{env: a.env, log: log}
	if err := own.provide(l); err != nil {
		return err
	}
	read := func() (*loaded, error) {
		l, err := c.Settings.load(a)
		if err == nil {
			err = l.inspect(a.env)
		}
		if err == nil {
			err = own.provide(l)
		}
		return l, err
	}
	t, err := newTakeover(ctx, a, l.API.Listen, log)
	if err != nil {
		return err
	}
	h, err := newHost(ctx, l, read, a, t, log, level, lines)
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before it began: not a failure
		}
		return err
	}
	err = errors.Join(h.run(ctx), h.displays.Close())
	if !h.predecessor.replaced() {
		h.exit.end(err)
	}
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// host is the assembled daemon.
type host struct {
	log         *slog.Logger
	notify      *service.Notifier
	displays    *catalog
	manager     *session.Manager
	api         *api.Server
	link        *gateway.Link // nil without a gateway
	fleet       *fleetLink
	webhook     *webhook.Sender
	tracer      *tracing.Tracer // nil without traces
	local       *localAPI
	reloads     *reloader
	prober      *prober
	probe       *selfProbe
	grants      *grant.Verifier // nil without grants
	trail       *trail
	trier       *trier
	exit        *lastExit
	takeover    *takeover
	predecessor *predecessor
	loops       *loops
	pressure    *pressure.Sampler
	gpus        *pressure.GPUs
	// limit bounds the end of all parts.
	limit time.Duration
	ready chan net.Addr // capacity 1; the API's address, once
	greet func(net.Addr)
}

// lastWords bounds the wait, at the end, for readers of the daemon's output.
const lastWords = 2 * time.Second

// settling is the daemon's extra time for the end of its parts, beyond their own limits.
const settling = 3 * time.Second

// newHost finds out what this machine has and assembles the parts. read reads the configuration again, of which l is
// the first. The result is attached to the virtual display.
func newHost(
	ctx context.Context,
	l *loaded,
	read func() (*loaded, error),
	a *app,
	t *takeover,
	log *slog.Logger,
	level *slog.LevelVar,
	lines *logQueue,
) (_ *host, err error) {
	h := &host{
		log: log, notify: service.NewNotifier(log), limit: l.Timeouts.Shutdown + settling, ready: make(chan net.Addr, 1),
		greet: greeter(l, a, log), takeover: t,
	}
	h.predecessor = newPredecessor(l, h, a)
	registry := newRegistry()
	program := ownProgram()
	registry.MustRegister(lines.lost, newRestartPending(program))
	var before string
	h.exit, before = newLastExit(a.env, log)
	newExitInfo(registry).WithLabelValues(before).Set(1)
	if before == session.ExitKilled {
		log.Warn("previous daemon recorded no end: it crashed, was killed, or the machine ended")
	}
	registry.MustRegister(newVersionCounters(countVersion(a.env, thisBuild().Version, log))...)
	h.loops = newLoops(registry, log)
	configInfo := newConfigInfo(registry)
	showConfig(configInfo, &l.Config)
	// Both take a while, and are independent.
	kept := newKeptProofs(a.env, program, log)
	var (
		group      errgroup.Group
		candidates []encode.Candidate
	)
	group.Go(func() (err error) {
		if candidates, err = prove(ctx, &l.Config, kept.recall(before)); err == nil {
			kept.keep(candidates)
		}
		return err
	})
	group.Go(func() (err error) {
		search := newDisplaySearch(a, l.Displays.Default, log)
		h.displays, err = newCatalog(ctx, &l.Config, a.env, search, input.NewMetrics(registry), log)
		return err
	})
	err = group.Wait()
	defer func() {
		if err != nil && h.displays != nil {
			err = errors.Join(err, h.displays.Close())
		}
	}()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	tellEncoders(candidates, log)

	h.pressure = pressure.New(registry, log)
	h.gpus = pressure.NewGPUs(registry, log)
	h.prober = newProber(l, candidates, h.gpus.Look, log)
	h.prober.keep = kept.keep
	load := loadOf(h.pressure, h.gpus, h.prober.vaapi)
	if l.Sessions.Admission == config.AdmissionLimits {
		load = nil
	}
	sessions := sessionConfig(l, h.displays, candidates, load, log)
	sessions.Progress, sessions.Heritage = h.loops.board, t.heritage
	sessions.Orders, sessions.Keep = ordersOf(a.env, log)
	id, name := identify(l.Host.ID, log)
	if h.tracer, err = newTracer(l, id, name, registry, log); err != nil {
		return nil, err
	}
	if h.tracer != nil {
		sessions.Trace, sessions.TraceFrameEvery = h.tracer.Add, l.Tracing.FrameEvery
	}
	h.manager, err = session.NewManager(sessions, log, session.NewMetrics(registry))
	if err != nil {
		return nil, err
	}
	h.manager.Journal().Started(before)
	note := func(n api.Note) { h.api.Note(n) }
	if h.link, err = newLink(&l.Config, h.manager, h.loops.board, note, registry, log); err != nil {
		return nil, err
	}
	cfg := apiConfig(l)
	cfg.ID, cfg.Name = id, name
	var hook func(*config.Config)
	if h.webhook, hook, err = newWebhook(&l.Config, a.env, cfg.ID, h.manager, registry, log); err != nil {
		return nil, err
	}
	if l.TakesGrants() {
		all := grants(&l.Config, a.env)
		newKeyFetches(registry).follow(all)
		if h.grants, err = grant.New(log, all[0], all[1:]...); err != nil {
			return nil, err
		}
		cfg.Grants = h.grants
		if cfg.RevocationsFile = revocations(&l.Config, a.env); cfg.RevocationsFile == "" {
			log.Warn(
				"revocations and uses of grants are forgotten at a restart; auth.revocations_file keeps " +
					"them",
			)
		}
	}
	if h.trail, err = newTrail(l.API.AuditFile); err != nil {
		return nil, err
	}
	cfg.Audit, cfg.RestartPending = h.trail, program.replaced
	h.trier = newTrier(program, a, h.manager.Host, log)
	cfg.Try, cfg.Trial = h.trier.ask, h.trier.status
	cfg.HandOver, cfg.Handover = h.predecessor.ask, h.predecessor.status
	cfg.Listener, cfg.Former = t.listener, t.former
	cfg.Changing = func() bool { return t.pending() || h.predecessor.changing() }
	cfg.SelfProbe, cfg.LastProbe = func() { h.probe.ask() }, func() *api.SelfProbe { return h.probe.status() }
	if h.link != nil {
		cfg.Gateway = func() api.GatewayLink { return api.GatewayLink(h.link.Status()) }
	}
	if h.fleet, err = newFleetLink(
		l, a.env, &cfg, h.manager, func() http.Handler { return h.api.Handler() }, registry, log,
	); err != nil {
		return nil, err
	}
	cfg.Ready = func(addr net.Addr) { h.ready <- addr }
	cfg.PageURL = func() string {
		if addr := h.api.Addr(); addr != nil {
			return l.pageURL(addr)
		}
		return ""
	}
	h.reloads = newReloader(l, read, level, h.manager, h.manager.Journal().Configured, registry, log)
	if h.link != nil {
		h.reloads.link = h.link
	}
	h.reloads.terminal = isTerminal(a.stderr)
	h.prober.manager = h.manager
	h.reloads.trail, h.reloads.others = h.trail, []func(*config.Config){
		h.prober.reconfigure, h.displays.reconfigure, h.fleet.reconfigure, hook,
		func(c *config.Config) { showConfig(configInfo, c) },
	}
	h.reloads.look = h.gpus.Look
	cfg.Reload, cfg.Confirm, cfg.Probe = h.reloads.reload, h.reloads.confirm, h.prober.ask
	h.api, err = api.New(cfg, api.PartsOf(h.manager), registry, api.NewMetrics(registry), log)
	h.reloads.api = h.api
	h.probe = newSelfProbe(l, h.manager, h.api, &h.displays.tap, registry, log)
	if err == nil {
		h.local = &localAPI{path: socketPath(l.API.Socket, a.env), handler: h.api.Handler(), log: log}
	}
	return h, err
}

// identify returns the ID and the name of this host. Either is empty if it is unknown.
func identify(set string, log *slog.Logger) (id, name string) {
	name, err := os.Hostname()
	if err != nil {
		log.Warn("host name unknown", "err", err)
	}
	id = set
	if id == "" {
		if id, err = identity.Machine(); err != nil {
			log.Warn("host has no ID: set host.id", "err", err)
		}
	}
	log.Info("host identified", "id", id, "name", name)
	return id, name
}

// tellEncoders logs the results of the encoders' trial. A host without any encoder still serves: it reports that it is
// not ready, and why.
func tellEncoders(candidates []encode.Candidate, log *slog.Logger) {
	for _, c := range candidates {
		if c.Proof.Usable {
			log.Info("encoder works", "encoder", c.Profile.Name, "per_frame", c.Proof.MeanEncode,
				"psnr_db", math.Round(10*c.Proof.PSNR)/10)
		} else {
			log.Info("encoder cannot be used", "encoder", c.Profile.Name, "why", plain(c))
		}
	}
	chosen := false
	for _, format := range encode.Formats() {
		if best, ok := encode.Best(candidates, format); ok {
			chosen = true
			log.Info("encoder chosen", "codec", format.String(), "encoder", best.Profile.Name,
				"rate_change", best.Profile.Price.String())
		}
	}
	if !chosen {
		log.Error("no encoder works: viewers get no picture, and /readyz says so")
	}
}

// run serves until ctx ends or a part fails. It returns after all parts have ended, or after the limit.
func (h *host) run(ctx context.Context) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	h.notify.Mute(h.takeover.former != nil)
	// Watchdog signals continue to the very end: stopping may take longer than the watchdog waits.
	watched, done := context.WithCancel(context.WithoutCancel(ctx))
	watchdog := make(chan error, 1) // one result, never blocks
	go func() { watchdog <- h.notify.Watchdog(watched, h.healthy) }()
	defer done()

	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return h.displays.Run(inner) })
	group.Go(func() error { return h.manager.Run(inner) })
	// The links end when another daemon takes over, and wait for a former one.
	linked, unlink := context.WithCancel(inner)
	defer unlink()
	h.predecessor.unlink = unlink
	link := func(part func(context.Context) error) {
		h.predecessor.links.Add(1)
		group.Go(func() error {
			defer h.predecessor.links.Done()
			if !h.takeover.await(linked) {
				return nil
			}
			return part(linked)
		})
	}
	group.Go(func() error {
		if err := h.takeover.serving(inner, h.api.Succession().Inherit); err != nil {
			return err
		}
		return h.api.Run(inner)
	})
	group.Go(func() error {
		err := h.predecessor.run(inner)
		if h.predecessor.replaced() {
			leave()
		}
		return err
	})
	link(h.local.run)
	group.Go(func() error { return h.loops.run(inner, h.api.Handler(), h.manager.Journal()) })
	group.Go(func() error { return h.reloads.run(inner) })
	group.Go(func() error { return h.pressure.Run(inner) })
	group.Go(func() error { return h.gpus.Run(inner) })
	if h.grants != nil {
		group.Go(func() error { return h.grants.Run(inner) })
	}
	group.Go(func() error { return h.prober.run(inner) })
	group.Go(func() error { return h.trier.run(inner) })
	link(h.webhook.Run)
	if h.tracer != nil {
		group.Go(func() error { return h.tracer.Run(inner) })
	}
	group.Go(func() error { return h.probe.run(inner) })
	if h.link != nil {
		link(h.link.Run)
	}
	link(h.fleet.run)
	link(h.fleet.courier.Run)
	group.Go(func() error {
		var addr net.Addr
		select {
		case addr = <-h.ready:
		case <-inner.Done():
			select {
			case addr = <-h.ready: // it was listening
			default:
				return nil
			}
		}
		h.probe.reached(addr)
		if err := h.takeover.finish(inner, h.probe.watch); err != nil {
			return err
		}
		h.notify.Mute(false)
		h.notify.Ready()
		h.notify.Status("Serving on " + addr.String())
		h.greet(addr)
		if h.takeover.former != nil {
			select {
			case <-h.takeover.gone:
				h.log.Info("the former daemon has no session any more")
			case <-inner.Done():
			}
		}
		return nil
	})
	ended := make(chan error, 1) // one result, never blocks
	go func() {
		err := group.Wait()
		if !h.predecessor.replaced() {
			h.flush(context.WithoutCancel(ctx))
		}
		ended <- err
	}()

	<-inner.Done()
	h.notify.Stopping()
	h.log.Info("stopping", "limit", h.limit)
	limit := time.NewTimer(h.limit)
	defer limit.Stop()
	select {
	case err := <-ended:
		done()
		// When all parts have ended, the manager answers, and so does the watchdog's question to it.
		if watchdogErr := <-watchdog; watchdogErr != nil {
			h.log.Warn("watchdog not served", "err", watchdogErr)
		}
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	case <-limit.C:
		// Parts that hang are abandoned: the process ends with this error.
		return fmt.Errorf("stop: some parts have not ended within %v", h.limit)
	}
}

// healthy reports whether the daemon should stay alive: all its loops progress. It also asks the manager, and so does
// not return when the manager hangs.
func (h *host) healthy() bool {
	_ = h.manager.Host()
	return h.loops.progressing()
}

// greeter returns a function that prints the address of the viewer page. A token that the daemon made is shown on a
// terminal, and never in a log, which is kept and copied.
func greeter(l *loaded, a *app, log *slog.Logger) func(net.Addr) {
	return func(addr net.Addr) {
		own := l.own.Secret
		if l.Guarded() {
			own = "" // not in force
		}
		if isTerminal(a.stdout) {
			sayWithin(lastWords, a.stdout, "Watch it: %s\n", withToken(l.pageURL(addr), own))
		} else if own != "" && l.own.path != "" {
			log.Info("access requires the daemon's own token: \"wavry-host url\" prints the viewer's address with it",
				"file", l.own.path)
		}
	}
}

// reachedBy returns a name that the daemon answers to and that its certificate has: the machine's own, else the first
// one.
func (l *loaded) reachedBy() string {
	var names []string
	if pair, err := tls.LoadX509KeyPair(l.API.TLS.CertFile, l.API.TLS.KeyFile); err == nil {
		own, err := os.Hostname()
		if err == nil && pair.Leaf.VerifyHostname(own) == nil {
			return own
		}
		names = append(names, l.API.Hosts...)
		for _, n := range pair.Leaf.DNSNames {
			names = append(names, strings.Replace(n, "*", own, 1))
		}
		for _, ip := range pair.Leaf.IPAddresses {
			names = append(names, ip.String())
		}
		for _, n := range names {
			if pair.Leaf.VerifyHostname(n) == nil {
				return n
			}
		}
	}
	return "localhost"
}

// pageURL is the address of the viewer page, for a listener on addr.
func (l *loaded) pageURL(addr net.Addr) string {
	scheme, host := "http", addr.String()
	if l.API.TLS.CertFile != "" {
		scheme = "https"
	}
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		// Any address of this machine will do; other machines know it by a name.
		host = net.JoinHostPort(l.reachedBy(), strconv.Itoa(tcp.Port))
	}
	return scheme + "://" + host + "/"
}
