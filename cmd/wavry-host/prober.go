package main

import (
	"context"
	"log/slog"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
)

// prober tries the encoders again at run time, for example after a driver update.
type prober struct {
	cfg     *config.Config
	manager *session.Manager
	// look searches for missing drivers of graphics cards.
	look func()
	log  *slog.Logger
	// asked has room for one request. Requests during a trial are served by the next one.
	asked chan struct{}
}

func newProber(l *loaded, m *session.Manager, look func(), log *slog.Logger) *prober {
	return &prober{cfg: &l.Config, manager: m, look: look, log: log, asked: make(chan struct{}, 1)}
}

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
		candidates, err := prove(ctx, p.cfg)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to stop; it did not fail
		}
		if err != nil {
			p.log.Error("encoders could not be tried", "err", err)
			continue
		}
		tellEncoders(candidates, p.log)
		p.manager.SetEncoders(factories(p.cfg, candidates, p.log), encoderInfos(candidates))
	}
}
