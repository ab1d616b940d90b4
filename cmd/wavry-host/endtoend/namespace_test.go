//go:build integration

package endtoend

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// link is two network namespaces joined by a veth pair. libnice takes no notice of interfaces that are called so.
type link struct {
	host, viewer     string // namespaces
	hostIP, viewerIP string
	device           string // the host's end, where the bandwidth is limited
}

// newLink makes the namespaces; they go with the test.
func newLink(t testing.TB) *link {
	t.Helper()
	need(t, "ip", "tc")
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root; run 'make test' as root or through sudo")
	}
	id := os.Getpid() % 10000
	l := &link{
		host: fmt.Sprintf("wh%d-host", id), viewer: fmt.Sprintf("wh%d-view", id),
		hostIP: "10.213.7.1", viewerIP: "10.213.7.2", device: "wire-h",
	}
	t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "del", l.host).Run()
		_ = exec.Command("ip", "netns", "del", l.viewer).Run()
	})
	for _, args := range [][]string{
		{"netns", "add", l.host},
		{"netns", "add", l.viewer},
		{"-n", l.host, "link", "add", l.device, "type", "veth", "peer", "name", "wire-v", "netns", l.viewer},
		{"-n", l.host, "addr", "add", l.hostIP + "/24", "dev", l.device},
		{"-n", l.viewer, "addr", "add", l.viewerIP + "/24", "dev", "wire-v"},
		{"-n", l.host, "link", "set", "lo", "up"},
		{"-n", l.viewer, "link", "set", "lo", "up"},
		{"-n", l.host, "link", "set", l.device, "up"},
		{"-n", l.viewer, "link", "set", "wire-v", "up"},
	} {
		ip(t, args...)
		if args[1] == "add" { // addresses of IPv6 come later, and Chromium drops its connections when the network changes
			_ = exec.Command("ip", "netns", "exec", args[2], "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6").Run()
		}
	}
	return l
}

// limit lets rate ("2mbit") through from the host to the viewer, with a queue of 100 ms; "" lifts the limit.
func (l *link) limit(t testing.TB, rate string) {
	t.Helper()
	if rate == "" {
		ip(t, "netns", "exec", l.host, "tc", "qdisc", "del", "dev", l.device, "root")
		return
	}
	ip(t, "netns", "exec", l.host, "tc", "qdisc", "replace", "dev", l.device, "root",
		"tbf", "rate", rate, "burst", "16kb", "latency", "100ms")
}

// ip runs that command of iproute2.
func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

// dialWithin connects from inside a network namespace. A socket stays in the namespace it was made in.
func dialWithin(ctx context.Context, namespace, network, address string) (net.Conn, error) {
	type dialed struct {
		conn net.Conn
		err  error
	}
	result := make(chan dialed, 1)
	go func() {
		// The thread is not unlocked: it ends with the goroutine, and its namespace with it.
		runtime.LockOSThread()
		fd, err := os.Open(filepath.Join("/run/netns", namespace))
		if err != nil {
			result <- dialed{nil, err}
			return
		}
		defer fd.Close()
		if err := unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- dialed{nil, fmt.Errorf("enter namespace %s: %w", namespace, err)}
			return
		}
		// An address without a name is dialled by this very thread.
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		result <- dialed{conn, err}
	}()
	r := <-result
	return r.conn, r.err
}

// certificate writes a self-signed certificate for the address.
func certificate(t testing.TB, address string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "wavry-host test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(address)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
