package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"wavryhost/capture"
	capturekms "wavryhost/capture/kms"
	"wavryhost/platform/display"
	"wavryhost/platform/kms"
	"wavryhost/platform/service"
)

// cardNodes is the pattern of the nodes of graphics cards.
const cardNodes = "/dev/dri/card*"

// errNoHelper says how to switch the backend on.
var errNoHelper = errors.New("to capture the screen of a graphics card, whatever runs on it, switch its helper on: " +
	"sudo systemctl enable --now wavry-host-kms.socket")

// probeKMS asks the helper for the outputs of graphics cards.
func probeKMS(ctx context.Context, socket string, _ []string) ([]display.Screen, error) {
	list, err := kms.Outputs(ctx, socket)
	return screensOfCards(list), helperAbsent(err)
}

// watchKMS reports the outputs of graphics cards, again after each change.
func watchKMS(ctx context.Context, socket string, _ []string, report func([]display.Screen)) error {
	return helperAbsent(kms.Watch(ctx, socket, func(list []kms.Output) { report(screensOfCards(list)) }))
}

// helperAbsent says what to do about a helper that does not run.
func helperAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return errNoHelper
	}
	return err
}

func screensOfCards(list []kms.Output) (all []display.Screen) {
	for _, o := range list {
		all = append(all, display.Screen{Why: o.Why, Monitors: []display.Monitor{
			{Name: o.ID, Width: o.Width, Height: o.Height},
		}})
	}
	return all
}

// kmsHelperCmd is the helper for graphics cards. systemd starts it, with the capability that it needs.
type kmsHelperCmd struct {
	Socket string `placeholder:"PATH" help:"Socket to listen on. Default: the socket that systemd passes."`
	User   string `placeholder:"NAME" default:"wavry-host" help:"User who may connect, besides root. Default: ${default}."`
	Check  bool   `help:"Capture a picture of each output instead, and print what is read. Requires root."`
}

// Run is called by kong.
func (c *kmsHelperCmd) Run(ctx context.Context, a *app) error {
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	if c.Check {
		return checkCards(ctx, a, kms.HelperConfig{}, log)
	}
	u, err := user.Lookup(c.User)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("user %s: %w", c.User, err)
	}
	var ln net.Listener
	if c.Socket != "" {
		ln, err = listenForDaemon(ctx, c.Socket, uid)
	} else {
		ln, err = service.Listener()
	}
	if err != nil {
		return err
	}
	service.NewNotifier(log).Ready()
	return kms.NewHelper(kms.HelperConfig{Allow: only(uid)}, log).Run(ctx, ln)
}

// only returns the function that admits one user, and root.
func only(uid int) func(net.Conn) error {
	return func(c net.Conn) error {
		peer, err := peerUID(c)
		if err == nil && peer != uid && peer != 0 {
			err = fmt.Errorf("user %d may not see the screen: the helper is for user %d (--user)", peer, uid)
		}
		return err
	}
}

// listenForDaemon makes a socket for one user.
func listenForDaemon(ctx context.Context, path string, uid int) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	ln, err := listenUnix(ctx, "unixpacket", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(path, uid, -1); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// checkCards captures a picture of each output by a helper in this process.
func checkCards(ctx context.Context, a *app, cfg kms.HelperConfig, log *slog.Logger) error {
	dir, err := os.MkdirTemp("", "wavry-host-kms")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	socket := filepath.Join(dir, "socket")
	ln, err := listenForDaemon(ctx, socket, os.Getuid())
	if err != nil {
		return err
	}
	cfg.Allow = only(os.Getuid())
	serving, stop := context.WithCancel(ctx)
	var helper sync.WaitGroup
	defer helper.Wait()
	defer stop()
	helper.Go(func() {
		if err := kms.NewHelper(cfg, log).Run(serving, ln); err != nil {
			log.Error("helper failed", "err", err)
		}
	})
	list, err := kms.Outputs(ctx, socket)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("no graphics card has a monitor (looked for " + cardNodes + ")")
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	say(w, "OUTPUT\tDRIVER\tSIZE\tPICTURE\n")
	for _, o := range list {
		result := "no: " + o.Why
		if o.Why == "" {
			result = tryOutput(ctx, socket, o.ID, log)
		}
		say(w, "%s\t%s\t%dx%d\t%s\n", o.ID, o.Driver, o.Width, o.Height, result)
	}
	return w.Flush()
}

// tryOutput captures a picture, and returns the result for people.
func tryOutput(ctx context.Context, socket, output string, log *slog.Logger) string {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := capturekms.New(limited, capturekms.Config{Socket: socket, Output: output}, log)
	if err != nil {
		return "no: " + err.Error()
	}
	defer func() { _ = s.Close() }()
	var f *capture.Frame
	for range 2 { // the first one has page faults
		if f != nil {
			f.Release()
		}
		s.Refresh()
		if f, err = s.Next(limited); err != nil {
			return "no: " + err.Error()
		}
	}
	defer f.Release()
	return fmt.Sprintf("%dx%d, read in %v", f.Width, f.Height, f.Took.Round(time.Microsecond))
}
