package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/fleet/bus"
	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats.go"
)

// fleetCmd is "wavry-host fleet".
type fleetCmd struct {
	ID    fleetIDCmd    `cmd:"" name:"id" help:"Print the identity of this host, for the NATS servers."`
	Hosts fleetHostsCmd `cmd:"" help:"List the hosts of the fleet."`

	Find    fleetFindCmd    `cmd:"" help:"Ask which hosts have room for a session, best first."`
	Cordon  fleetCordonCmd  `cmd:"" help:"Make hosts refuse new sessions, and leave the others alone."`
	Drain   fleetDrainCmd   `cmd:"" help:"Make hosts refuse new sessions, and move or end the others."`
	Orders  fleetOrdersCmd  `cmd:"" help:"List the standing orders, which also reach hosts that were off."`
	Exec    fleetExecCmd    `cmd:"" help:"Send a request of the control API to hosts."`
	Targets fleetTargetsCmd `cmd:"" help:"Write the hosts for Prometheus (file_sd)."`
	Watch   fleetWatchCmd   `cmd:"" help:"Follow the hosts of the fleet, or their events."`
	Serve   fleetServeCmd   `cmd:"" help:"Serve a page of the fleet, on this machine."`
	Setup   fleetSetupCmd   `cmd:"" help:"Make the streams of the fleet, or change them."`
}

// fleetFlags say how to reach the fleet.
type fleetFlags struct {
	Servers     string `name:"servers" required:"" env:"WAVRY_FLEET_SERVERS" placeholder:"URL" help:"NATS servers, such as nats://nats.example.net:4222. Variable: WAVRY_FLEET_SERVERS."`                    //nolint:lll // a struct tag is one line
	Credentials string `env:"WAVRY_FLEET_CREDENTIALS" placeholder:"FILE" help:"File with credentials at NATS, as nsc writes them, or with the seed of a user key. Variable: WAVRY_FLEET_CREDENTIALS."`       //nolint:lll // a struct tag is one line
	CAFile      string `name:"ca-file" env:"WAVRY_FLEET_CA_FILE" placeholder:"FILE" help:"PEM file of the authorities for the servers' certificates. Default: the system's. Variable: WAVRY_FLEET_CA_FILE."` //nolint:lll // a struct tag is one line
	As          string `env:"WAVRY_FLEET_AS" placeholder:"NAME" help:"Your name in subjects and audit logs. Default: the name of your user. Variable: WAVRY_FLEET_AS."`                                      //nolint:lll // a struct tag is one line
	Insecure    bool   `help:"Allow connections without TLS to other machines. For development."`
}

// fleetConnectTimeout bounds the wait for the first connection.
const fleetConnectTimeout = 5 * time.Second

// connect returns a connection to the fleet.
func (f fleetFlags) connect(ctx context.Context) (*nats.Conn, error) {
	b := bus.Config{URL: f.Servers, Insecure: f.Insecure, Name: "wavry-host fleet " + f.As}
	if f.CAFile != "" {
		data, err := config.ReadFile(f.CAFile)
		if err != nil {
			return nil, &coded{exitUsage, fmt.Errorf("--ca-file: %s: %s", f.CAFile, config.Reason(err))}
		}
		b.RootCAs = x509.NewCertPool()
		if !b.RootCAs.AppendCertsFromPEM(data) {
			return nil, &coded{exitUsage, fmt.Errorf("--ca-file: %s holds no certificate in PEM form", f.CAFile)}
		}
	}
	if err := f.login(&b); err != nil {
		return nil, err
	}
	if who, err := f.caller(); err == nil {
		b.Inbox = "_INBOX_" + who.Name
	}
	failed := make(chan error, 1)
	ready := make(chan struct{}, 1)
	nc, err := b.Connect(
		nats.ConnectHandler(func(*nats.Conn) { ready <- struct{}{} }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			select {
			case failed <- err:
			default:
			}
		}),
	)
	if err != nil {
		return nil, &coded{exitUsage, err}
	}
	limit := time.NewTimer(fleetConnectTimeout)
	defer limit.Stop()
	select {
	case <-ready:
		return nc, nil
	case err = <-failed:
	case <-limit.C:
		err = errors.New("no answer")
	case <-ctx.Done():
		err = ctx.Err()
	}
	nc.Close()
	return nil, &coded{exitUnreachable, fmt.Errorf("%s: %w", f.Servers, err)}
}

// login sets the credentials. A file with a bare seed is a user key.
func (f fleetFlags) login(b *bus.Config) error {
	if f.Credentials == "" {
		return nil
	}
	data, err := os.ReadFile(f.Credentials)
	if err != nil {
		return &coded{exitUsage, fmt.Errorf("--credentials: %s: %s", f.Credentials, config.Reason(err))}
	}
	if !strings.HasPrefix(string(data), "SU") {
		b.CredentialsFile = f.Credentials
		return nil
	}
	if b.Identity, err = bus.ParseIdentity(data); err != nil {
		return &coded{exitUsage, fmt.Errorf("--credentials: %s: %w", f.Credentials, err)}
	}
	return nil
}

var notName = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// caller returns the name and the role of the user.
func (f fleetFlags) caller() (bus.Caller, error) {
	name := f.As
	if name == "" {
		u, err := user.Current()
		if err != nil {
			return bus.Caller{}, &coded{exitUsage, errors.New("--as: the user has no name; set one")}
		}
		name = notName.ReplaceAllString(u.Username, "_")
	}
	c := bus.Caller{Role: "operator", Name: name}
	if err := c.Validate(); err != nil {
		return c, &coded{exitUsage, fmt.Errorf("--as: %w", err)}
	}
	return c, nil
}

// fleetIDCmd is "wavry-host fleet id".
type fleetIDCmd struct {
	Settings settingFlags `embed:""`
}

// Run is called by kong.
func (c *fleetIDCmd) Run(a *app) error {
	l, err := c.Settings.load(a)
	if err != nil {
		return err
	}
	path, err := fleetKeyPath(&l.Config, a.env)
	if err != nil {
		return err
	}
	id, err := fleetIdentity(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "id:   %s\nnkey: %s\nfile: %s\n", id.ID(), id.Public(), path)
	return err
}

// fleetHostsCmd is "wavry-host fleet hosts".
type fleetHostsCmd struct {
	Fleet  fleetFlags    `embed:""`
	Select string        `placeholder:"LABELS" help:"Only hosts with these labels, such as pool=cad,region=eu."`
	Wait   time.Duration `default:"1s" placeholder:"DURATION" help:"Time for hosts to answer. Default: ${default}."`
	JSON   bool          `name:"json" help:"Print JSON."`
}

// Run is called by kong.
func (c *fleetHostsCmd) Run(ctx context.Context, a *app) error {
	selector, err := bus.ParseSelector(c.Select)
	if err != nil {
		return &coded{exitUsage, fmt.Errorf("--select: %w", err)}
	}
	nc, err := c.Fleet.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	list, err := present(ctx, nc, c.Wait)
	if err != nil {
		return err
	}
	chosen := []pool.Host{}
	for _, h := range list {
		if selector.Matches(h.Record) {
			chosen = append(chosen, h)
		}
	}
	if c.JSON {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"hosts": chosen})
	}
	return writeHosts(a.stdout, chosen)
}

// present returns the hosts that answer within a time.
func present(ctx context.Context, nc *nats.Conn, wait time.Duration) ([]pool.Host, error) {
	inner, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	v := pool.NewView(nc, pool.Options{})
	if err := v.Run(inner); err != nil {
		return nil, err
	}
	return v.Hosts(), ctx.Err()
}

// writeHosts writes a table of hosts.
func writeHosts(out io.Writer, list []pool.Host) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	say(w, "ID\tNAME\tPOOL\tREGION\tPRESENCE\tSTATE\tREASON\tSESSIONS\tROOM\tCLOCK\tVERSION\n")
	for _, h := range list {
		presence := h.Presence
		if h.Duplicate {
			presence += ", twice"
		}
		say(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d of %d\t%s\t%+.1f s\t%s\n", h.ID, h.Name, h.Labels[bus.LabelPool],
			h.Labels[bus.LabelRegion], presence, h.State, h.Reason, h.Sessions, h.Limit, room(h.Capacity), h.ClockOffset,
			h.Version)
	}
	return w.Flush()
}

// room describes the room for sessions: at the first profile.
func room(list []bus.Capacity) string {
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("%d × %s", list[0].More, list[0].Profile)
}

// client returns a client of the hosts, and its connection, which the caller closes.
func (f fleetFlags) client(ctx context.Context) (*pool.Client, *nats.Conn, error) {
	who, err := f.caller()
	if err != nil {
		return nil, nil, err
	}
	nc, err := f.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := pool.NewClient(nc, who)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return c, nc, nil
}
