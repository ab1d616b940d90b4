//go:build integration

package endtoend

import (
	"bytes"
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
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespaces is set in processes of these tests that run in their own namespaces.
const inNamespaces = "WAVRY_ENDTOEND_IN_NAMESPACES"

// ownNamespaces starts the tests again in user and mount namespaces, where a user may make network namespaces without
// being root. It returns inside them, or with an error where the system forbids them.
func ownNamespaces() error {
	if os.Getenv(inNamespaces) != "" {
		// ip keeps namespace names in a folder in /run, which only root could make.
		return os.NewSyscallError("mount /run", unix.Mount("tmpfs", "/run", "tmpfs",
			unix.MS_NOSUID|unix.MS_NODEV, "mode=755"))
	}
	if namespacesAllowed() {
		return nil
	}
	// The user ID stays the same: xterm, for one, assumes that user 0 may give a terminal away.
	command := []string{"unshare", "--user", "--map-current-user", "--keep-caps", "--mount"}
	if out, err := exec.Command(command[0], append(command[1:], "true")...).CombinedOutput(); err != nil {
		return fmt.Errorf("get a namespace of users: %w: %s", err, bytes.TrimSpace(out))
	}
	unshare, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// tc and nft are in folders that are not on the PATH of Debian's users.
	for name, value := range map[string]string{inNamespaces: "1", "PATH": os.Getenv("PATH") + ":/usr/sbin:/sbin"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return os.NewSyscallError("exec unshare", unix.Exec(unshare, append(append(command, self), os.Args[1:]...),
		os.Environ()))
}

// namespacesAllowed reports whether this process may make network namespaces: as root, or in a user namespace.
func namespacesAllowed() bool {
	var sets [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0])
	return err == nil && sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// needNamespaces fails the test where network namespaces cannot be made.
func needNamespaces(t testing.TB) {
	t.Helper()
	if !namespacesAllowed() {
		t.Fatal("network namespaces need root, or a system that lets users have namespaces; run 'make test' as " +
			"root or through sudo")
	}
}

// link is two network namespaces joined by a veth pair. libnice ignores interfaces with that name.
type link struct {
	host, viewer     string // namespaces
	hostIP, viewerIP string
	device           string // the host's end, where the bandwidth is limited
}

// newLink makes the namespaces; they go with the test.
func newLink(t testing.TB) *link {
	t.Helper()
	return newLinks(t, 1)[0]
}

// newLinks joins one host's namespace with n viewers' namespaces.
func newLinks(t testing.TB, n int) []*link {
	t.Helper()
	need(t, "ip", "tc")
	needNamespaces(t)
	id := "wh" + strings.ToLower(rand.Text()[:8]) // tests run side by side
	host := id + "-host"
	namespace := func(name string) {
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
		addNamespace(t, name)
		// IPv6 addresses appear later, and Chromium drops its connections when the network changes.
		_ = exec.Command("ip", "netns", "exec", name, "sh", "-c",
			"echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6").Run()
		ip(t, "-n", name, "link", "set", "lo", "up")
	}
	namespace(host)
	var all []*link
	for k := range n {
		l := &link{
			host: host, viewer: fmt.Sprintf("%s-view%d", id, k),
			hostIP: fmt.Sprintf("10.213.%d.1", 7+10*k), viewerIP: fmt.Sprintf("10.213.%d.2", 7+10*k),
			device: fmt.Sprintf("wire-h%d", k),
		}
		namespace(l.viewer)
		ip(t, "-n", l.host, "link", "add", l.device, "type", "veth", "peer", "name", "wire-v", "netns", l.viewer)
		ip(t, "-n", l.host, "addr", "add", l.hostIP+"/24", "dev", l.device)
		ip(t, "-n", l.viewer, "addr", "add", l.viewerIP+"/24", "dev", "wire-v")
		ip(t, "-n", l.host, "link", "set", l.device, "up")
		ip(t, "-n", l.viewer, "link", "set", "wire-v", "up")
		all = append(all, l)
	}
	return all
}

// limit limits the path from host to viewer to rate ("2mbit"), with a queue of 100 ms; "" removes the limit.
func (l *link) limit(t testing.TB, rate string) {
	t.Helper()
	if rate == "" {
		ip(t, "netns", "exec", l.host, "tc", "qdisc", "del", "dev", l.device, "root")
		return
	}
	l.limitTo(t, rate, "16kb")
}

// limitTo limits the link to a rate, except for bursts of so many bytes.
func (l *link) limitTo(t testing.TB, rate, burst string) {
	t.Helper()
	ip(t, "netns", "exec", l.host, "tc", "qdisc", "replace", "dev", l.device, "root",
		"tbf", "rate", rate, "burst", burst, "latency", "100ms")
}

// startExposed starts a daemon in a network namespace that others reach over TLS with a token.
func startExposed(t testing.TB, namespace, address string, args ...string) *host {
	t.Helper()
	const token = "for-this-test-and-no-other"
	cert, key := certificate(t, address)
	return startHost(t, hostOptions{
		namespace: namespace, listen: address + ":8470", secure: true, token: token,
		args: append([]string{"--tls-cert", cert, "--tls-key", key}, args...),
		env:  []string{"WAVRY_HOST_AUTH__TOKEN=" + token},
	})
}

// addNamespace makes a network namespace. ip returns to the namespace that it started in, which a process in a user
// namespace may only do if it owns that one, too.
func addNamespace(t testing.TB, name string) {
	t.Helper()
	if out, err := exec.Command("unshare", "--net", "ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("make the network namespace %s: %v\n%s", name, err, out)
	}
}

// ip runs the ip command of iproute2.
func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

// within calls f on a thread in a network namespace. A socket stays in the namespace in which it was made.
func within[T any](namespace string, f func() (T, error)) (T, error) {
	type made struct {
		value T
		err   error
	}
	result := make(chan made, 1)
	go func() {
		// The thread is not unlocked: it ends with the goroutine, and its namespace with it.
		runtime.LockOSThread()
		var m made
		defer func() { result <- m }()
		fd, err := os.Open(filepath.Join("/run/netns", namespace))
		if err != nil {
			m.err = err
			return
		}
		defer fd.Close()
		if err := unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET); err != nil {
			m.err = fmt.Errorf("enter namespace %s: %w", namespace, err)
			return
		}
		m.value, m.err = f()
	}()
	m := <-result
	return m.value, m.err
}

// dialWithin connects from inside a network namespace. It takes numeric addresses only, which the same thread dials.
func dialWithin(ctx context.Context, namespace, network, address string) (net.Conn, error) {
	return within(namespace, func() (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	})
}

// listenWithin returns a UDP socket on an address inside a network namespace.
func listenWithin(tb testing.TB, namespace, address string) net.PacketConn {
	tb.Helper()
	udp, err := within(namespace, func() (net.PacketConn, error) { return net.ListenPacket("udp4", address+":0") })
	if err != nil {
		tb.Fatal(err)
	}
	return udp
}

// certificate writes a self-signed certificate for an address or a name.
func certificate(t testing.TB, name string) (certFile, keyFile string) {
	t.Helper()
	return certificateFor(t, name, 90*24*time.Hour)
}

// certificateFor writes a self-signed certificate that expires after a while.
func certificateFor(t testing.TB, name string, valid time.Duration) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "wavry-host test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
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
