package main

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode"
	"wavryhost/session"
)

// prober tries the encoders again at run time: on request, for example after a driver update, and those whose trial did
// not finish. On a machine that is busy when it starts, that can be all of them.
type prober struct {
	cfg atomic.Pointer[config.Config]
	// manager is set once it is made, which requires the load of the encoders' devices.
	manager *session.Manager
	// look searches for missing drivers of graphics cards.
	look func()
	// keep keeps the proofs for the next daemon.
	keep func([]encode.Candidate)
	// last are the results of the last trial.
	last []encode.Candidate
	try  func(context.Context, *config.Config, func(encode.Profile) (encode.Proof, bool)) ([]encode.Candidate, error)
	set  func([]encode.Candidate)
	log  *slog.Logger
	// asked has room for one request. Requests during a trial are served by the next one.
	asked chan struct{}
}

// Trials that did not finish are repeated after these times.
const (
	firstRetry = 15 * time.Second
	lastRetry  = 10 * time.Minute
)

// newProber returns the prober of a daemon whose trial at the start has these results.
func newProber(l *loaded, results []encode.Candidate, look func(), log *slog.Logger) *prober {
	p := &prober{
		look: look, keep: func([]encode.Candidate) {}, last: results, try: prove, log: log,
		asked: make(chan struct{}, 1),
	}
	p.set = func(all []encode.Candidate) { p.manager.SetEncoders(factories(all, p.log), encoderInfos(all)) }
	p.cfg.Store(&l.Config)
	return p
}

// reconfigure sets the configuration of later trials. It requests one if the encoders are others.
func (p *prober) reconfigure(c *config.Config) {
	old := p.cfg.Swap(c)
	if old.Encoding.Encoder != c.Encoding.Encoder || old.Encoding.VAAPIDevice != c.Encoding.VAAPIDevice {
		p.ask()
	}
}

// vaapi returns the configured VAAPI device, or nothing.
func (p *prober) vaapi() string { return p.cfg.Load().Encoding.VAAPIDevice }

// ask requests a trial of the encoders, and returns at once.
func (p *prober) ask() {
	p.look()
	select {
	case p.asked <- struct{}{}:
	default:
	}
}

// run serves requests until ctx ends.
func (p *prober) run(ctx context.Context) error {
	for wait := firstRetry; ; {
		var due <-chan time.Time
		if names := unfinished(p.last); len(names) > 0 {
			p.log.Warn("trials of encoders did not finish; they are repeated", "encoders", strings.Join(names, " "),
				"after", wait)
			due = time.After(wait)
		}
		var known func(encode.Profile) (encode.Proof, bool) // on request all are tried
		select {
		case <-ctx.Done():
			return nil
		case <-p.asked:
			wait = firstRetry
		case <-due:
			wait, known = min(2*wait, lastRetry), p.finished
		}
		candidates, err := p.try(ctx, p.cfg.Load(), known)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to stop; it did not fail
		}
		if err != nil {
			p.log.Error("encoders could not be tried", "err", err)
			continue
		}
		p.last = candidates
		p.keep(candidates)
		tellEncoders(candidates, p.log)
		p.set(candidates)
	}
}

// finished returns the result of a profile's last trial, if that finished.
func (p *prober) finished(profile encode.Profile) (encode.Proof, bool) {
	for _, c := range p.last {
		if c.Profile.Name == profile.Name {
			return c.Proof, c.Proof.Failure != encode.FailureTimeout
		}
	}
	return encode.Proof{}, false
}

// unfinished returns the names of the candidates whose trial did not finish.
func unfinished(candidates []encode.Candidate) (names []string) {
	for _, c := range candidates {
		if c.Proof.Failure == encode.FailureTimeout {
			names = append(names, c.Profile.Name)
		}
	}
	return names
}
