package api

import (
	"log/slog"
	"net/http"
	"time"

	"wavryhost/session/api/access"
	"wavryhost/session/api/audit"
	"wavryhost/session/api/auth"
	"wavryhost/session/api/edge"
	"wavryhost/session/api/page"
	"wavryhost/session/api/whep"

	"github.com/prometheus/client_golang/prometheus"
)

// New returns a Server that does not listen yet. It reads all files, so that an invalid one is an error here.
func New(cfg Config, mgr manager, gatherer prometheus.Gatherer, m *Metrics, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, mgr: mgr, metrics: m, log: log, audit: audit.New(cfg.Audit), stopping: make(chan struct{}),
	}
	s.limiter = edge.NewLimiter(func() edge.Limits { return s.live.Load().limits })
	var err error
	s.auth, err = auth.New(cfg.auth(), auth.Environment{
		Settings: func() auth.Settings { return s.live.Load().auth },
		Ambient:  func(r *http.Request) bool { return s.live.Load().policy.Ambient(r) },
		Count:    func(method, result string) { m.auth.WithLabelValues(method, result).Inc() },
	}, s.limiter, log)
	if err != nil {
		return nil, err
	}
	s.succession = &Succession{
		former: cfg.Former, changing: cfg.Changing, mgr: mgr, auth: s.auth, retired: make(chan struct{}),
	}
	if cfg.TLSCert != "" {
		expires := func(end time.Time) { m.certificateEnd.Set(float64(end.Unix())) }
		if s.cert, err = edge.NewCertificate(cfg.TLSCert, cfg.TLSKey, log, expires); err != nil {
			return nil, err
		}
	}
	s.live.Store(cfg.live(s.cert))
	s.access = access.New(mgr, s.auth, cfg.Grants, s.audit.On(), log)
	s.whep = whep.New(mgr, s.access, nil)
	if cfg.Former != nil {
		s.whep = whep.New(mgr, s.access, cfg.Former)
	}
	if s.page, err = page.New(cfg.SourceURL); err != nil {
		return nil, err
	}
	documented, err := wholeDocument()
	if err != nil {
		return nil, err
	}
	s.spec, s.document = documented.spec, documented.answer
	s.handler = s.build(s.routes(gatherer))
	return s, nil
}
