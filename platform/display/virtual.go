package display

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrNoServer means that there is no Xvfb to make a virtual display with.
var ErrNoServer = errors.New("display: Xvfb is not installed; install it (apt-get install xvfb) or use --display synthetic")

const (
	startTime = 10 * time.Second
	stopTime  = 2 * time.Second
	// The pauses between restarts, from the first to the longest.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
)

// VirtualConfig of a Virtual.
type VirtualConfig struct {
	// Width and Height are in pixels. They default to 1280x720.
	Width, Height int
	// Programs are started on the display, those that are installed, as command lines without quoting. They default to
	// a terminal, a clock and a pair of eyes, so that something is alive on it.
	Programs [][]string
}

// defaultPrograms make a picture that moves a little all by itself.
var defaultPrograms = [][]string{
	{"xsetroot", "-solid", "#274b6d"},
	{
		"xterm", "-geometry", "92x28+40+40", "-fa", "DejaVu Sans Mono", "-fs", "11", "-bg", "#0e1a24", "-fg", "#d7e3ee", "-T", "wavry-host", "-e", "sh", "-c",
		"if command -v top >/dev/null; then top -d 1; fi; while :; do date; sleep 1; done",
	},
	{"xclock", "-update", "1", "-geometry", "220x220-40+40", "-bg", "#d7e3ee"},
	{"xeyes", "-geometry", "220x150-40-40"},
}

// Virtual is an X server of the daemon's own. It listens on no network, and only who can read its authority file may
// connect to it.
type Virtual struct {
	cfg       VirtualConfig
	log       *slog.Logger
	dir       string
	number    int
	server    *child
	closeOnce sync.Once
}

// StartVirtual starts the server and the programs. The caller must call Run to keep it alive, and Close.
func StartVirtual(ctx context.Context, cfg VirtualConfig, log *slog.Logger) (v *Virtual, err error) {
	if cfg.Width == 0 && cfg.Height == 0 {
		cfg.Width, cfg.Height = 1280, 720
	}
	if cfg.Width < 16 || cfg.Height < 16 || cfg.Width > 8192 || cfg.Height > 8192 {
		return nil, fmt.Errorf("display: virtual size %dx%d is not from 16x16 to 8192x8192", cfg.Width, cfg.Height)
	}
	if cfg.Programs == nil {
		cfg.Programs = defaultPrograms
	}
	if _, err := exec.LookPath("Xvfb"); err != nil {
		return nil, ErrNoServer
	}
	v = &Virtual{cfg: cfg, log: log, number: -1}
	defer func() {
		if err != nil {
			_ = v.Close()
		}
	}()
	if v.dir, err = os.MkdirTemp("", "wavry-host-display-"); err != nil {
		return nil, fmt.Errorf("display: make a directory for the virtual display: %w", err)
	}
	if err := v.writeAuthority(); err != nil {
		return nil, err
	}
	if err := v.startServer(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// Address is the display's, ":99".
func (v *Virtual) Address() string { return fmt.Sprintf(":%d", v.number) }

// Authority is the path of the file with the cookie (XAUTHORITY).
func (v *Virtual) Authority() string { return filepath.Join(v.dir, "authority") }

// Run keeps the server alive: when it ends, it is started again with the same number, until ctx ends.
func (v *Virtual) Run(ctx context.Context) error {
	programs := v.startPrograms(ctx)
	pause := firstPause
	for {
		began := time.Now()
		select {
		case <-ctx.Done():
			stopAll(programs)
			return ctx.Err()
		case <-v.server.done:
		}
		stopAll(programs)
		v.log.Warn("virtual display ended, starting it again", "display", v.Address(), "err", v.server.err, "pause", pause)
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
			pause = min(2*pause, longestPause)
			if err := v.startServer(ctx); err == nil {
				break
			} else if ctx.Err() == nil {
				v.log.Error("virtual display does not start", "display", v.Address(), "err", err)
			}
		}
		programs = v.startPrograms(ctx)
	}
}

// Close ends the server and all on it, and removes its files. It is called after Run has returned. A second Close does nothing.
func (v *Virtual) Close() error {
	v.closeOnce.Do(func() {
		if v.server != nil {
			v.server.stop()
		}
		if v.dir != "" {
			if err := os.RemoveAll(v.dir); err != nil {
				v.log.Warn("files of the virtual display not removed", "dir", v.dir, "err", err)
			}
		}
	})
	return nil
}

// writeAuthority writes an Xauthority file with one random cookie, for any host and any display: the server reads the
// cookie alone, and clients find it whatever number the server chooses.
func (v *Virtual) writeAuthority() error {
	const familyWild, protocol = 0xffff, "MIT-MAGIC-COOKIE-1"
	cookie := make([]byte, 16)
	if _, err := rand.Read(cookie); err != nil {
		return fmt.Errorf("display: make a cookie: %w", err)
	}
	var b bytes.Buffer
	field := func(data []byte) {
		_ = binary.Write(&b, binary.BigEndian, uint16(len(data)))
		b.Write(data)
	}
	_ = binary.Write(&b, binary.BigEndian, uint16(familyWild))
	field(nil)
	field(nil)
	field([]byte(protocol))
	field(cookie)
	if err := os.WriteFile(v.Authority(), b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("display: write the authority file: %w", err)
	}
	return nil
}

// startServer starts Xvfb, with the number it had before if it had one.
func (v *Virtual) startServer(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("display: make a pipe: %w", err)
	}
	defer r.Close()
	var args []string
	if v.number >= 0 {
		args = append(args, v.Address())
	}
	args = append(args, "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", v.cfg.Width, v.cfg.Height),
		"-nolisten", "tcp", "-noreset", "-auth", v.Authority())
	cmd := exec.Command("Xvfb", args...) //nolint:noctx // it outlives ctx: Close ends it
	cmd.ExtraFiles = []*os.File{w}
	server, err := startChild(cmd, v.log.With("program", "Xvfb"))
	w.Close()
	if err != nil {
		return fmt.Errorf("display: start Xvfb: %w", err)
	}
	_ = r.SetReadDeadline(time.Now().Add(startTime))
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })
	defer stop()
	line, err := bufio.NewReader(io.LimitReader(r, 16)).ReadString('\n')
	number, parseErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || parseErr != nil {
		server.stop()
		return fmt.Errorf("display: Xvfb does not come up: %w", errors.Join(err, ctx.Err()))
	}
	v.number, v.server = number, server
	v.log.Info("virtual display started", "display", v.Address(), "width", v.cfg.Width, "height", v.cfg.Height, "pid", cmd.Process.Pid)
	return nil
}

// startPrograms starts what is installed of the programs.
func (v *Virtual) startPrograms(ctx context.Context) []*child {
	var list []*child
	for _, args := range v.cfg.Programs {
		if _, err := exec.LookPath(args[0]); err != nil {
			v.log.Info("program for the virtual display is not installed", "program", args[0])
			continue
		}
		cmd := exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "DISPLAY="+v.Address(), "XAUTHORITY="+v.Authority())
		c, err := startChild(cmd, v.log.With("program", args[0]))
		if err != nil {
			v.log.Warn("program for the virtual display does not start", "program", args[0], "err", err)
			continue
		}
		list = append(list, c)
	}
	return list
}

func stopAll(list []*child) {
	for _, c := range list {
		c.stop()
	}
}

// child is a process with a group of its own, and the goroutine that reaps it.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

func startChild(cmd *exec.Cmd, log *slog.Logger) (*child, error) {
	setGroup(cmd)
	lines := &lineLogger{log: log}
	cmd.Stdout, cmd.Stderr = lines, lines
	cmd.WaitDelay = stopTime // a grandchild may hold the output open
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// stop ends the process and its group, politely at first, and waits for it.
func (c *child) stop() {
	terminate(c.cmd)
	select {
	case <-c.done:
	case <-time.After(stopTime):
	}
	kill(c.cmd)
	<-c.done
}

// lineLogger logs what a child prints, a line a record.
type lineLogger struct {
	log  *slog.Logger
	rest []byte
}

func (l *lineLogger) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			break
		}
		if line := strings.TrimSpace(string(l.rest[:i])); line != "" {
			l.log.Debug("program printed", "line", line)
		}
		l.rest = l.rest[i+1:]
	}
	if len(l.rest) > 4096 { // a line that never ends
		l.rest = nil
	}
	return len(p), nil
}
