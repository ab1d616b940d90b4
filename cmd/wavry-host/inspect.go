package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/api"
	"wavryhost/session/api/grant"
)

// expiresSoon is the time before the end of its certificate from which the host warns. Automatic renewal happens
// earlier.
const expiresSoon = 7 * 24 * time.Hour

// inspect opens and reads every file that the daemon needs to start, and changes nothing. It returns a *config.Error
// with all that would prevent the start. It adds what works but is inadvisable to the warnings.
func (l *loaded) inspect(env []string) error {
	in := inspection{loaded: l}
	in.certificate()
	in.grants(env)
	in.clients()
	in.gateway()
	in.fleet()
	in.webhook(env)
	in.tracing()
	in.writable("api.audit_file", l.API.AuditFile)
	if l.TakesGrants() {
		in.writable("auth.revocations_file", revocations(&l.Config, env))
	}
	if len(in.found) > 0 {
		return &config.Error{Problems: in.found}
	}
	return nil
}

// inspection collects problems.
type inspection struct {
	*loaded
	found []config.Problem
}

// add records a problem of a setting.
func (in *inspection) add(name string, err error) {
	in.found = append(in.found, in.Blame(name, err.Error()))
}

// warning records what is inadvisable.
func (in *inspection) warning(name, format string, args ...any) {
	in.Warnings = append(in.Warnings, fmt.Sprintf("%s: %s: %s", in.Origin[name], name, fmt.Sprintf(format, args...)))
}

// certificate reads the server's certificate. It checks its dates and the names that clients use.
func (in *inspection) certificate() {
	if leaf := in.leaf(); leaf != nil {
		in.dates(leaf)
		in.names(leaf)
	}
}

// leaf reads the server's certificate and its key. It returns nil if there is none that works.
func (in *inspection) leaf() *x509.Certificate {
	if in.API.TLS.CertFile == "" {
		return nil
	}
	for name, path := range map[string]string{
		"api.tls.cert_file": in.API.TLS.CertFile,
		"api.tls.key_file":  in.API.TLS.KeyFile,
	} {
		if _, err := config.ReadFile(path); err != nil {
			in.add(name, fmt.Errorf("%s: %s", path, config.Reason(err)))
			return nil
		}
	}
	pair, err := tls.LoadX509KeyPair(in.API.TLS.CertFile, in.API.TLS.KeyFile)
	if err != nil {
		in.add("api.tls.cert_file", fmt.Errorf("%s with key %s: %w", in.API.TLS.CertFile, in.API.TLS.KeyFile, err))
		return nil
	}
	return pair.Leaf
}

// dates checks when the server's certificate is valid.
func (in *inspection) dates(leaf *x509.Certificate) {
	const name = "api.tls.cert_file"
	now, path := time.Now(), in.API.TLS.CertFile
	switch end := leaf.NotAfter; {
	case end.Before(now):
		in.warning(name, "%s has expired: browsers refuse it since %s", path, end.Format(time.DateTime))
	case leaf.NotBefore.After(now):
		in.warning(name, "%s is not valid before %s: check the clock", path, leaf.NotBefore.Format(time.DateTime))
	case end.Before(now.Add(expiresSoon)):
		in.warning(name, "%s expires at %s", path, end.Format(time.DateTime))
	}
}

// names checks that the server's certificate has the names that clients use.
func (in *inspection) names(leaf *x509.Certificate) {
	for _, host := range in.API.Hosts {
		if leaf.VerifyHostname(host) != nil && len(in.API.TrustedProxies) == 0 {
			in.warning(
				"api.hosts",
				"%s is not among the names of the certificate %s: browsers refuse it under that name, unless a "+
					"proxy has another",
				host, in.API.TLS.CertFile,
			)
		}
	}
}

// grants reads the keys of grants, and the files of revoked and used grants.
func (in *inspection) grants(env []string) {
	if !in.TakesGrants() {
		return
	}
	all := grants(&in.Config, env)
	for i := range all {
		all[i].SpentFile = "" // the daemon compacts it when it reads it
	}
	if _, err := grant.New(slog.New(slog.DiscardHandler), all[0], all[1:]...); err != nil {
		in.add("auth.grants", errors.New(strings.TrimPrefix(err.Error(), "grant: ")))
	}
}

// clients reads the files of tokens, of authorities and of revoked certificates, as the API does.
func (in *inspection) clients() {
	if len(in.found) > 0 && in.AsksClients() {
		return // it needs the certificate, whose problem is recorded already
	}
	cfg := apiConfig(in.loaded)
	if in.TakesGrants() {
		cfg.Grants = new(grant.Verifier) // any credential; no client is checked
	}
	if len(in.found) > 0 {
		return
	}
	_, err := api.New(cfg, api.Parts{}, nil, api.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err == nil {
		return
	}
	text := strings.TrimPrefix(err.Error(), "api: ")
	for name, path := range map[string]string{
		"auth.tokens_file": in.Auth.TokensFile, "auth.certificates.ca_file": in.Auth.Certificates.CAFile,
		"auth.certificates.crl_file": in.Auth.Certificates.CRLFile,
	} {
		if path != "" && strings.Contains(text, path) {
			in.add(name, errors.New(text))
			return
		}
	}
	in.add("api.listen", errors.New(text))
}

// fleet reads the files for the fleet. The key is made at the start, if there is none.
func (in *inspection) fleet() {
	if in.Fleet.URL == "" {
		return
	}
	b, err := fleetBus(&in.Config)
	if err != nil {
		in.add("fleet.ca_file", errors.New(strings.TrimPrefix(err.Error(), "fleet.ca_file: ")))
	}
	if err := b.Validate(); err != nil {
		in.add("fleet.url", errors.New(strings.TrimPrefix(err.Error(), "fleet: ")))
	}
	if path := in.Fleet.CredentialsFile; path != "" {
		if _, why := in.SecretIn(path); why != "" {
			in.add("fleet.credentials_file", errors.New(why))
		}
	}
	if path := in.Fleet.KeyFile; path != "" {
		if _, err := os.Stat(path); err == nil {
			if _, err := fleetIdentity(path); err != nil {
				in.add("fleet.key_file", errors.New(strings.TrimPrefix(err.Error(), "fleet.key_file: ")))
			}
		}
	}
}

// gateway reads the files for the gateway.
func (in *inspection) gateway() {
	if in.Gateway.URL == "" {
		return
	}
	for name, path := range map[string]string{
		"gateway.token_file":   in.Gateway.TokenFile,
		"gateway.account_file": in.Gateway.AccountFile,
	} {
		if path == "" {
			continue
		}
		if _, why := in.SecretIn(path); why != "" {
			in.add(name, errors.New(why))
		}
	}
	if in.Gateway.CAFile == "" {
		return
	}
	data, err := config.ReadFile(in.Gateway.CAFile)
	if err != nil {
		in.add("gateway.ca_file", fmt.Errorf("%s: %s", in.Gateway.CAFile, config.Reason(err)))
	} else if !x509.NewCertPool().AppendCertsFromPEM(data) {
		in.add("gateway.ca_file", fmt.Errorf("%s holds no certificate in PEM form", in.Gateway.CAFile))
	}
}

// writable checks that a file can be written or made, and does neither.
func (in *inspection) writable(name, path string) {
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		err = errors.New("it is a folder")
	case err == nil:
		var f *os.File
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			err = f.Close()
		}
	case errors.Is(err, fs.ErrNotExist):
		var f *os.File
		if f, err = os.CreateTemp(filepath.Dir(path), ".wavry-host-check-*"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		in.add(name, fmt.Errorf("%s cannot be written: %s", path, config.Reason(err)))
	}
}

// portSettings are the settings that name addresses and ports.
var portSettings = []string{"api.listen", "media.udp.port", "media.tcp.port"}

// ports reports which addresses and ports are unavailable on this machine. Ports in use cause a warning, because the
// daemon itself may run.
func (l *loaded) ports(ctx context.Context) error {
	in := inspection{loaded: l}
	for _, name := range portSettings {
		in.port(ctx, name)
	}
	if len(in.found) > 0 {
		return &config.Error{Problems: in.found}
	}
	return nil
}

// port tries the address of one of portSettings.
func (in *inspection) port(ctx context.Context, name string) {
	network, media := "tcp", ""
	var address string
	if in.MediaOnLoopback() {
		media = "127.0.0.1"
	}
	switch {
	case name == "api.listen":
		address = in.API.Listen
	case name == "media.udp.port" && in.Media.UDP.Port != 0:
		network, address = "udp", net.JoinHostPort(media, fmt.Sprint(in.Media.UDP.Port))
	case name == "media.tcp.port" && in.Media.TCP.Port != 0:
		address = net.JoinHostPort(media, fmt.Sprint(in.Media.TCP.Port))
	default:
		return
	}
	var (
		lc  net.ListenConfig
		c   io.Closer
		err error
	)
	if network == "udp" {
		c, err = lc.ListenPacket(ctx, network, address)
	} else {
		c, err = lc.Listen(ctx, network, address)
	}
	switch {
	case err == nil:
		_ = c.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		in.warning(name, "%s %s is in use; by this daemon, if it runs", network, address)
	default:
		in.add(name, err)
	}
}
