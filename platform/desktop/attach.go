package desktop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// Config says how a daemon reaches a virtual display.
type Config struct {
	// Socket is the path of the supervisor's socket.
	Socket string
	// ID is the ID of the display. It defaults to Usual.
	ID string
	// Programs are the programs of a new display, each with its arguments; none for the usual ones.
	Programs [][]string
	// Width and Height are the size of a new display.
	Width, Height int
	// Keep is the time for which the display continues without a daemon, or Forever.
	Keep time.Duration
	// Private is a folder for a copy of the authority file. It is needed where the supervisor has another user.
	Private string
	// Launch starts a supervisor that listens on Socket. It is nil where another program starts it.
	Launch func() (*child.Process, error)

	// dial connects to the supervisor. It is nil for Socket.
	dial func(ctx context.Context) (net.Conn, error)
}

// request returns a request for the display. A request for the usual display is understood by old supervisors.
func (c Config) request(op string) request {
	r := request{
		Version: unnamed, Op: op, Width: c.Width, Height: c.Height, Keep: c.Keep, Programs: c.Programs,
	}
	if c.ID != "" && c.ID != Usual {
		r.Version, r.Display = protocol, c.ID
	}
	return r
}

// Attachment is the use of a virtual display by a daemon.
type Attachment struct {
	cfg Config
	log *slog.Logger

	mu        sync.Mutex
	conn      net.Conn
	status    Status
	authority string
}

// Attach uses the display, and starts it if it does not run. The caller must call Run and Close. The display continues
// after Close, according to Config.Keep.
func Attach(ctx context.Context, cfg Config, log *slog.Logger) (*Attachment, error) {
	a := newAttachment(cfg, log)
	return a, a.connect(ctx, cfg.request(opAttach))
}

// attachFresh is Attach for a display that is started anew if it runs. It must not have a daemon.
func attachFresh(ctx context.Context, cfg Config, log *slog.Logger) (*Attachment, error) {
	a, r := newAttachment(cfg, log), cfg.request(opAttach)
	r.Version, r.Fresh = protocol, true
	return a, a.connect(ctx, r)
}

// Find is Attach for a display that runs already. The error is ErrNone if it does not.
func Find(ctx context.Context, cfg Config, log *slog.Logger) (*Attachment, error) {
	cfg.Launch = nil
	a := newAttachment(cfg, log)
	return a, a.connect(ctx, cfg.request(opFind))
}

func newAttachment(cfg Config, log *slog.Logger) *Attachment {
	return &Attachment{cfg: cfg, log: log.With("id", cmp.Or(cfg.ID, Usual))}
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
			if err := a.connect(ctx, a.request(opAttach)); err == nil {
				break
			} else if ctx.Err() == nil {
				a.log.Error("virtual display does not start", "err", err)
			}
			pause = min(2*pause, longestPause)
		}
	}
}

// request returns a request with the current settings.
func (a *Attachment) request(op string) request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg.request(op)
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
		if err := send(a.conn, request{Version: unnamed, Op: opKeep, Keep: keep}); err != nil {
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
func (a *Attachment) connect(ctx context.Context, r request) error {
	c, got, err := exchange(ctx, a.cfg, r, startTime)
	if err != nil {
		return err
	}
	if !got.Running {
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
	for _, program := range got.Missing {
		a.log.Warn("program of the virtual display is not installed", "program", program,
			"remedy", "install it, or correct displays.virtual_programs or displays.virtual")
	}
	if r.Op == opAttach && a.cfg.Width > 0 && (got.Width != a.cfg.Width || got.Height != a.cfg.Height) {
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
	name := "desktop.authority"
	if _, rest, ok := strings.Cut(a.cfg.ID, ":"); ok {
		name = "desktop-" + rest + ".authority"
	}
	path := filepath.Join(a.cfg.Private, name)
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
	switch {
	case got.InUse:
		return got, errInUse
	case got.Error != "":
		return got, errors.New(got.Error)
	}
	return got, nil
}

// tries bounds the attempts to reach a supervisor that ends at the same moment.
const tries = 3

// exchange connects to the supervisor, makes a request and returns the connection with the answer. A supervisor that
// has nothing left to do may end before it answers; then another one is asked.
func exchange(ctx context.Context, cfg Config, r request, limit time.Duration) (net.Conn, answer, error) {
	for try := 1; ; try++ {
		c, err := reach(ctx, cfg)
		if err != nil {
			return nil, answer{}, err
		}
		got, err := talk(ctx, c, r, limit)
		if err == nil {
			return c, got, nil
		}
		_ = c.Close()
		if try == tries || ctx.Err() != nil || !ended(err) {
			return nil, got, err
		}
	}
}

// ended reports whether an error of a connection means that its other end has closed it.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// nobody reports whether an error of a dial means that nothing listens there.
func nobody(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// reach connects to the supervisor, and starts it where nothing listens.
func reach(ctx context.Context, cfg Config) (net.Conn, error) {
	if cfg.dial != nil {
		return cfg.dial(ctx)
	}
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

// Ask returns the running displays, the usual one first. The error wraps ErrNone if there is none.
func Ask(ctx context.Context, socket string) ([]Status, error) {
	return ask(ctx, Config{Socket: socket})
}

func ask(ctx context.Context, cfg Config) ([]Status, error) {
	c, got, err := exchange(ctx, cfg, request{Version: unnamed, Op: opStatus, List: true}, talkTime)
	if err != nil {
		return nil, err
	}
	list := got.all()
	if len(list) == 0 {
		err = ErrNone
	}
	return list, errors.Join(err, c.Close())
}

// all returns the displays of an answer.
func (a answer) all() []Status {
	if a.List == nil && a.Running { // of an old supervisor
		a.ID = Usual
		return []Status{a.Status}
	}
	return a.List
}

// End ends the display with an ID, or all displays if it is empty. It returns when nothing of them is left. The error
// wraps ErrNone if there is none.
func End(ctx context.Context, socket, id string) ([]Status, error) {
	r := request{Version: unnamed, Op: opEnd, List: true}
	if id != "" {
		r = request{Version: protocol, Op: opEnd, Display: id}
	}
	c, got, err := exchange(ctx, Config{Socket: socket}, r, talkTime)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	list := got.all()
	if id != "" && got.Running {
		list = []Status{got.Status}
	}
	if err := c.SetReadDeadline(time.Now().Add(endTime)); err != nil {
		return list, err
	}
	_, err = c.Read(make([]byte, 1))
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return list, fmt.Errorf("desktop: the virtual display has not ended in %v: kill process %d", endTime,
			got.Supervisor)
	}
	if len(list) == 0 {
		return nil, ErrNone
	}
	return list, nil
}
