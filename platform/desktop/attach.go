package desktop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"wavryhost/platform/child"
	"wavryhost/platform/xproto"
)

const (
	// The pauses before another attempt to attach: first and longest.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
	// lookPause is the pause between looks for the socket of a supervisor that is started.
	lookPause = 10 * time.Millisecond
	// endTime bounds the end of a display.
	endTime = 20 * time.Second
)

// Config says how a daemon reaches its desktop.
type Config struct {
	// Socket is the path of the supervisor's socket.
	Socket string
	// Width and Height are the size of a new display.
	Width, Height int
	// Keep is the time for which the display continues without a daemon, or Forever.
	Keep time.Duration
	// Private is a folder for a copy of the authority file. It is needed where the supervisor has another user.
	Private string
	// Launch starts a supervisor that listens on Socket. It is nil where another program starts it.
	Launch func() (*child.Process, error)
}

// Attachment is the use of a desktop by a daemon.
type Attachment struct {
	cfg Config
	log *slog.Logger

	mu        sync.Mutex
	conn      net.Conn
	status    Status
	authority string
}

// Attach uses the desktop, and starts it if there is none. The caller must call Run and Close. The desktop continues
// after Close, according to Config.Keep.
func Attach(ctx context.Context, cfg Config, log *slog.Logger) (*Attachment, error) {
	a := &Attachment{cfg: cfg, log: log}
	return a, a.connect(ctx, opAttach)
}

// Find is Attach for a desktop that runs already. The error is ErrNone if there is none.
func Find(ctx context.Context, cfg Config, log *slog.Logger) (*Attachment, error) {
	cfg.Launch = nil
	a := &Attachment{cfg: cfg, log: log}
	return a, a.connect(ctx, opFind)
}

// Address is the address of the display, such as ":90".
func (a *Attachment) Address() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status.Display
}

// Authority is the path of a file with the cookie of the display.
func (a *Attachment) Authority() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.authority
}

// Run waits until ctx ends, and returns ctx's error. When the desktop ends before, Run attaches to another one.
func (a *Attachment) Run(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		began := time.Now()
		err := a.wait(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.log.Warn("virtual display has ended; another one is started", "display", a.Address(), "err", err)
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		for {
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			case <-timer.C:
			}
			if err := a.connect(ctx, opAttach); err == nil {
				break
			} else if ctx.Err() == nil {
				a.log.Error("virtual display does not start", "err", err)
			}
			pause = min(2*pause, longestPause)
		}
	}
}

// wait returns when the connection to the supervisor or ctx has ended.
func (a *Attachment) wait(ctx context.Context) error {
	a.mu.Lock()
	c := a.conn
	a.mu.Unlock()
	_ = c.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	_, err := c.Read(make([]byte, 1)) // the supervisor sends nothing more
	return err
}

// SetKeep changes the time for which the desktop continues without a daemon.
func (a *Attachment) SetKeep(keep time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cfg.Keep == keep {
		return
	}
	a.cfg.Keep = keep
	if a.conn != nil {
		if err := send(a.conn, request{Version: protocol, Op: opKeep, Keep: keep}); err != nil {
			a.log.Warn("supervisor of the virtual display does not hear", "err", err)
		}
	}
}

// Close ends the use of the desktop.
func (a *Attachment) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == nil {
		return nil
	}
	err := a.conn.Close()
	a.conn = nil
	return err
}

// connect attaches to the supervisor.
func (a *Attachment) connect(ctx context.Context, op string) error {
	c, err := reach(ctx, a.cfg)
	if err != nil {
		return err
	}
	a.mu.Lock()
	r := request{Version: protocol, Op: op, Width: a.cfg.Width, Height: a.cfg.Height, Keep: a.cfg.Keep}
	a.mu.Unlock()
	got, err := talk(ctx, c, r, startTime)
	if err == nil && !got.Running {
		err = ErrNone
	}
	var authority string
	if err == nil {
		authority, err = a.readable(got)
	}
	if err != nil {
		return errors.Join(err, c.Close())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		_ = a.conn.Close() // it has ended
	}
	a.conn, a.status, a.authority = c, got.Status, authority
	a.log.Info("virtual display attached", "display", got.Display, "width", got.Width, "height", got.Height,
		"supervisor", got.Supervisor, "age", time.Since(got.Started).Round(time.Millisecond))
	if op == opAttach && a.cfg.Width > 0 && (got.Width != a.cfg.Width || got.Height != a.cfg.Height) {
		a.log.Warn("virtual display keeps its size until its end", "width", got.Width, "height", got.Height,
			"remedy", "wavry-host desktop end")
	}
	return nil
}

// readable returns the path of an authority file that this user can read.
func (a *Attachment) readable(got answer) (string, error) {
	if f, err := os.Open(got.Authority); err == nil {
		return got.Authority, f.Close()
	}
	if a.cfg.Private == "" {
		return "", fmt.Errorf("desktop: the authority file %s of the supervisor cannot be read, and there is no folder "+
			"for a copy", got.Authority)
	}
	if err := os.MkdirAll(a.cfg.Private, 0o700); err != nil {
		return "", fmt.Errorf("desktop: make a folder for the authority file: %w", err)
	}
	path := filepath.Join(a.cfg.Private, "desktop.authority")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("desktop: replace the authority file: %w", err)
	}
	if err := xproto.WriteAuthority(path, got.Cookie); err != nil {
		return "", fmt.Errorf("desktop: write the authority file: %w", err)
	}
	return path, nil
}

// talk makes a request and returns the answer.
func talk(ctx context.Context, c net.Conn, r request, limit time.Duration) (got answer, err error) {
	err = within(c, limit)
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	if err == nil {
		err = send(c, r)
	}
	if err == nil {
		err = receive(c, &got)
	}
	if err != nil {
		return got, fmt.Errorf("desktop: the supervisor does not answer: %w", errors.Join(err, ctx.Err()))
	}
	if got.Error != "" {
		return got, errors.New(got.Error)
	}
	return got, nil
}

// nobody reports whether an error of a dial means that nothing listens there.
func nobody(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// reach connects to the supervisor, and starts it where nothing listens.
func reach(ctx context.Context, cfg Config) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", cfg.Socket)
	if err == nil {
		return c, nil
	}
	if cfg.Launch == nil && nobody(err) {
		return nil, fmt.Errorf("%w (nothing listens on %s)", ErrNone, cfg.Socket)
	}
	if cfg.Launch == nil || !nobody(err) {
		return nil, fmt.Errorf("desktop: reach the supervisor: %w", err)
	}
	p, err := cfg.Launch()
	if err != nil {
		return nil, fmt.Errorf("desktop: start the supervisor: %w", err)
	}
	limit := time.NewTimer(startTime)
	defer limit.Stop()
	for look := time.NewTicker(lookPause); ; {
		c, err := d.DialContext(ctx, "unix", cfg.Socket)
		if err == nil {
			look.Stop()
			return c, nil
		}
		select {
		case <-look.C:
			continue
		case <-p.Done:
			// Another supervisor may have come first, and this one has left it the socket.
			if c, err := d.DialContext(ctx, "unix", cfg.Socket); err == nil {
				look.Stop()
				return c, nil
			}
			err = fmt.Errorf("desktop: the supervisor has ended: %w; its log is %s", p.Err(), LogPath(cfg.Socket))
		case <-ctx.Done():
			err = ctx.Err()
		case <-limit.C:
			err = fmt.Errorf("desktop: the supervisor does not listen on %s: %w", cfg.Socket, err)
		}
		look.Stop()
		return nil, err
	}
}

// Ask returns the status of the desktop. The error wraps ErrNone if there is none.
func Ask(ctx context.Context, socket string) (Status, error) {
	c, err := reach(ctx, Config{Socket: socket})
	if err != nil {
		return Status{}, err
	}
	defer c.Close()
	got, err := talk(ctx, c, request{Version: protocol, Op: opStatus}, talkTime)
	if err == nil && !got.Running {
		err = ErrNone
	}
	return got.Status, err
}

// End ends the desktop, and returns when nothing of it is left. The error wraps ErrNone if there is none.
func End(ctx context.Context, socket string) (Status, error) {
	c, err := reach(ctx, Config{Socket: socket})
	if err != nil {
		return Status{}, err
	}
	defer c.Close()
	got, err := talk(ctx, c, request{Version: protocol, Op: opEnd}, talkTime)
	if err != nil {
		return got.Status, err
	}
	if err := c.SetReadDeadline(time.Now().Add(endTime)); err != nil {
		return got.Status, err
	}
	_, err = c.Read(make([]byte, 1))
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return got.Status, fmt.Errorf("desktop: the virtual display has not ended in %v: kill process %d", endTime,
			got.Supervisor)
	}
	if !got.Running {
		return got.Status, ErrNone
	}
	return got.Status, nil
}
