package main

import (
	"context"
	"log/slog"
	"sync/atomic"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode"
	"wavryhost/session"
)

// prober tries the encoders again at run time, for example after a driver update.
type prober struct {
	cfg atomic.Pointer[config.Config]
	// manager is set once it is made, which requires the load of the encoders' devices.
	manager *session.Manager
	// look searches for missing drivers of graphics cards.
	look func()
	// keep keeps the proofs for the next daemon.
	keep func([]encode.Candidate)
	log  *slog.Logger
	// asked has room for one request. Requests during a trial are served by the next one.
	asked chan struct{}
}

func newProber(l *loaded, look func(), log *slog.Logger) *prober {
	p := &prober{look: look, keep: func([]encode.Candidate) {}, log: log, asked: make(chan struct{}, 1)}
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
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.asked:
		}
		cfg := p.cfg.Load()
		candidates, err := prove(ctx, cfg, nil)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to stop; it did not fail
		}
		if err != nil {
			p.log.Error("encoders could not be tried", "err", err)
			continue
		}
		p.keep(candidates)
		tellEncoders(candidates, p.log)
		p.manager.SetEncoders(factories(candidates, p.log), encoderInfos(candidates))
	}
}
