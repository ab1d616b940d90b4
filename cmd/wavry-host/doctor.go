package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"wavryhost/capture/darwin"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/cmd/wavry-host/doctor"
	"wavryhost/encode"
	"wavryhost/platform/desktop"
	"wavryhost/platform/service"
	"wavryhost/session/relay"
)

// examinationTime bounds a run of the doctor.
const examinationTime = 2500 * time.Millisecond

// reportVersion is the version of the form of the doctor's report. New fields do not change it.
const reportVersion = 1

// doctorCmd is "wavry-host doctor".
type doctorCmd struct {
	JSON     bool         `name:"json" help:"Print JSON."`
	Problems bool         `help:"Show only warnings and failures."`
	Socket   string       `placeholder:"PATH" help:"Socket of the daemon. Default: your own daemon's, else the service's."`
	Settings settingFlags `embed:""`
}

// report is the doctor's report.
type report struct {
	Version int                   `json:"version"`
	Time    time.Time             `json:"time"`
	Host    string                `json:"host"`
	Program build                 `json:"program"`
	Seconds float64               `json:"seconds"`
	Summary map[doctor.Status]int `json:"summary"`
	Checks  []doctor.Result       `json:"checks"`
}

// Run is called by kong.
func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	r := examine(ctx, a, c.Settings, c.Socket)
	if c.Problems {
		r.Checks = slices.DeleteFunc(r.Checks, func(one doctor.Result) bool {
			return one.Status == doctor.OK || one.Status == doctor.Skipped
		})
	}
	if err := r.print(a.stdout, c.JSON); err != nil {
		return err
	}
	if r.Summary[doctor.Failed] > 0 {
		return &coded{code: exitUnwell}
	}
	return nil
}

// examine checks this host and its daemon.
func examine(ctx context.Context, a *app, settings settingFlags, socket string) *report {
	r := &report{Version: reportVersion, Time: time.Now().UTC(), Program: thisBuild()}
	r.Host, _ = os.Hostname() // an unknown name stays empty
	e := newExamination(a, settings, socket)
	r.Checks = doctor.Run(ctx, e.checks(), examinationTime)
	r.Seconds = time.Since(r.Time).Seconds()
	r.Summary = map[doctor.Status]int{doctor.OK: 0, doctor.Skipped: 0, doctor.Warning: 0, doctor.Failed: 0}
	for _, one := range r.Checks {
		r.Summary[one.Status]++
	}
	return r
}

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(w, r)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, one := range r.Checks {
		say(table, "%s\t%s\t%s\n", one.Status, one.ID, strings.ReplaceAll(one.Evidence, "\n", "; "))
		if one.Fix != "" {
			say(table, "\t\tfix: %s\n", one.Fix)
		}
	}
	say(table, "\n")
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d ok, %d skipped, %s, %d failed in %.1f s\n", r.Summary[doctor.OK],
		r.Summary[doctor.Skipped], counted(r.Summary[doctor.Warning], "warning"), r.Summary[doctor.Failed], r.Seconds)
	return err
}

// examination has what the checks look at. Tests replace its functions.
type examination struct {
	app     *app
	loaded  *loaded // nil if the configuration is refused
	refusal error
	machine doctor.Machine
	// daemon asks the running daemon for its state.
	daemon   func(ctx context.Context) (hostStatus, error)
	unit     func(ctx context.Context) (service.Status, error)
	displays func(ctx context.Context) []candidate
	// recording returns why macOS lets this process record no screen, or nil.
	recording func() error
	desktop   func(ctx context.Context) ([]desktop.Status, error)
	encoders  func(ctx context.Context) ([]encode.Candidate, error)
	relays    func(ctx context.Context, servers []relay.Server) []relay.ServerStatus
}

func newExamination(a *app, settings settingFlags, socket string) *examination {
	e := &examination{app: a}
	e.loaded, e.refusal = settings.load(a)
	e.daemon = func(ctx context.Context) (h hostStatus, err error) {
		c, err := clientFlags{Socket: socket}.connect(a)
		if err == nil {
			err = c.call(ctx, "GET", "/v1/host", nil, &h, nil)
		}
		return h, err
	}
	e.unit = func(ctx context.Context) (service.Status, error) {
		m, err := serviceFlags{Init: "auto"}.manager(a)
		if err != nil {
			return service.Status{}, err
		}
		return m.Status(ctx)
	}
	e.displays = func(ctx context.Context) []candidate { return look(ctx, a, &e.loaded.Config) }
	e.desktop = func(ctx context.Context) ([]desktop.Status, error) {
		return desktopFlags{}.find(a, func(path string) ([]desktop.Status, error) { return desktop.Ask(ctx, path) })
	}
	e.encoders = func(ctx context.Context) ([]encode.Candidate, error) { return prove(ctx, &e.loaded.Config, nil) }
	e.relays, e.recording = relay.Check, darwin.Permission
	e.machine = doctor.This(daemonProcess(a, socket), runtime.NumCPU())
	return e
}

// daemonProcess returns the process of the daemon that the doctor asks, which listens on its socket. It is 0 if no
// daemon answers, or the system does not say.
func daemonProcess(a *app, socket string) int {
	c, _, err := clientFlags{Socket: socket}.dial(a)
	if err != nil {
		return 0
	}
	defer c.Close()
	pid, err := peerPID(c)
	if err != nil {
		return 0
	}
	return pid
}

// checks lists all checks in the order of the report.
func (e *examination) checks() []doctor.Check {
	all := []doctor.Check{{ID: "settings.valid", Title: "Configuration", Look: e.settings}}
	if e.loaded != nil {
		all = append(all, e.fileChecks()...)
	}
	all = append(all, e.daemonChecks()...)
	all = append(all, e.machine.Checks()...)
	state := cmp.Or(stateFolder(e.machine.Environment()), stateFolder(e.app.env))
	all = append(all, e.machine.Writable("disk.state", "Folder of the daemon's state", state))
	all = append(all, e.machine.Room("disk.state_space", "Room for the daemon's state", state))
	if e.loaded == nil {
		return all // the others depend on the configuration
	}
	all = append(all, e.machine.Room("disk.audit_space", "Room for the audit log", e.loaded.API.AuditFile))
	all = append(all, e.networkChecks()...)
	all = append(all, e.pictureChecks()...)
	return all
}

// settings checks the configuration as such.
func (e *examination) settings(context.Context) doctor.Finding {
	const fix = "wavry-host config check; then correct the named places"
	if e.refusal != nil {
		return doctor.Fail(fix, "%v", e.refusal)
	}
	if len(e.loaded.Warnings) > 0 {
		return doctor.Warn(fix, "%s", strings.Join(e.loaded.Warnings, "; "))
	}
	return doctor.Fine("%s", cmp.Or(strings.Join(e.loaded.Files, ", "), "defaults, variables and flags"))
}

// inspected makes a check of a part of "config check --deep". Each has a copy of the configuration for its warnings.
func (e *examination) inspected(id, title, fix, evidence string, look func(*inspection)) doctor.Check {
	return e.inspectedIn(id, title, fix, evidence, func(_ context.Context, in *inspection) { look(in) })
}

// inspectedIn is inspected for what takes a while.
func (e *examination) inspectedIn(
	id, title, fix, evidence string, look func(context.Context, *inspection),
) doctor.Check {
	return doctor.Check{ID: id, Title: title, Look: func(ctx context.Context) doctor.Finding {
		if evidence == "" {
			return doctor.Skip("none is configured")
		}
		l := *e.loaded.Loaded
		l.Warnings = nil
		in := inspection{loaded: &loaded{Loaded: &l, own: e.loaded.own}}
		look(ctx, &in)
		switch {
		case len(in.found) > 0:
			return doctor.Fail(fix, "%v", &config.Error{Problems: in.found})
		case len(l.Warnings) > 0:
			return doctor.Warn(fix, "%s", strings.Join(l.Warnings, "; "))
		}
		return doctor.Fine("%s", evidence)
	}}
}

// fileChecks checks the files that the configuration names.
func (e *examination) fileChecks() []doctor.Check {
	l := e.loaded
	cert, ca := l.API.TLS.CertFile, ""
	if l.AsksClients() {
		ca = l.Auth.Certificates.CAFile
	}
	var issuers []string
	for _, g := range l.Auth.Grants {
		issuers = append(issuers, g.Keys)
	}
	kept := ""
	if l.TakesGrants() {
		kept = revocations(&l.Config, e.app.env)
	}
	return []doctor.Check{
		e.inspected("access.certificate", "Certificate and key", "openssl x509 -noout -text -in "+cert, cert,
			func(in *inspection) { in.leaf() }),
		e.inspected("access.certificate_dates", "Dates of the certificate",
			"renew the certificate, then: systemctl reload wavry-host", cert,
			func(in *inspection) {
				if leaf := (&inspection{loaded: in.loaded}).leaf(); leaf != nil {
					in.dates(leaf)
				}
			}),
		e.inspected("access.certificate_names", "Names of the certificate",
			"order a certificate with these names, or correct api.hosts", cert, func(in *inspection) {
				if leaf := (&inspection{loaded: in.loaded}).leaf(); leaf != nil {
					in.names(leaf)
				}
			}),
		e.inspected("access.tokens", "File of tokens", "wavry-host token >> "+l.Auth.TokensFile, l.Auth.TokensFile,
			func(in *inspection) { in.clients() }),
		e.inspected("access.client_certificates", "Authorities of clients' certificates",
			"openssl x509 -noout -text -in "+ca, ca, func(in *inspection) { in.clients() }),
		e.inspected("access.grants", "Keys of grants", "curl -v KEYS, or ls -l KEYS", strings.Join(issuers, ", "),
			func(in *inspection) { in.grants(e.app.env) }),
		e.inspected("access.revocations_file", "File of revocations", "install -d -m 0700 -o wavry-host "+
			filepath.Dir(kept), kept, func(in *inspection) { in.writable("auth.revocations_file", kept) }),
		e.inspected("access.audit_file", "Audit log", "install -d -m 0750 -o wavry-host "+
			filepath.Dir(l.API.AuditFile), l.API.AuditFile,
			func(in *inspection) { in.writable("api.audit_file", in.API.AuditFile) }),
		e.inspected("gateway.files", "Files for the gateway", "ls -l, and correct the section gateway", l.Gateway.URL,
			func(in *inspection) { in.gateway() }),
	}
}

// daemonChecks checks the daemon and its service.
func (e *examination) daemonChecks() []doctor.Check {
	host := once(e.daemon)
	unit := once(e.unit)
	// installed makes a check of the unit.
	installed := func(id, title string, look func(service.Status) doctor.Finding) doctor.Check {
		return doctor.Check{ID: id, Title: title, Look: func(ctx context.Context) doctor.Finding {
			s, err := unit(ctx)
			switch {
			case errors.Is(err, service.ErrNotRunning), errors.Is(err, service.ErrUnsupported):
				return doctor.Skip("no service manager runs here")
			case err != nil:
				return doctor.Warn("systemctl status wavry-host", "%v", err)
			case !s.Installed && id != "service.installed":
				return doctor.Skip("not installed")
			}
			return look(s)
		}}
	}
	// answering makes a check of the running daemon.
	answering := func(id, title string, look func(hostStatus) doctor.Finding) doctor.Check {
		return doctor.Check{ID: id, Title: title, Look: func(ctx context.Context) doctor.Finding {
			h, err := host(ctx)
			if err != nil {
				return doctor.Skip("no daemon answers")
			}
			return look(h)
		}}
	}
	return []doctor.Check{
		installed("service.installed", "Service", func(s service.Status) doctor.Finding {
			if !s.Installed {
				return doctor.Warn("sudo wavry-host service install",
					"%s does not exist: nothing starts the daemon", s.Path)
			}
			return doctor.Fine("%s", s.Path)
		}),
		installed("service.current", "Description of the service", func(s service.Status) doctor.Finding {
			if !s.Current {
				return doctor.Warn("sudo wavry-host service install",
					"%s differs from the one of this version; drop-ins "+
						"are kept", s.Path)
			}
			return doctor.Fine("%s is that of this version", s.Path)
		}),
		installed("service.enabled", "Start with the system", func(s service.Status) doctor.Finding {
			if s.Enabled == "disabled" || s.Enabled == "masked" {
				return doctor.Warn("sudo systemctl enable wavry-host",
					"%s: the daemon does not start with the system", s.Enabled)
			}
			return doctor.Fine("%s", s.Enabled)
		}),
		installed("service.running", "State of the service", func(s service.Status) doctor.Finding {
			if !s.Running {
				return doctor.Fail("sudo systemctl start wavry-host; journalctl -u wavry-host -n 50", "%s", s.State)
			}
			return doctor.Fine("%s, process %d: %s", s.State, s.PID, s.Text)
		}),
		{ID: "daemon.answers", Title: "Answer of the daemon", Look: func(ctx context.Context) doctor.Finding {
			h, err := host(ctx)
			if err != nil {
				return doctor.Warn("systemctl start wavry-host, or wavry-host run; with sudo for the service's socket",
					"%v", err)
			}
			return doctor.Fine("%s, for %v", h.Version, time.Duration(h.UptimeSeconds)*time.Second)
		}},
		answering("daemon.state", "State of the host", func(h hostStatus) doctor.Finding {
			evidence := h.State + " (" + h.StateReason + ")"
			switch h.State {
			case "draining":
				return doctor.Warn("wavry-host drain --cancel", "%s: it refuses new sessions", evidence)
			case "cordoned":
				return doctor.Warn("wavry-host uncordon", "%s: it refuses new sessions", evidence)
			case "degraded":
				return doctor.Warn("wavry-host status; docs/operate/runbooks/host-degraded.md", "%s", evidence)
			}
			return doctor.Fine("%s", evidence)
		}),
		answering("daemon.version", "Version of the daemon", func(h hostStatus) doctor.Finding {
			if mine := thisBuild().Version; h.Version != mine {
				return doctor.Warn("wavry-host drain, then: systemctl restart wavry-host",
					"the daemon runs %s, and this program is %s", h.Version, mine)
			}
			return doctor.Fine("%s", h.Version)
		}),
		answering("daemon.room", "Room for sessions", func(h hostStatus) doctor.Finding {
			if h.Sessions >= h.Limit {
				return doctor.Warn("wavry-host sessions; docs/operate/runbooks/full.md", "%d of %d sessions",
					h.Sessions,
					h.Limit)
			}
			return doctor.Fine("%d of %d sessions", h.Sessions, h.Limit)
		}),
	}
}

// once returns f as a function that several checks call: the first call runs f, and all have its result.
func once[T any](f func(context.Context) (T, error)) func(context.Context) (T, error) {
	start := make(chan struct{}, 1) // one token: the first caller takes it
	start <- struct{}{}
	done := make(chan struct{})
	var (
		value T
		err   error
	)
	return func(ctx context.Context) (T, error) {
		select {
		case <-start:
			value, err = f(ctx)
			close(done)
		case <-done:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
		return value, err
	}
}
