//go:build integration

package endtoend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// proxyName is the proxy's host name in the examples of the documents.
const proxyName = "screens.example.net"

// reverseProxy is a proxy program in front of the daemon.
type reverseProxy struct {
	// example names the code block of its example in the documents.
	name, example string
	// prefix is the path of the daemon behind the proxy, such as /a/b.
	prefix string
	// config surrounds the example. Names in braces stand for the test's values.
	config  string
	command []string
	// protocol is set when the proxy forwards TCP with the PROXY protocol.
	protocol bool
}

// gzipped lists the content types that the proxies compress: all except event streams.
const gzipped = "application/json application/sdp application/trickle-ice-sdpfrag " +
	"text/javascript text/css image/svg+xml"

var reverseProxies = []reverseProxy{
	{name: "nginx", example: "nginx", prefix: "/a/b", command: []string{
		"nginx", "-p", "{dir}", "-c", "{config}",
	}, config: `
daemon off;
user root;
worker_processes 1;
error_log stderr;
pid {dir}/pid;
events {}
http {
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    gzip on;
    gzip_min_length 1;
    gzip_proxied any;
    gzip_types ` + gzipped + `;
    server {
        listen {address} ssl http2;
        server_name ` + proxyName + `;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        {example}
    }
}
`},
	{name: "Apache", example: "apache", prefix: "/a/b", command: []string{
		"apache2", "-D", "FOREGROUND", "-d", "{dir}", "-f", "{config}",
	}, config: apacheModules(
		"mpm_event", "authz_core", "ssl", "http2", "filter", "deflate", "proxy", "proxy_http") + `
User www-data
Group www-data
DefaultRuntimeDir {dir}
PidFile {dir}/pid
ErrorLog /proc/self/fd/2
ServerName ` + proxyName + `
Listen {address}
Protocols h2 http/1.1
SSLEngine on
SSLSessionCache none
SSLCertificateFile {cert}
SSLCertificateKeyFile {key}
AddOutputFilterByType DEFLATE text/html ` + gzipped + `
{example}
`},
	{name: "HAProxy", example: "haproxy", prefix: "/a/b", command: []string{
		"haproxy", "-db", "-f", "{config}",
	}, config: `
defaults
    mode http
    timeout connect 10s
    timeout client 90s
    timeout server 90s
    compression algo gzip
    compression type text/html ` + gzipped + `
{example}
`},
	{name: "Caddy", example: "caddyfile", prefix: "/a/b", command: []string{
		"caddy", "run", "--config", "{config}", "--adapter", "caddyfile",
	}, config: `
{
	admin off
	auto_https off
	storage file_system {dir}
}
https://` + proxyName + `:{port} {
	bind {ip}
	tls {cert} {key}
	encode gzip
	{example}
}
`},
	{name: "HAProxy with the PROXY protocol", example: "haproxy tcp", protocol: true, command: []string{
		"haproxy", "-db", "-f", "{config}",
	}, config: `
defaults
    timeout connect 10s
    timeout client 90s
    timeout server 90s
{example}
`},
}

func apacheModules(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", name, name)
	}
	return b.String()
}

// exampleOf returns the example of a proxy in the documents.
func exampleOf(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/operate/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(found) != 1 {
		t.Fatalf("configuration.md has %d examples of %s; want 1", len(found), language)
	}
	return found[0][1]
}

// ownAddress returns an address in 127.64.0.0/10 that only this process uses. A proxy must know it before it listens.
func ownAddress(port int) (ip, address string) {
	pid := os.Getpid()
	ip = fmt.Sprintf("127.%d.%d.%d", 64+pid>>16&63, pid>>8&255, pid&255)
	return ip, fmt.Sprintf("%s:%d", ip, port)
}

// start runs the proxy in front of a daemon, and returns what a client needs.
func (p reverseProxy) start(t *testing.T, h *host, cert, key string, port int) *viewpoint {
	t.Helper()
	need(t, p.command[0])
	dir := t.TempDir()
	ip, address := ownAddress(port)
	example := strings.NewReplacer(
		"/host7", p.prefix, "127.0.0.1:8470", h.url[strings.LastIndex(h.url, "/")+1:], " :443", " "+address,
		"/etc/haproxy/screens.pem", cert, "send-proxy-v2", "send-proxy-v2 source "+trustedAddress,
	).Replace(exampleOf(t, p.example))
	fill := strings.NewReplacer("{dir}", dir, "{config}", filepath.Join(dir, "config"), "{address}", address,
		"{ip}", ip,
		"{port}", fmt.Sprint(port), "{cert}", cert, "{key}", key, "{example}", example)
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(fill.Replace(p.config)), 0o644); err != nil {
		t.Fatal(err)
	}
	args := make([]string, len(p.command))
	for i, a := range p.command {
		args[i] = fill.Replace(a)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	run := start(t, cmd)
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	v := &viewpoint{
		t: t, h: h, address: address, url: fmt.Sprintf("https://%s:%d%s", proxyName, port, p.prefix), roots: roots,
	}
	eventually(t, patience, p.name+" listens", func() error {
		select {
		case <-run.done:
			t.Fatalf("%s ended: %v\n%s", p.name, run.err, run.out)
		default:
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return v
}

// trustedAddress is the source address of a proxy with the PROXY protocol. The test's own requests come from
// 127.0.0.1.
const trustedAddress = "127.0.0.9"

// viewpoint is the daemon as clients behind a proxy see it.
type viewpoint struct {
	t       *testing.T
	h       *host
	address string
	url     string
	roots   *x509.CertPool
}

// from returns a client at an address of this machine, which speaks HTTP/2 or 1.1.
func (v *viewpoint) from(ip string, http2 bool) client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, v.address)
		},
		TLSClientConfig:       &tls.Config{RootCAs: v.roots, ServerName: proxyName},
		ForceAttemptHTTP2:     http2,
		ExpectContinueTimeout: patience,
		DisableCompression:    true, // each request says what it takes
	}
	v.t.Cleanup(transport.CloseIdleConnections)
	return client{v.t, &host{
		process: v.h.process, url: v.url, token: v.h.token, client: &http.Client{
			Transport: transport,
			Timeout:   patience,
		},
	}}
}
