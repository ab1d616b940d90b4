package main

import (
	"context"
	"log/slog"

	"wavryhost/session"
)

// prober tries the encoders again while the daemon runs, as after a driver was updated.
type prober struct {
	cfg     *Config
	manager *session.Manager
	// look looks for the drivers of graphics cards that were not there.
	look func()
	log  *slog.Logger
	// asked has room for one request: those that come while one is being served are served by the next.
	asked chan struct{}
}

func newProber(l *loaded, m *session.Manager, look func(), log *slog.Logger) *prober {
	return &prober{cfg: &l.Config, manager: m, look: look, log: log, asked: make(chan struct{}, 1)}
}

// ask asks for the encoders to be tried, and returns at once.
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
			return nil //nolint:nilerr // asked to stop, it did not fail
		}
		if err != nil {
			p.log.Error("encoders could not be tried", "err", err)
			continue
		}
		tellEncoders(candidates, p.log)
		p.manager.SetEncoders(factories(p.cfg, candidates, p.log), encoderInfos(candidates))
	}
}
