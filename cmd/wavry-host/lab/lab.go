package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"wavryhost/adapt/chart"
	"wavryhost/platform/child"
	"wavryhost/session/api/client"
)

var (
	errInterrupted  = errors.New("lab: interrupted; its networks and programs are gone, and there is no report")
	errNotPermitted = errors.New("network namespaces need root: run the command with sudo, or where users may have " +
		"namespaces, with unshare --user --map-root-user in front")
)

const (
	// pictureTime is the time within which the first picture must be shown.
	pictureTime = time.Minute
	// seed decides about losses and delays, so that two runs meet the same network.
	seed = 1
	// prefix is the length of the prefix of a place's own network. With sameNetwork, all places are in one.
	prefix, sameNetwork = 24, 16
)

// addresses of the places.
var (
	hostAddress   = netip.AddrFrom4([4]byte{10, 213, 1, 1})
	relayAddress  = netip.AddrFrom4([4]byte{10, 213, 2, 1})
	viewerAddress = netip.AddrFrom4([4]byte{10, 213, 3, 1})
)

// Config says what to run.
type Config struct {
	Profiles []Profile
	// For is how long the viewer watches, from the first picture.
	For time.Duration
	// Display is the display to show, as in the setting displays.default, FPS its highest frame rate, and Size the size
	// of a test pattern or virtual display, such as 960x540.
	Display string
	FPS     int
	Size    string
	// Relay makes media pass a relay: host and viewer cannot exchange UDP.
	Relay bool
	// HostConfig is a configuration file for the daemon; empty for the defaults.
	HostConfig string
	// Out is the folder for the report, the logs and the recordings.
	Out string
	// Version is the version of the program, for the report.
	Version string
}

// Run is one run with a profile.
type Run struct {
	Profile     Profile             `json:"profile"`
	Relay       bool                `json:"relay"`
	Problem     string              `json:"problem,omitempty"`
	Accuracy    Accuracy            `json:"link"`
	Figures     Figures             `json:"figures"`
	Goals       []Goal              `json:"goals"`
	Verdict     Verdict             `json:"verdict"`
	Samples     []Sample            `json:"samples"`
	Transitions []client.Transition `json:"transitions"`
	Pictures    []Picture           `json:"-"`
}

// Picture is a picture of the viewer page.
type Picture struct {
	AtSeconds float64
	JPEG      []byte
}

// Check returns an error that names what is missing on this machine, and how to install it.
func Check(cfg Config) error {
	var missing []string
	if findBrowser() == "" {
		missing = append(missing, "chromium")
	}
	if cfg.Relay && child.Find("turnserver") != nil {
		missing = append(missing, "coturn")
	}
	if len(missing) > 0 {
		return fmt.Errorf("lab: not installed: %s; on Debian: apt-get install %s", strings.Join(missing, ", "),
			strings.Join(missing, " "))
	}
	return nil
}

// Do runs the profiles one after the other, and returns the report. It prints its progress to progress.
func Do(ctx context.Context, cfg Config, progress io.Writer) (*Report, error) {
	if err := Check(cfg); err != nil {
		return nil, err
	}
	if err := child.Adopt(); err != nil {
		return nil, fmt.Errorf("lab: adopt orphans: %w", err)
	}
	// What the browser left behind would keep the namespaces.
	defer child.EndDescendants()
	r := newReport(cfg)
	for _, p := range cfg.Profiles {
		_, _ = fmt.Fprintf(progress, "%s: %s\n", p.Name, p.About)
		run, err := do(ctx, cfg, p, progress)
		switch {
		case ctx.Err() != nil:
			return nil, errInterrupted
		case err != nil:
			return nil, fmt.Errorf("profile %s: %w", p.Name, err)
		}
		r.Runs = append(r.Runs, run)
	}
	return r, nil
}

// setup is what a run is made of. close ends all of it.
type setup struct {
	host, viewer, relay *place
	wire                *wire
	daemon              *host
	browser             *browser
	closers             []func()
}

func (s *setup) later(f func()) { s.closers = append(s.closers, f) }

// close undoes everything, the newest first.
func (s *setup) close() {
	for _, f := range slices.Backward(s.closers) {
		f()
	}
}

// place makes a place that ends with the setup.
func (s *setup) place(name string, address netip.Addr, bits int) (*place, error) {
	p, err := newPlace(name, address, bits)
	if err == nil {
		s.later(p.close)
	}
	return p, err
}

// do runs one profile.
func do(ctx context.Context, cfg Config, p Profile, progress io.Writer) (run Run, err error) {
	var s setup
	defer s.close()
	run = Run{Profile: p, Relay: cfg.Relay}
	out := filepath.Join(cfg.Out, p.Name)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return run, err
	}
	if err := s.connect(ctx, cfg, p); err != nil {
		return run, err
	}
	near := s.host
	if s.relay != nil {
		near = s.relay
	}
	if run.Accuracy, err = prove(ctx, near, s.viewer, s.wire.toViewer, p); err != nil {
		return run, err
	}
	_, _ = fmt.Fprintf(progress, "  link: round trip %s of %s, %s of %s\n", showSeconds(run.Accuracy.RoundTripSeconds),
		showSeconds(run.Accuracy.ExpectedRoundTripSeconds), showBitrate(run.Accuracy.Bitrate),
		showBitrate(run.Accuracy.ExpectedBitrate))
	if err := s.start(ctx, cfg, out); err != nil {
		return run, err
	}
	if err := s.watch(ctx, cfg, &run, progress); err != nil {
		return run, err
	}
	run.judge()
	_, _ = fmt.Fprintf(progress, "  %s\n", run.summary())
	return run, nil
}

// connect makes the network, whose links begin.
func (s *setup) connect(ctx context.Context, cfg Config, p Profile) (err error) {
	bits := prefix
	if p.SameNetwork {
		bits = sameNetwork
	}
	if s.host, err = s.place("host", hostAddress, bits); err != nil {
		return err
	}
	if s.viewer, err = s.place("viewer", viewerAddress, bits); err != nil {
		return err
	}
	var third *end
	if cfg.Relay {
		if s.relay, err = s.place("relay", relayAddress, bits); err != nil {
			return err
		}
		third = &end{s.relay.address, s.relay.device}
	}
	s.wire = newWire(&end{s.host.address, s.host.device}, &end{s.viewer.address, s.viewer.device}, third)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { _ = s.wire.run(ctx) }) // without it nothing arrives, and the run says so
	s.later(func() {
		cancel()
		for _, p := range []*place{s.host, s.viewer, s.relay} {
			if p != nil {
				_ = p.device.Close() // ends the reading
			}
		}
		running.Wait()
	})
	return s.begin(ctx, p)
}

// begin lets the links begin anew.
func (s *setup) begin(ctx context.Context, p Profile) error {
	return errors.Join(s.wire.toViewer.begin(ctx, p.ToViewer, seed), s.wire.toHost.begin(ctx, p.ToHost, seed+1))
}

// start starts the programs. Their logs go to out.
func (s *setup) start(ctx context.Context, cfg Config, out string) error {
	dir, err := os.MkdirTemp("", "wavry-lab-")
	if err != nil {
		return fmt.Errorf("lab: make a folder: %w", err)
	}
	s.later(func() { _ = os.RemoveAll(dir) })
	s.later(func() { child.EndDescendants() }) // they write to the folder
	log := func(name string) (*os.File, error) {
		f, err := os.Create(filepath.Join(out, name+".log"))
		if err == nil {
			s.later(func() { _ = f.Close() })
		}
		return f, err
	}
	o := hostOptions{config: cfg.HostConfig, display: cfg.Display, fps: cfg.FPS, size: cfg.Size}
	if o.program, err = child.Self(); err != nil {
		return err
	}
	if cfg.Relay {
		f, err := log("relay")
		if err != nil {
			return err
		}
		if o.relay, err = startRelay(ctx, s.relay, dir, f); err != nil {
			return err
		}
		s.later(o.relay.process.Stop)
	}
	f, err := log("host")
	if err != nil {
		return err
	}
	if s.daemon, err = startHost(ctx, s.host, dir, f, o); err != nil {
		return err
	}
	s.later(s.daemon.close)
	if f, err = log("chromium"); err != nil {
		return err
	}
	if s.browser, err = startBrowser(ctx, s.viewer, filepath.Join(dir, "chromium"), f); err != nil {
		return err
	}
	s.later(s.browser.close)
	return nil
}

// watch opens the page and watches until the time is over.
func (s *setup) watch(ctx context.Context, cfg Config, run *Run, progress io.Writer) error {
	p := run.Profile
	if err := s.begin(ctx, p); err != nil {
		return err
	}
	s.wire.toViewer.longestWait() // what was before does not count
	begun, m := time.Now(), meter{setup: s, run: run}
	if err := s.browser.open(s.daemon.page()); err != nil {
		return err
	}
	tick := time.NewTicker(chart.Grain)
	defer tick.Stop()
	half := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := m.sample(ctx, time.Since(begun)); err != nil {
			return err
		}
		watched := time.Duration(0)
		if m.seen.First > 0 {
			watched = time.Duration((m.seen.Now - m.seen.First) * float64(time.Millisecond))
		}
		switch {
		case watched >= cfg.For, m.seen.First == 0 && time.Since(begun) >= pictureTime:
			if m.seen.First == 0 {
				run.Problem = fmt.Sprintf("no picture within %v; the logs are in %s", pictureTime,
					filepath.Join(cfg.Out, p.Name))
			}
			m.picture(ctx, time.Since(begun), progress)
			run.Figures = summarize(run.Samples, m.seen)
			m.finish(ctx, &run.Figures, filepath.Join(cfg.Out, p.Name))
			return ctx.Err()
		case watched >= cfg.For/2 && !half:
			half = true
			m.picture(ctx, time.Since(begun), progress)
		}
	}
}
