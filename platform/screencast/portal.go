package screencast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// PortalConfig configures a Portal.
type PortalConfig struct {
	// Bus is the address of the session bus.
	Bus string
	// Load returns the token that stands for the consent of the person at the screen, or nothing. Save keeps another
	// one for later, or none. Without them consent ends with the Portal.
	Load func() (token string, err error)
	Save func(token string) error
	// Consent is the time for the person to answer. It defaults to two minutes.
	Consent time.Duration
	// Pause is how long a refusal stands before the person is asked again. It defaults to a minute.
	Pause time.Duration
}

// Portal opens the screen that a person chose, by xdg-desktop-portal. Each use has a session of its own, which the
// token of the session before opens without the person: a second stream of one session has no picture before
// something changes on the screen.
type Portal struct {
	cfg PortalConfig
	log *slog.Logger

	mu       sync.Mutex // guards the following fields
	closed   bool
	news     chan struct{}    // closed when another session is used, or the Portal is closed
	opening  *opening         // the session that is being opened, or nil
	used     []*portalSession // with users, the newest last
	spare    *portalSession   // without users; it is open because another one would need the person
	refusal  error
	until    time.Time // refusal stands
	watching bool      // pictures only, as of the last Probe
	wg       sync.WaitGroup
}

// opening is a session that is being opened. Portal.mu guards its fields but asked.
type opening struct {
	cancel  context.CancelFunc
	asked   atomic.Bool   // the person may have been asked
	done    chan struct{} // closed when it is open, or failed
	waiters int
	session *portalSession // until a waiter takes it
	err     error
}

var (
	errPortalClosed = errors.New("the portal is not used any more")
	errNotOpen      = fmt.Errorf("%w: the screen is not captured at present", ErrAbsent)
)

// NewPortal returns a Portal. The caller must Close it.
func NewPortal(cfg PortalConfig, log *slog.Logger) *Portal {
	if cfg.Consent == 0 {
		cfg.Consent = 2 * time.Minute
	}
	if cfg.Pause == 0 {
		cfg.Pause = time.Minute
	}
	return &Portal{cfg: cfg, log: log, news: make(chan struct{})}
}

// Screen is a use of the screen that the person chose.
type Screen struct {
	*portalSession
	portal *Portal
	once   sync.Once
}

// Open opens the screen. When ctx ends before the person has answered, the error wraps ErrConsent, and the question
// stays: a later Open gets the answer.
func (p *Portal) Open(ctx context.Context, c Cursor) (*Screen, error) {
	for {
		s, o, err := p.begin(c) //nolint:contextcheck // the question to the person outlives ctx
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-o.done:
		case <-ctx.Done():
		}
		if s, err := p.finish(ctx, o, c); s != nil || err != nil {
			return s, err
		}
	}
}

// begin returns a spare session, or what opens another one, which finish must be called for.
func (p *Portal) begin(c Cursor) (*Screen, *opening, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errPortalClosed
	}
	if s := p.spare; s != nil {
		p.spare = nil
		if !s.over() && s.wanted == c {
			return p.lend(s), nil, nil
		}
		s.Close()
	}
	if p.opening == nil {
		if p.refusal != nil && time.Now().Before(p.until) {
			return nil, nil, p.refusal
		}
		p.start(c)
	}
	p.opening.waiters++
	return nil, p.opening, nil
}

// finish ends a wait for a session. It returns neither a session nor an error if another one must be opened.
func (p *Portal) finish(ctx context.Context, o *opening, c Cursor) (*Screen, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.waiters--
	defer p.leave(o)
	s := o.session
	switch {
	case o.err != nil:
		return nil, o.err
	case s != nil && s.wanted == c && !s.over():
		o.session = nil
		return p.lend(s), nil
	case ctx.Err() == nil:
		return nil, nil
	case o.asked.Load():
		return nil, fmt.Errorf("%w: answer the desktop's dialog", ErrConsent)
	}
	return nil, explain("open the portal", ctx.Err())
}

// leave disposes of a session without waiters. The caller holds mu.
func (p *Portal) leave(o *opening) {
	if o.waiters == 0 && o.session != nil {
		p.dispose(o.session)
		o.session = nil
	}
}

// dispose ends a session without users, unless the next one would need the person. The caller holds mu.
func (p *Portal) dispose(s *portalSession) {
	if s.kept || p.closed || p.spare != nil || s.over() {
		s.Close()
		return
	}
	p.spare = s
}

// lend counts a user of a session. The caller holds mu.
func (p *Portal) lend(s *portalSession) *Screen {
	if s.users++; s.users == 1 {
		p.used = append(p.used, s)
		p.changed()
	}
	return &Screen{portalSession: s, portal: p}
}

// join returns the newest session, once there is one.
func (p *Portal) join(ctx context.Context) (*Screen, error) {
	for {
		p.mu.Lock()
		news, closed := p.news, p.closed
		if n := len(p.used); n > 0 && !p.used[n-1].over() {
			s := p.lend(p.used[n-1])
			p.mu.Unlock()
			return s, nil
		}
		p.mu.Unlock()
		if closed {
			return nil, errPortalClosed
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, errNotOpen
		}
	}
}

// Close ends this use of the screen.
func (s *Screen) Close() {
	s.once.Do(func() {
		p := s.portal
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.users--; s.users > 0 {
			return
		}
		p.used = slices.DeleteFunc(p.used, func(one *portalSession) bool { return one == s.portalSession })
		p.dispose(s.portalSession)
	})
}

// start begins to open a session. The caller holds mu.
func (p *Portal) start(c Cursor) {
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Consent+time.Minute)
	o := &opening{cancel: cancel, done: make(chan struct{})}
	p.opening = o
	p.wg.Go(func() { // unguarded: it calls the bus, and reads what that says with checks
		defer cancel()
		s, err := p.open(ctx, c, o)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.opening, p.refusal = nil, nil
		o.session = s
		if err != nil {
			o.err = fmt.Errorf("open the screen by the desktop's portal: %w", err)
			if errors.Is(err, ErrDenied) || errors.Is(err, ErrConsent) {
				p.refusal, p.until = o.err, time.Now().Add(p.cfg.Pause)
			}
		}
		close(o.done)
		p.leave(o)
	})
}

// open opens a session, and keeps the consent for the next one.
func (p *Portal) open(ctx context.Context, c Cursor, o *opening) (*portalSession, error) {
	token := ""
	if p.cfg.Load != nil {
		var err error
		if token, err = p.cfg.Load(); err != nil {
			p.log.Warn("the consent to capture the screen cannot be read; the desktop asks again", "err", err)
		}
	}
	s, err := openPortal(ctx, p.cfg, c, token, &o.asked)
	if err != nil {
		return nil, err
	}
	if p.cfg.Save != nil {
		err := p.cfg.Save(s.token)
		if err != nil {
			p.log.Warn("the consent to capture the screen cannot be kept; the desktop will ask again", "err", err)
		}
		s.kept = err == nil && s.token != ""
	}
	p.log.Debug("screen opened by the desktop's portal", "input", s.devices != 0, "consent_kept", s.kept)
	return s, nil
}

// changed wakes everybody who waits for a session. The caller holds mu.
func (p *Portal) changed() {
	close(p.news)
	p.news = make(chan struct{})
}

// Probe returns why the portal cannot open a screen at present, or nil. It opens no dialog.
func (p *Portal) Probe(ctx context.Context) error {
	p.mu.Lock()
	o, refusal, until := p.opening, p.refusal, p.until
	p.mu.Unlock()
	switch {
	case o != nil && o.asked.Load():
		return ErrConsent
	case refusal != nil && time.Now().Before(until):
		return refusal
	}
	s, err := connectPortal(ctx, p.cfg.Bus)
	if err != nil {
		return err
	}
	defer s.Close()
	offer, err := s.offer(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watching = !offer.persistentRemote()
	return nil
}

// WatchOnly reports whether the portal takes no input, as of the last Probe.
func (p *Portal) WatchOnly() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watching
}

// Close ends all sessions, and a question to the person. A second Close is harmless.
func (p *Portal) Close() {
	p.mu.Lock()
	p.closed = true
	if p.opening != nil {
		p.opening.cancel()
	}
	if p.spare != nil {
		p.spare.Close()
		p.spare = nil
	}
	for _, s := range p.used {
		s.Close()
	}
	p.changed()
	p.mu.Unlock()
	p.wg.Wait()
}
