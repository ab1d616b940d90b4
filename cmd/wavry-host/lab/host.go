package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"wavryhost/platform/child"
	"wavryhost/session/api/client"
)

const (
	// startTime is the time within which daemon and relay must serve. The trial of encoders takes seconds.
	startTime = 90 * time.Second
	// pollTime is the pause between looks whether they do.
	pollTime = 100 * time.Millisecond

	port = 8470
)

// host is a daemon in a place.
type host struct {
	process *child.Process
	api     *client.Client
	http    *http.Client
	url     string
	token   string
}

// hostOptions says how to run the daemon.
type hostOptions struct {
	program string
	config  string // its configuration file; empty for none
	display string
	fps     int
	size    string
	relay   *relay
}

// startHost starts the daemon, with its files in dir, and waits until it serves.
func startHost(ctx context.Context, in *place, dir string, log *os.File, o hostOptions) (h *host, err error) {
	cert, key, err := certificate(dir, in.address.AsSlice())
	if err != nil {
		return nil, fmt.Errorf("lab: make a certificate: %w", err)
	}
	if o.config == "" { // the machine's own configuration must not change the results
		o.config = filepath.Join(dir, "config.yaml")
		if err := os.WriteFile(o.config, nil, 0o600); err != nil {
			return nil, err
		}
	}
	address := net.JoinHostPort(in.address.String(), strconv.Itoa(port))
	h = &host{url: "https://" + address, token: rand.Text()}
	env := []string{
		"STATE_DIRECTORY=" + dir, "WAVRY_HOST_AUTH__TOKEN=" + h.token, "WAVRY_HOST_API__SOCKET=none",
		// Other work on this machine must not refuse the session. The report has the machine's load.
		"WAVRY_HOST_SESSIONS__ADMISSION=limits",
		"WAVRY_HOST_DISPLAYS__VIRTUAL_KEEP=1ms", "WAVRY_HOST_DISPLAYS__VIRTUAL_SOCKET=" + filepath.Join(dir, "desktop.sock"),
	}
	if o.relay != nil {
		env = append(env, "WAVRY_HOST_ICE__SERVERS="+o.relay.setting())
	}
	h.process, err = child.Start(child.Command{
		Program: o.program,
		Args: []string{
			"run", "--config", o.config, "--listen", address, "--log-format", "json", "--display", o.display,
			"--fps", strconv.Itoa(o.fps), "--virtual-size", o.size, "--tls-cert", cert, "--tls-key", key,
		},
		Env: env, Keep: []string{"DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "LIBVA_DRIVER_NAME"},
		Stdout: log, Stderr: log, Network: in.network,
	})
	if err != nil {
		return nil, fmt.Errorf("lab: start the daemon: %w", err)
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	h.http = &http.Client{
		Timeout: answerTime,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the lab made the certificate itself
			DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
				err = in.within(func() error {
					var d net.Dialer
					c, err = d.DialContext(ctx, network, address)
					return err
				})
				return c, err
			},
		},
	}
	if h.api, err = client.New(client.Config{URL: h.url, Token: h.token, HTTP: h.http, Attempts: 1}); err != nil {
		return nil, err
	}
	return h, untilServes(ctx, "the daemon", h.process, log.Name(), func() error { return h.api.Host.Ready(ctx) })
}

// untilServes waits until a child serves, and fails when it ends.
func untilServes(ctx context.Context, what string, p *child.Process, log string, serves func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		err := serves()
		if err == nil {
			return nil
		}
		select {
		case <-p.Done:
			return fmt.Errorf("lab: %s ended: %v; its log is %s", what, p.Err(), log) //nolint:errorlint // may be nil
		case <-ctx.Done():
			return fmt.Errorf("lab: %s does not serve: %w; its log is %s", what, err, log)
		case <-tick.C:
		}
	}
}

// page is the address of the viewer page.
func (h *host) page() string { return h.url + "/#token=" + h.token }

// session returns the newest session, and false if there is none.
func (h *host) session(ctx context.Context) (client.Session, bool, error) {
	var newest client.Session
	found := false
	for s, err := range h.api.Sessions.All(ctx, client.Filter{}) {
		if err != nil {
			return newest, false, err
		}
		newest, found = s, true // the oldest comes first
	}
	return newest, found, nil
}

func (h *host) close() {
	if h.http != nil {
		h.http.CloseIdleConnections()
	}
	h.process.Stop()
}

// certificate writes a self-signed certificate for an address, and its key.
func certificate(dir string, address net.IP) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "wavry-host lab"}, IPAddresses: []net.IP{address},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	if err == nil {
		err = os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
	}
	return certFile, keyFile, err
}
