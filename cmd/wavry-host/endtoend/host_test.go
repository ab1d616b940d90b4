//go:build integration

package endtoend

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// host is a running daemon.
type host struct {
	*process
	url    string
	token  string
	state  string // its state folder; empty if it was told its token
	client *http.Client
}

// hostOptions says how to run a daemon. The zero value listens on a free port of 127.0.0.1.
type hostOptions struct {
	program   string // "" for the program of all tests
	namespace string // network namespace, "" for the test's own
	listen    string
	token     string // the operator's, as the daemon is told it; "" leaves the daemon to make one
	secure    bool
	// The machine's load limits admission and quality, as in production. Without it, other work on the machine changes
	// nothing.
	measured bool
	args     []string // flags with their values, and settings such as "displays.cursor=false"
	env      []string
}

// setting matches a setting and its value. Only the commonest settings have flags; the others become variables.
var setting = regexp.MustCompile(`^[a-z_]+(?:\.[a-z0-9_]+)+=`)

// settingsApart returns flags as they are, and settings as variables.
func settingsApart(args []string) (flags, variables []string) {
	for _, arg := range args {
		if !setting.MatchString(arg) {
			flags = append(flags, arg)
			continue
		}
		name, value, _ := strings.Cut(arg, "=")
		variables = append(variables, "WAVRY_HOST_"+strings.ToUpper(strings.ReplaceAll(name, ".", "__"))+"="+value)
	}
	return flags, variables
}

func startHost(t testing.TB, o hostOptions) *host {
	t.Helper()
	if o.listen == "" {
		o.listen = "127.0.0.1:0"
	}
	flags, variables := settingsApart(o.args)
	args := append([]string{cmp.Or(o.program, hostBinary), "run", "--listen", o.listen, "--log-format", "json"}, flags...)
	if !o.measured {
		variables = append(variables, "WAVRY_HOST_SESSIONS__ADMISSION=limits")
	}
	if o.namespace != "" {
		args = append([]string{"ip", "netns", "exec", o.namespace}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = slices.Concat(os.Environ(), ownDesktop(t), variables, o.env)
	state := ""
	if o.token == "" {
		state = t.TempDir()
		cmd.Env = append(cmd.Env, "STATE_DIRECTORY="+state)
	} else { // its socket would be in the home folder
		cmd.Env = append(cmd.Env, "WAVRY_HOST_API__SOCKET=none")
	}
	h := &host{token: o.token, state: state}
	scheme := "http://"
	transport := &http.Transport{}
	if o.secure {
		scheme = "https://"
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the test made the certificate itself
	}
	if o.namespace != "" {
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialWithin(ctx, o.namespace, network, address)
		}
	}
	h.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	h.process = start(t, cmd)
	t.Cleanup(h.client.CloseIdleConnections)
	eventually(t, patience, "the daemon becomes ready", func() error {
		select {
		case <-h.done:
			t.Fatalf("the daemon ended: %v\n%s", h.err, tail(h.out.String(), 4000))
		default:
		}
		if h.url == "" {
			address := h.address()
			if address == "" {
				return errNotYet
			}
			h.url = scheme + address
		}
		if state != "" && h.token == "" {
			text, err := os.ReadFile(filepath.Join(state, "token"))
			if err != nil {
				return err
			}
			h.token = strings.TrimSpace(string(text))
		}
		status, body, err := h.request("GET", "/readyz")
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("status %d: %s", status, body)
		}
		return nil
	})
	return h
}

// ownDesktop returns settings by which a virtual display is the test's own, and ends with the daemon.
func ownDesktop(t testing.TB) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wavry-desktop-") // t.TempDir may be too long for the address of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return []string{
		"WAVRY_HOST_DISPLAYS__VIRTUAL_KEEP=1ms", "WAVRY_HOST_DISPLAYS__VIRTUAL_SOCKET=" + filepath.Join(dir, "control.sock"),
	}
}

// page returns the address of the viewer page, with a query and the operator's token.
func (h *host) page(query string) string { return h.url + "/" + query + "#token=" + h.token }

// address returns the listening address from the log, or "" before it is logged.
func (h *host) address() string {
	for line := range strings.Lines(h.out.String()) {
		var record struct{ Msg, Addr string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "api listening" {
			return record.Addr
		}
	}
	return ""
}

// waitLog waits until the log contains a text. The API may show a change before the log arrives through the pipe.
func (h *host) waitLog(t testing.TB, text string) {
	t.Helper()
	eventually(t, patience, "the log has "+text, func() error {
		if !strings.Contains(h.out.String(), text) {
			return errNotYet
		}
		return nil
	})
}

// request makes one API call without a body.
func (h *host) request(method, path string) (int, []byte, error) { return h.send(method, path, "") }

// send makes one API call, with a JSON body unless it is empty.
func (h *host) send(method, path, body string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, h.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if h.token != "" {
		request.Header.Set("Authorization", "Bearer "+h.token)
	}
	response, err := h.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, data, err
}

// snapshot has the fields of a session that the tests read.
type snapshot struct {
	ID              string  `json:"id"`
	Display         string  `json:"display"`
	State           string  `json:"state"`
	Path            string  `json:"path"`
	Protocol        string  `json:"protocol"`
	Pointer         string  `json:"pointer"`
	Codec           string  `json:"codec"`
	CodecReason     string  `json:"codec_reason"`
	Encoder         string  `json:"encoder"`
	Frozen          bool    `json:"frozen"`
	Encoding        int     `json:"encoding"`
	FPS             float64 `json:"fps"`
	Width           int     `json:"width"`
	Height          int     `json:"height"`
	TargetBitrate   int     `json:"target_bitrate"`
	AchievedBitrate int     `json:"achieved_bitrate"`
	RTTSeconds      float64 `json:"rtt_seconds"`
	QueueSeconds    float64 `json:"queue_delay_seconds"`
	Loss            float64 `json:"loss"`
	Quality         string  `json:"quality"`
	Reason          string  `json:"reason"`
	FramesSent      uint64  `json:"frames_sent"`
	KeyframesSent   uint64  `json:"keyframes_sent"`
	Retransmissions uint64  `json:"retransmissions"`
	Transitions     []struct {
		From, To, Reason string
	} `json:"transitions"`
}

// sessions lists the daemon's sessions.
func (h *host) sessions() ([]snapshot, error) {
	status, body, err := h.request("GET", "/v1/sessions")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("GET /v1/sessions: status %d: %s", status, body)
	}
	var list struct{ Sessions []snapshot }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("GET /v1/sessions: %w: %s", err, body)
	}
	return list.Sessions, nil
}

// session returns the only session.
func (h *host) session(t testing.TB) snapshot {
	t.Helper()
	list, err := h.sessions()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 {
		t.Fatalf("%d sessions; want 1", len(list))
	}
	return list[0]
}

// waitMetric waits until a metric has a value; see metric.
func (h *host) waitMetric(t testing.TB, prefix string, want float64) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%s is %v", prefix, want), func() error {
		if got := h.metric(t, prefix); got != want {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// metric returns the sum of the samples whose name and labels, as exported, begin with prefix.
func (h *host) metric(t testing.TB, prefix string) float64 {
	t.Helper()
	status, body, err := h.request("GET", "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET /metrics: status %d, %v", status, err)
	}
	sum := 0.0
	for scanner := bufio.NewScanner(bytes.NewReader(body)); scanner.Scan(); {
		line := scanner.Text()
		if !strings.HasPrefix(line, prefix) || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
		if err != nil {
			t.Fatalf("metric line %q: %v", line, err)
		}
		sum += v
	}
	return sum
}
