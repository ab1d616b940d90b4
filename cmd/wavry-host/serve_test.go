package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode"
	"wavryhost/session"
)

// TestMain lets this program stand for wavry-host where that starts itself, to try an encoder.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"prove-encoder", "desktop", "run"}, os.Args[1]) {
		os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// patience is for what never comes: a machine whose processors others have takes seconds for little.
const patience = time.Minute

// daemon is a running "wavry-host run".
type daemon struct {
	url   string
	token string // shown with requests, unless it is empty
	code  chan int
	stop  context.CancelFunc
	// reading is held by who keeps the log from being read.
	reading sync.Mutex
}

// hold keeps the log from being read until the test ends.
func (d *daemon) hold() { d.reading.Lock() }

// daemonToken is the operator's token of the daemons that start makes.
const daemonToken = "0123456789abcdef"

// daemonEnv is the environment of the daemons that start makes. No display adapter of this machine is used.
func daemonEnv() []string {
	return []string{"WAVRY_HOST_AUTH__TOKEN=" + daemonToken, "WAVRY_HOST_ENCODING__VAAPI_DEVICE=/nonexistent"}
}

// start runs the daemon on a port of the system's choice, with daemonToken, and waits until it listens.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	return startIn(t, daemonEnv(), io.Discard, args...)
}

// startIn is start in an environment, without a token of its own. The log goes to copied, too.
func startIn(t *testing.T, env []string, copied io.Writer, args ...string) *daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, w := io.Pipe()
	d := &daemon{token: daemonToken, code: make(chan int, 1), stop: cancel}
	args = append(
		[]string{"run", "--listen=127.0.0.1:0", "--log-format=json", "--config", write(t, "none.yaml", "")},
		args...)
	go func() {
		d.code <- run(ctx, args, env, copied, w)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		t.Log(lines.Text())
		say(copied, "%s\n", lines.Text())
		var record struct{ Msg, Addr string }
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Errorf("a log line is not JSON: %s", lines.Text())
		}
		if record.Msg == "api listening" {
			d.url = "http://" + record.Addr
			go func() { // ends when run does, or with the process when the log is held
				for buf := make([]byte, 4096); ; {
					d.reading.Lock()
					n, err := r.Read(buf)
					d.reading.Unlock()
					_, _ = copied.Write(buf[:n])
					if err != nil {
						return
					}
				}
			}()
			return d
		}
	}
	t.Fatalf("it ended before it listened, with exit code %d", <-d.code)
	return nil
}

func (d *daemon) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// end stops the daemon as a signal does and checks that it ends cleanly.
func (d *daemon) end(t *testing.T) {
	t.Helper()
	d.stop()
	select {
	case code := <-d.code:
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
}

// TestHostWithoutEncoderServes: it can be asked what is missing.
func TestHostWithoutEncoderServes(t *testing.T) {
	d := start(t, "--display=synthetic", "--encoder=h264_vaapi")
	if status, body := d.get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d %s", status, body)
	}
	if status, body := d.get(
		t, "/readyz",
	); status != http.StatusServiceUnavailable ||
		!strings.Contains(body, "no_encoder") {
		t.Errorf("readyz: %d %s", status, body)
	}
	status, body := d.get(t, "/v1/host")
	var h struct {
		Encoders []session.EncoderInfo
		Displays []session.DisplayInfo
	}
	if err := json.Unmarshal([]byte(body), &h); err != nil || status != http.StatusOK {
		t.Fatalf("host: %d %v %s", status, err, body)
	}
	if len(h.Encoders) != 1 || h.Encoders[0].Usable || h.Encoders[0].Why == "" {
		t.Errorf("encoders %+v", h.Encoders)
	}
	if len(h.Displays) == 0 || h.Displays[0].ID != "synthetic" {
		t.Errorf("displays %+v", h.Displays)
	}
	_, metrics := d.get(t, "/metrics")
	for _, name := range []string{"wavry_host_build_info{", "go_goroutines ", "wavry_host_sessions{"} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("metrics lack %s", name)
		}
	}
	d.end(t)
}

func TestAddressInUseIsAFailure(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := try(t, daemonEnv(), "run", "--display=synthetic", "--encoder=h264_vaapi",
		"--listen="+l.Addr().String())
	if got.code != exitFailure || !strings.Contains(got.errout, "wavry-host: listen on "+l.Addr().String()) {
		t.Errorf("got %+v", got)
	}
}

func TestStoppedBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr strings.Builder
	args := []string{"run", "--display=synthetic", "--listen=127.0.0.1:0", "--config", write(t, "none.yaml", "")}
	if code := run(ctx, args, nil, io.Discard, &stderr); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

// The address that is printed works: the daemon answers to its name, and the certificate has it.
func TestPageURL(t *testing.T) {
	cert, key := pair(t, time.Now().Add(time.Hour))
	for _, tc := range []struct {
		addr   net.Addr
		secure bool
		want   string
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8470}, false, "http://127.0.0.1:8470/"},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 8470}, true, "https://[::1]:8470/"},
		// not this machine's own name
		{&net.TCPAddr{IP: net.IPv6unspecified, Port: 443}, true, "https://desk.example.net:443/"},
	} {
		l := &loaded{Loaded: new(config.Loaded)}
		if tc.secure {
			l.API.TLS.CertFile, l.API.TLS.KeyFile = cert, key
		}
		if got := l.pageURL(tc.addr); got != tc.want {
			t.Errorf("got %s; want %s", got, tc.want)
		}
	}
}

func TestFactories(t *testing.T) {
	candidates := func(usable ...bool) (all []encode.Candidate) {
		for i, u := range usable {
			all = append(all, encode.Candidate{Profile: encode.Profiles()[i], Proof: encode.Proof{Usable: u}})
		}
		return all
	}
	log := newTestLog(t)
	for _, tc := range []struct {
		usable []bool
		want   int
	}{
		{[]bool{false, true, true}, 2},
		{[]bool{true}, 1},
		{[]bool{false, false}, 2}, // none works: opening one tells why
	} {
		if got := factories(candidates(tc.usable...), log); len(got) != tc.want {
			t.Errorf("%v: %d factories; want %d", tc.usable, len(got), tc.want)
		}
	}
	infos := encoderInfo(candidates(false, true, true))
	if infos[0].InUse || !infos[1].InUse || infos[2].InUse {
		t.Errorf("got %+v", infos)
	}
}

func TestSettingsReachThePartsTheyAreFor(t *testing.T) {
	l, err := load(config.Sources{Path: write(t, "config.yaml", everything(t))})
	if err != nil {
		t.Fatal(err)
	}
	a := apiConfig(l)
	if a.Listen != "[::1]:9000" || a.TLSCert != "/etc/c.pem" || a.TLSKey != "/etc/k.pem" ||
		a.Token != "0123456789abcdef" ||
		len(a.AllowedHosts) != 1 || len(a.AllowedOrigins) != 2 ||
		a.ShutdownTimeout != 3*time.Second {
		t.Errorf("api: %+v", a)
	}
	if err := a.Validate(); err != nil {
		t.Errorf("api refuses what is taken here: %v", err)
	}
	s := sessionConfig(l, &catalog{}, []encode.Candidate{{Profile: encode.Profiles()[0]}}, nil, newTestLog(t))
	if s.MaxSessions != 3 || s.FPS != 30 || s.MinBitrate != 500_000 || s.StartBitrate != 2_500_000 ||
		s.LocalStartBitrate != 4_000_000 || s.MaxBitrate != 4_500_000 ||
		s.UDPPortMin != 50000 || s.UDPPortMax != 50100 || len(s.Interfaces) != 1 || len(s.NAT1To1) != 2 || s.Loopback ||
		s.ConnectTimeout != 5*time.Second || s.DisconnectTimeout != time.Minute || s.SilenceTimeout != 20*time.Second ||
		s.GatherTimeout != 500*time.Millisecond || s.Linger != 200*time.Millisecond ||
		s.ShutdownTimeout != 3*time.Second {
		t.Errorf("session: %+v", s)
	}
	if len(s.ICEServers) != 2 || s.ICEServers[1].Username != "ann" || s.ICEServers[1].Credential != "fedcba9876543210" ||
		s.ICEServers[1].Region != "eu-west" || s.ICEServers[1].Priority != 10 || s.ICEServers[1].Lifetime != time.Hour ||
		len(s.ICERegions) != 2 {
		t.Errorf("session: ICE servers %d", len(s.ICEServers))
	}
	if err := s.Validate(); err != nil {
		t.Errorf("session refuses what is taken here: %v", err)
	}
}
