package display

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"wavryhost/platform/child"
	"wavryhost/platform/xproto"
)

// ErrNoServer means that Xvfb is missing, so no virtual display can be made.
var ErrNoServer = errors.New(
	"display: Xvfb is not installed; install it (apt-get install xvfb) or use --display synthetic",
)

const (
	startTime = 10 * time.Second
	// The pauses between restarts: first and longest.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
	// firstNumber is the first display number of ours. Numbers from 0 on belong to the machine's servers, numbers from 10
	// on to ssh.
	firstNumber, numbers = 90, 1000
	// largestWidth and largestHeight are the least bounds of a display's size, which its viewers may change. Xvfb keeps
	// a picture of that size, of 33 MB.
	largestWidth, largestHeight = 3840, 2160
	// fitTime bounds the change from the largest size to that of the display.
	fitTime = 5 * time.Second
	// serverMemory bounds what clients can store in the server. Its own picture has 268 MB at most.
	serverMemory = 4 << 30
	// virtualPrefix begins the folder names of virtual displays.
	virtualPrefix = "wavry-host-display-"
	// cookieSize is the size of the secret that a client must present, in bytes.
	cookieSize = 16
	// defaultSocketDir is the directory of X servers' sockets.
	defaultSocketDir = "/tmp/.X11-unix"
)

// VirtualConfig configures a Virtual.
type VirtualConfig struct {
	// Width and Height are in pixels. They default to 1280x720. The display starts with that size, which clients can
	// change by RANDR up to 3840x2160, or to this size if it is larger.
	Width, Height int
	// DPI is the stated number of pixels per inch. It defaults to 96.
	DPI int
	// Programs are started on the display if they are installed, each as a program and its arguments. They are restarted
	// when they end. The default is a terminal, a clock and a pair of eyes, so that something moves: of these, what is
	// installed. If none is installed, the display stays empty.
	Programs [][]string
}

// Virtual is an X server of this process. It listens on no network. Only users that can read its authority file may
// connect.
type Virtual struct {
	cfg       VirtualConfig
	log       *slog.Logger
	missing   []string
	dir       string
	cookie    []byte
	number    int
	server    *child.Process
	output    *lineLogger // of the server
	closeOnce sync.Once
}

// StartVirtual starts the server; ctx bounds only the start. The caller must call Run, which fills the display and
// keeps it alive, and Close.
func StartVirtual(ctx context.Context, cfg VirtualConfig, log *slog.Logger) (*Virtual, error) {
	if cfg.Width == 0 && cfg.Height == 0 {
		cfg.Width, cfg.Height = 1280, 720
	}
	if cfg.DPI == 0 {
		cfg.DPI = 96
	}
	if cfg.Width < 16 || cfg.Height < 16 || cfg.Width > 8192 || cfg.Height > 8192 {
		return nil, fmt.Errorf("display: virtual size %dx%d is not from 16x16 to 8192x8192", cfg.Width, cfg.Height)
	}
	if cfg.DPI < 24 || cfg.DPI > 960 {
		return nil, fmt.Errorf("display: virtual resolution %d dpi is not between 24 and 960", cfg.DPI)
	}
	if child.Find("Xvfb") != nil {
		return nil, ErrNoServer
	}
	var missing []string
	for _, args := range cfg.Programs {
		if child.Find(args[0]) != nil {
			missing = append(missing, args[0])
			log.Warn("program for the virtual display is not installed", "program", args[0])
		}
	}
	if cfg.Programs == nil {
		cfg.Programs = defaultPrograms
	}
	v := &Virtual{cfg: cfg, log: log, number: -1, missing: missing}
	if err := v.start(ctx); err != nil {
		_ = v.Close() // its output is not needed
		return nil, err
	}
	return v, nil
}

func (v *Virtual) start(ctx context.Context) (err error) {
	if v.dir, err = os.MkdirTemp("", virtualPrefix); err != nil {
		return fmt.Errorf(
			"display: make a directory for the virtual display: %w: make %s writable, or set TMPDIR", err, os.TempDir(),
		)
	}
	v.cookie = make([]byte, cookieSize)
	_, _ = rand.Read(v.cookie) // never fails, by its contract
	if err := xproto.WriteAuthority(v.Authority(), v.cookie); err != nil {
		return fmt.Errorf("display: write the authority file: %w", err)
	}
	makeSocketDir(defaultSocketDir, v.log)
	return v.startServer(ctx)
}

// makeSocketDir makes the directory of X servers' sockets, which containers lack. A server that is not root does not
// make it.
func makeSocketDir(dir string, log *slog.Logger) {
	err := os.Mkdir(dir, 0o777)
	if err == nil {
		err = os.Chmod(dir, 0o777|fs.ModeSticky) // despite the umask
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		log.Warn("directory of X sockets not made", "dir", dir, "err", err)
	}
}

// Address is the address of the display, such as ":99".
func (v *Virtual) Address() string { return fmt.Sprintf(":%d", v.number) }

// Authority is the path of the file with the cookie (XAUTHORITY).
func (v *Virtual) Authority() string { return filepath.Join(v.dir, "authority") }

// Cookie is the secret that a client must present.
func (v *Virtual) Cookie() []byte { return v.cookie }

// Missing lists the programs of the configuration that are not installed.
func (v *Virtual) Missing() []string { return v.missing }

// Size is the size with which the display starts, in pixels.
func (v *Virtual) Size() (width, height int) { return v.cfg.Width, v.cfg.Height }

// Run keeps the display alive until ctx ends, and returns ctx's error. When the server ends, Run restarts it with the
// same number.
func (v *Virtual) Run(ctx context.Context) error {
	for pause := firstPause; ; {
		began := time.Now()
		v.live(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v.log.Warn("virtual display ended, starting it again", "display", v.Address(), "err", v.server.Err(),
			"output", v.output.tail())
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		for up := false; !up; pause = min(2*pause, longestPause) {
			if !sleep(ctx, pause) {
				return ctx.Err()
			}
			err := v.startServer(ctx)
			if up = err == nil; !up && ctx.Err() == nil {
				v.log.Error("virtual display does not start", "display", v.Address(), "err", err)
			}
		}
	}
}

// live keeps the display filled for one life of the server.
func (v *Virtual) live(ctx context.Context) {
	life, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { v.populate(life) }) // unguarded: it starts goroutines and waits
	select {
	case <-ctx.Done():
	case <-v.server.Done:
	}
	end()
	wg.Wait()
}

// Close ends the server and its programs, and removes its files. It must be called after Run has returned. A second
// Close does nothing.
func (v *Virtual) Close() error {
	v.closeOnce.Do(func() {
		if v.server != nil {
			v.server.Stop()
		}
		if v.dir != "" {
			if err := os.RemoveAll(v.dir); err != nil {
				v.log.Warn("files of the virtual display not removed", "dir", v.dir, "err", err)
			}
		}
	})
	return nil
}

// startServer starts Xvfb, with its previous number if it had one.
func (v *Virtual) startServer(ctx context.Context) error {
	if v.number >= 0 {
		return v.startNumber(ctx, v.number)
	}
	for n := firstNumber; n < firstNumber+numbers; n++ {
		if taken(n) {
			continue
		}
		err := v.startNumber(ctx, n)
		if err != nil && ctx.Err() == nil && taken(n) {
			continue // another server took it first
		}
		return err
	}
	return fmt.Errorf("display: no display number from %d to %d is free", firstNumber, firstNumber+numbers-1)
}

// taken reports whether an X server seems to have that number.
func taken(n int) bool {
	socket := filepath.Join(defaultSocketDir, "X"+strconv.Itoa(n))
	for _, path := range []string{socket, fmt.Sprintf("/tmp/.X%d-lock", n)} {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	return listeners("/proc")["@"+socket]
}

// startNumber starts Xvfb with a display number. Xvfb cannot exceed its first size, so it starts with the largest one
// and shrinks before anything else uses it. A server that does not shrink is replaced by a server that never
// changes its size.
func (v *Virtual) startNumber(ctx context.Context, number int) error {
	largest := image.Pt(max(v.cfg.Width, largestWidth), max(v.cfg.Height, largestHeight))
	if err := v.startSize(ctx, number, largest); err != nil {
		return err
	}
	err := v.fit(ctx)
	if err == nil {
		return nil
	}
	v.server.Stop()
	if ctx.Err() != nil {
		return fmt.Errorf("display: set the size of Xvfb: %w", err)
	}
	v.log.Warn("virtual display cannot change its size", "display", v.Address(), "err", err)
	return v.startSize(ctx, number, image.Pt(v.cfg.Width, v.cfg.Height))
}

// fit gives the screen the display's size.
func (v *Virtual) fit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fitTime)
	defer cancel()
	c, err := xproto.Dial(ctx, v.Address(), []string{v.Authority()})
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Wake)()
	return c.Resize(ctx, c.Screen.Root, image.Pt(v.cfg.Width, v.cfg.Height), float64(v.cfg.DPI))
}

// startSize starts Xvfb with a display number and a screen size.
func (v *Virtual) startSize(ctx context.Context, number int, size image.Point) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("display: make a pipe: %w", err)
	}
	defer r.Close()
	args := []string{fmt.Sprintf(":%d", number)}
	args = append(args, "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", size.X, size.Y),
		"-dpi", strconv.Itoa(v.cfg.DPI), "-nolisten", "tcp", "-noreset", "-auth", v.Authority())
	output := &lineLogger{log: v.log.With("program", "Xvfb")}
	server, err := child.Start(child.Command{ // it outlives ctx: Close ends it
		Program: "Xvfb",
		Args:    args,
		Files:   []*os.File{w},
		Stdout:  output,
		Stderr:  output,
		Limits:  child.Limits{Memory: serverMemory, Files: maxFiles},
	})
	w.Close()
	if err != nil {
		return fmt.Errorf("display: start Xvfb: %w", err)
	}
	_ = r.SetReadDeadline(time.Now().Add(startTime))
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })
	defer stop()
	line, err := bufio.NewReader(io.LimitReader(r, 16)).ReadString('\n')
	if line = strings.TrimSpace(line); err == nil && line != strconv.Itoa(number) {
		err = fmt.Errorf("it has display %q instead of %d", line, number)
	}
	if err != nil {
		server.Stop()
		return fmt.Errorf("display: Xvfb does not start: %w (it printed %q)", errors.Join(err, ctx.Err()), output.tail())
	}
	v.number, v.server, v.output = number, server, output
	v.log.Info("virtual display started", "display", v.Address(), "width", v.cfg.Width, "height", v.cfg.Height,
		"pid", server.ID())
	return nil
}
