package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session"
	"wavryhost/session/api"
	"wavryhost/session/gateway"
)

func TestSettingsOfTheGatewayAreChecked(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		want string // "" for a configuration that holds
	}{
		{"none", nil, ""},
		{"complete", []string{"URL=wss://g.example/ws", "ACCOUNT_FILE=/a", "ALLOW=ann"}, ""},
		{"no credentials", []string{"URL=wss://g.example/ws", "ALLOW=ann"}, "either a token file or an account file"},
		{"nobody may watch", []string{"URL=wss://g.example/ws", "TOKEN_FILE=/a"}, "nobody could watch"},
		{"in clear text", []string{"URL=ws://g.example/ws", "TOKEN_FILE=/a", "ALLOW=ann"}, "use wss://"},
		{"in clear text, allowed", []string{"URL=ws://g.example/ws", "TOKEN_FILE=/a", "ALLOW=ann", "INSECURE=true"}, ""},
		{"no such dialect", []string{"DIALECT=klingon"}, "is not wavry or master"},
		{"bad pin", []string{"URL=wss://g.example/ws", "TOKEN_FILE=/a", "ALLOW=ann", "PINS=abc"}, "64 hexadecimal digits"},
		{"any origin", []string{"ORIGIN=*"}, "is not scheme://host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var env []string
			for _, e := range c.env {
				env = append(env, "WAVRY_HOST_GATEWAY__"+e)
			}
			_, err := load(config.Sources{Env: env})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v; want %q", err, c.want)
			}
		})
	}
}

func TestALinkIsMadeFromTheSettings(t *testing.T) {
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, []byte("not PEM"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := config.Config{Gateway: config.Gateway{
		URL:       "wss://g.example/ws",
		Dialect:   "master",
		TokenFile: filepath.Join(dir, "token"),
		Allow:     []string{"ann"},
	}}
	reg := prometheus.NewRegistry()
	link, err := newLink(&cfg, new(session.Manager), nil, nil, reg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if s := link.Status(); s.Gateway != "g.example" || s.Dialect != "master" || s.State != "disconnected" {
		t.Errorf("the link shows %+v", s)
	}
	if n, err := testutil.GatherAndCount(reg, "wavry_host_gateway_state"); err != nil || n != len(gateway.States()) {
		t.Errorf("%d states are exported, %v; want %d", n, err, len(gateway.States()))
	}
	cfg.Gateway.CAFile = ca
	quiet := slog.New(slog.DiscardHandler)
	if _, err := newLink(&cfg, new(session.Manager), nil, nil, prometheus.NewRegistry(), quiet); err == nil ||
		!strings.Contains(err.Error(), "no certificate") {
		t.Errorf("a CA file without a certificate gives %v", err)
	}
	link, err = newLink(new(config.Config), nil, nil, nil, reg, slog.New(slog.DiscardHandler))
	if link != nil || err != nil {
		t.Errorf("no gateway gives %v, %v", link, err)
	}
}

func TestOneStateOfTheLinkIsExported(t *testing.T) {
	c := newGatewayCounters(prometheus.NewRegistry())
	c.State(gateway.StateConnecting)
	if got := testutil.ToFloat64(c.bound); got != 0 {
		t.Errorf("bound at %v before it was; want 0", got)
	}
	c.State(gateway.StateBound)
	c.bound.Set(1)
	c.State(gateway.StateDisconnected)
	if got := testutil.ToFloat64(c.bound); got < 1e9 {
		t.Errorf("bound at %v; want the moment of its end", got)
	}
	c.bound.Set(1)
	c.State(gateway.StateConnecting)
	if got := testutil.ToFloat64(c.bound); got != 1 {
		t.Errorf("bound at %v; want the time before", got)
	}
	for _, s := range gateway.States() {
		c.State(s)
		sum := 0.0
		for _, other := range gateway.States() {
			sum += testutil.ToFloat64(c.state.WithLabelValues(other.String()))
		}
		if now := testutil.ToFloat64(c.state.WithLabelValues(s.String())); sum != 1 || now != 1 {
			t.Errorf("in state %v its own series is %v, their sum %v; want 1 and 1", s, now, sum)
		}
	}
}

func TestFilesThatEverybodyReadsAreNoSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := privateReader(newTestLog(t))(file); err != nil || string(data) != "x" {
		t.Errorf("got %q, %v", data, err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := privateReader(newTestLog(t))(file); err == nil || !strings.Contains(err.Error(), "chmod 640") {
		t.Errorf("a file open to all gives %v", err)
	}
}

// The API's document has the words of the link, which the API cannot import.
func TestDocumentKnowsTheLink(t *testing.T) {
	data, err := os.ReadFile("../../docs/integrate/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Schemas struct {
				GatewayLink struct {
					Properties map[string]struct{ Enum []string }
				}
			}
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	link := doc.Components.Schemas.GatewayLink.Properties
	var states []string
	for _, s := range gateway.States() {
		states = append(states, s.String())
	}
	if got := link["state"].Enum; !slices.Equal(got, states) {
		t.Errorf("states %v; want %v", got, states)
	}
	// It shows the same as the link does.
	full := gateway.Status{
		Gateway:  "g",
		Dialect:  "d",
		Username: "u",
		State:    "bound",
		Since:    time.Unix(1, 0),
		Class:    "c",
		Reason:   "r",
		Failures: 2,
		NextTry:  time.Unix(2, 0),
		Route:    "proven",
	}
	for _, s := range []gateway.Status{{}, full} {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(api.GatewayLink(s))
		if err != nil || string(got) != string(want) {
			t.Errorf("shown as %s, %v; want %s", got, err, want)
		}
	}
}
