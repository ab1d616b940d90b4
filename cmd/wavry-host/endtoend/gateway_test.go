//go:build integration

package endtoend

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wavryhost/session/gateway/gatewaytest"
)

// The daemon binds to a gateway, survives the gateway's restart with a viewer watching, and reports each step.
// session/gateway tests that offers are answered over a gateway and that media flows.
func TestGatewayLink(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(gatewaytest.Config{})
	defer g.Close()
	server := httptest.NewServer(g)
	defer server.Close()
	g.Register("host7", "host-7@example.net", "a long password")
	account := filepath.Join(t.TempDir(), "gateway.json")
	if err := os.WriteFile(account, []byte(`{"email":"host-7@example.net","password":"a long password"}`),
		0o600); err != nil {
		t.Fatal(err)
	}
	h := startHost(t, hostOptions{args: []string{
		"--display", "synthetic", "--virtual-size", "640x360", "--fps", "30",
		"gateway.url=ws" + strings.TrimPrefix(server.URL, "http") + "/ws",
		"gateway.account_file=" + account, "gateway.allow=ann",
	}})
	bound := func() error {
		_, body, err := h.request("GET", "/v1/host")
		if err != nil {
			return err
		}
		var v struct {
			Gateway struct{ State, Username, Route, Reason string }
		}
		if err := json.Unmarshal(body, &v); err != nil {
			return err
		}
		if v.Gateway.State != "bound" || v.Gateway.Username != "host7" || v.Gateway.Route != "proven" {
			return fmt.Errorf("the link is %+v", v.Gateway)
		}
		return nil
	}
	eventually(t, patience, "the host is bound and its route proven", bound)
	if v := h.metric(t, `wavry_host_gateway_state{state="bound"}`); v != 1 {
		t.Errorf("the metric of state bound is %v; want 1", v)
	}

	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 30, patience)
	g.Restart()
	eventually(t, patience, "the end of the connection is counted", func() error {
		if h.metric(t, "wavry_host_gateway_failures_total") == 0 {
			return errNotYet
		}
		return nil
	})
	b.waitFrames(t, 30, patience)
	eventually(t, patience, "the host is bound again", bound)
	if s := h.session(t); s.State != "connected" {
		t.Errorf("the session is %s", s.State)
	}
	if strings.Contains(h.out.String(), "a long password") {
		t.Error("the log has the password")
	}
}
