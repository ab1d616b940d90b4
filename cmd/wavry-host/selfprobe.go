package main

import (
	"context"
	"crypto/x509"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/cmd/wavry-host/selfprobe"
	"wavryhost/encode/ffmpeg"
	"wavryhost/platform/display"
	"wavryhost/session"
	"wavryhost/session/api"

	"github.com/prometheus/client_golang/prometheus"
)

// probeTime bounds one probe. A viewer on the slowest path of the objectives has a picture within a third of it.
const probeTime = 15 * time.Second

// selfProbe watches one of the host's displays at an interval, as a viewer does.
type selfProbe struct {
	config  *loaded
	manager *session.Manager
	api     *api.Server
	tap     *selfprobe.Tap
	log     *slog.Logger
	page    atomic.Pointer[string] // the address of the viewer page, once it is known
	looking sync.Mutex             // held during a probe; guards failing
	failing bool
	// asked has room for one request.
	asked chan struct{}

	mu   sync.Mutex // guards the following field
	last *api.SelfProbe

	success, first, similarity *prometheus.GaugeVec
}

func newSelfProbe(
	l *loaded, m *session.Manager, server *api.Server, tap *selfprobe.Tap, reg prometheus.Registerer, log *slog.Logger,
) *selfProbe {
	p := &selfProbe{config: l, manager: m, api: server, tap: tap, log: log, asked: make(chan struct{}, 1)}
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "wavry_host_probe_" + name, Help: help}, nil)
		reg.MustRegister(g)
		return g
	}
	p.success = gauge("success", "1 if the host's last self-probe saw a display as it was captured, else 0. Absent "+
		"before the first probe, and while the host takes no sessions.")
	p.first = gauge("first_frame_seconds",
		"Time from the request of the last successful self-probe to its first decoded picture.")
	p.similarity = gauge("similarity_ratio",
		"Structural similarity of the last self-probe's best picture to what was captured; 1 is equal.")
	return p
}

// reached sets the address that the API listens on.
func (p *selfProbe) reached(addr net.Addr) {
	page := p.config.pageURL(addr)
	p.page.Store(&page)
}

// ask requests a probe, and returns at once.
func (p *selfProbe) ask() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && p.last.State == api.ProbeRunning {
		return
	}
	p.last = &api.SelfProbe{State: api.ProbeRunning}
	select {
	case p.asked <- struct{}{}:
	default:
	}
}

// watch makes one probe and returns its result; nil if ctx ended.
func (p *selfProbe) watch(ctx context.Context) *api.SelfProbe {
	p.looking.Lock()
	defer p.looking.Unlock()
	p.look(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return p.status()
}

// status returns the last probe; nil before the first one.
func (p *selfProbe) status() *api.SelfProbe {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		return nil
	}
	last := *p.last
	return &last
}

// run probes on request and at the interval until ctx ends.
func (p *selfProbe) run(ctx context.Context) error {
	every := p.config.Host.ProbeInterval
	for {
		var due <-chan time.Time
		if every > 0 && !p.locked() {
			// Hosts that were started together do not probe together.
			due = time.After(time.Duration(float64(every) * (.9 + .2*rand.Float64()))) //nolint:gosec // it is no secret
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due:
		case <-p.asked:
		}
		p.watch(ctx)
	}
}

// locked reports whether the API asks for a client certificate, which the daemon does not have.
func (p *selfProbe) locked() bool { return p.config.Auth.Certificates.Mode == "required" }

// look makes one probe.
func (p *selfProbe) look(ctx context.Context) {
	page, id := p.page.Load(), probed(p.manager.Host()) //nolint:contextcheck // it takes none
	switch {
	case p.locked():
		p.skip("the API requires client certificates, and the daemon has none")
		return
	case page == nil || id == "":
		p.skip("the host takes no sessions, or has no display")
		return
	}
	p.mu.Lock()
	p.last = &api.SelfProbe{State: api.ProbeRunning, Display: id}
	p.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	until, _ := within.Deadline()
	p.tap.Begin(id)
	defer p.tap.End()
	r, err := selfprobe.Watch(within, selfprobe.Config{
		Page: *page, Display: id, Token: p.api.ProbeToken(id, until), Roots: p.roots(), Decoder: newProbeDecoder,
		Compare: p.tap.Best,
		Guard:   func(f func()) error { return p.manager.Guard().Run(session.PartProbe, f) },
	})
	if ctx.Err() != nil {
		return // the daemon ends
	}
	p.note(id, r, err)
}

// skip makes known that there was nothing to probe.
func (p *selfProbe) skip(why string) {
	p.success.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = &api.SelfProbe{State: api.ProbeSkipped, Finished: time.Now(), Problem: why}
}

// note makes the result of a probe known.
func (p *selfProbe) note(id string, r selfprobe.Result, err error) {
	result := api.SelfProbe{State: api.ProbePassed, Display: id, Finished: time.Now(), FirstFrame: r.FirstFrame.Seconds()}
	p.similarity.Reset()
	if r.Compared {
		result.Similarity = r.Similarity
		p.similarity.WithLabelValues().Set(r.Similarity)
	}
	switch {
	case err != nil:
		result.State, result.Problem = api.ProbeFailed, err.Error()
	case r.Compared && r.Similarity < selfprobe.Good:
		result.State, result.Problem = api.ProbeFailed, "the viewer sees another picture than was captured"
	}
	good := result.State == api.ProbePassed
	if good {
		p.success.WithLabelValues().Set(1)
		p.first.WithLabelValues().Set(r.FirstFrame.Seconds())
		if p.failing {
			p.log.Info("self-probe succeeds again", "display", id, "first_frame_seconds", r.FirstFrame.Seconds())
		}
	} else {
		p.success.WithLabelValues().Set(0)
		p.log.Warn("self-probe failed: viewers may see nothing, or another picture", "display", id, "err", result.Problem,
			"first_frame_seconds", r.FirstFrame.Seconds(), "similarity", r.Similarity,
			"remedy", "wavry-host doctor; docs/operate/runbooks/black-picture.md")
	}
	p.failing = !good
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = &result
}

// probed returns the display to watch: the default one, unless only others are without viewers, who would notice the
// keyframe. It is empty if the host takes no sessions or has no display. A display that starts on request is watched
// only while it has viewers: a probe starts no programs.
func probed(h session.Host) string {
	if h.Cordon != nil || h.Drain != nil || len(h.Displays) == 0 {
		return ""
	}
	h.Displays = slices.DeleteFunc(slices.Clone(h.Displays), func(d session.DisplayInfo) bool {
		return config.IsOnDemand(d.ID) && d.Viewers == 0
	})
	if len(h.Displays) == 0 {
		return ""
	}
	first := h.Displays[0]
	for _, d := range h.Displays {
		works := d.State != string(display.Unusable) && d.State != session.DisplaySlow
		if d.ID == first.ID && d.Viewers == 0 || d.Viewers == 0 && works && !isSynthetic(d.ID) {
			return d.ID
		}
	}
	return first.ID
}

// roots returns the authorities that the probe trusts: the system's, and the host's own certificate, which viewers may
// have accepted by hand. It returns nil without TLS.
func (p *selfProbe) roots() *x509.CertPool {
	if p.config.API.TLS.CertFile == "" {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if text, err := os.ReadFile(p.config.API.TLS.CertFile); err == nil {
		pool.AppendCertsFromPEM(text)
	}
	return pool
}

// probeDecoder decodes pictures for a probe.
type probeDecoder struct{ *ffmpeg.Decoder }

func newProbeDecoder(codec string) (selfprobe.Decoder, error) {
	d, err := ffmpeg.NewDecoder(codec)
	if err != nil {
		return nil, err
	}
	return probeDecoder{d}, nil
}

// Decode returns the grid of a picture.
func (d probeDecoder) Decode(unit []byte) (*selfprobe.Grid, error) {
	plane, width, height, err := d.Luma(unit)
	if err != nil {
		return nil, err
	}
	return selfprobe.Luma(plane, width, width, height), nil
}
