package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/api/problem"
	"wavryhost/session/api/whep"
)

func typed(more ...string) map[string]string {
	h := map[string]string{"Content-Type": "application/json"}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}

func TestReservations(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	h := s.Handler()
	resp := ask{
		method: "POST", path: "/v1/reservations", header: typed("Idempotency-Key", "k1"),
		body: `{"display": "x11:0", "hold_seconds": 2.5, "max_bitrate": 3000000, "weight": 50}`,
	}.do(h)
	l := decode(t, resp, http.StatusCreated)
	want := admission.ReservationRequest{
		Display: "x11:0", Hold: 2500 * time.Millisecond, MaxBitrate: 3_000_000,
		Weight: 50,
	}
	if !slices.Equal(m.asked, []admission.ReservationRequest{want}) || l["id"] != "l1" ||
		resp.Header.Get("Location") != "reservations/l1" {
		t.Errorf("asked for %+v, got %v, %v", m.asked, l, resp.Header)
	}
	decode(t, ask{method: "POST", path: "/v1/reservations", header: typed(), body: `{}`}.do(h), http.StatusCreated)
	if m.asked[1] != (admission.ReservationRequest{Display: "default"}) {
		t.Errorf("asked for %+v; want the default", m.asked[1])
	}
	full := ask{method: "POST", path: "/v1/reservations", header: typed(), body: `{}`}.do(h)
	if refusal(t, full) != problem.Full || full.Header.Get("Retry-After") == "" || !strings.Contains(full.body,
		`"resource":"sessions"`) {
		t.Errorf("full: %s, %v", full.body, full.Header)
	}
	if list := decode(t, ask{method: "GET", path: "/v1/reservations"}.do(h),
		http.StatusOK)["reservations"].([]any); len(list) != 2 {
		t.Errorf("list %v", list)
	}
	if one := decode(t, ask{method: "GET", path: "/v1/reservations/l1"}.do(h), http.StatusOK); one["id"] != "l1" {
		t.Errorf("reservation %v", one)
	}
	renew := func(id, body string) reply {
		return ask{method: "PATCH", path: "/v1/reservations/" + id, header: typed(), body: body}.do(h)
	}
	if one := decode(t, renew("l1", `{"hold_seconds": 60}`), http.StatusOK); one["id"] != "l1" {
		t.Errorf("renewed %v", one)
	}
	for _, bad := range []string{`{}`, `{"hold_seconds": 121}`, `{"hold_seconds": 0}`, `{"hold_seconds": "1m"}`} {
		if got := refusal(t, renew("l1", bad)); got != problem.BadJSON {
			t.Errorf("renewed by %s: %s", bad, got)
		}
	}
	if got := refusal(t, renew("l9", `{"hold_seconds": 60}`)); got != problem.UnknownReservation {
		t.Errorf("renewed another: %s", got)
	}
	if resp := (ask{method: "DELETE", path: "/v1/reservations/l1"}).do(h); resp.StatusCode != http.StatusNoContent {
		t.Errorf("release: %d", resp.StatusCode)
	}
	for path, c := range map[string]struct {
		body string
		key  string
		want problem.Code
	}{
		"unknown":  {`{"display": "no"}`, "", problem.UnknownDisplay},
		"long key": {`{}`, strings.Repeat("k", longestKey+1), problem.BadRequest},
		"too long": {`{"hold_seconds": 121}`, "", problem.BadJSON},
		"weight":   {`{"weight": 0}`, "", problem.BadJSON},
		"field":    {`{"Display": "x11:0"}`, "", problem.BadJSON},
	} {
		got := refusal(t, ask{method: "POST", path: "/v1/reservations", header: typed("Idempotency-Key",
			c.key), body: c.body}.do(h))
		if got != c.want {
			t.Errorf("%s: %s; want %s", path, got, c.want)
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		if got := refusal(t, ask{
			method: method,
			path:   "/v1/reservations/l1",
		}.do(h)); got != problem.UnknownReservation {
			t.Errorf("%s after the release: %s", method, got)
		}
	}
}

func TestSessionIsOpenedWithAReservation(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	h := s.Handler()
	body := `{"reservation": "l1", "display": "x11:0", "sdp": "v=0", "max_bitrate": 500000, "weight": 7}`
	resp := ask{method: "POST", path: "/v1/sessions", header: typed(), body: body, remote: "192.0.2.1:5"}.do(h)
	a := decode(t, resp, http.StatusCreated)
	if a["id"] != "s1" || a["path"] != "/whep/sessions/s1" || a["etag"] != `"e1"` ||
		resp.Header.Get("Location") != "sessions/s1" {
		t.Errorf("%v, %v", a, resp.Header)
	}
	ask{
		method: "POST", path: "/whep/x11:0?reservation=l2",
		header: map[string]string{"Content-Type": whep.TypeSDP}, body: "v=0",
	}.do(h)
	want := []session.Offer{
		{
			Display: "x11:0", SDP: "v=0", Reservation: "l1", MaxBitrate: 500_000, Weight: 7, RemoteAddr: "192.0.2.1:5",
			Owner: theOperator,
		},
		{
			Display: "x11:0", SDP: "v=0", Reservation: "l2", Role: session.RoleOperator, RemoteAddr: "192.0.2.1:1234",
			Owner: theOperator,
		},
	}
	if !slices.Equal(m.offers, want) {
		t.Errorf("offers %+v; want %+v", m.offers, want)
	}
}

func TestSessionIsChanged(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	h := s.Handler()
	change := func(id, body string) reply {
		return ask{method: "PATCH", path: "/v1/sessions/" + id, header: typed(), body: body}.do(h)
	}
	if one := decode(t, change("s1", `{"max_bitrate": 0, "weight": 5, "display": "x11:0"}`),
		http.StatusOK); one["id"] != "s1" {
		t.Errorf("%v", one)
	}
	if c := m.changes[0]; *c.MaxBitrate != 0 || *c.Weight != 5 || *c.Display != "x11:0" {
		t.Errorf("%+v", c)
	}
	decode(t, change("s1", `{}`), http.StatusOK)
	if c := m.changes[1]; c != (session.Change{}) {
		t.Errorf("%+v; want no change", c)
	}
	for body, want := range map[string]problem.Code{
		`{"display": "no"}`: problem.UnknownDisplay, `{"max_bitrate": 1}`: problem.BadChange,
		`{"weight": 1001}`: problem.BadJSON, `{"weight": null}`: problem.BadJSON,
	} {
		if got := refusal(t, change("s1", body)); got != want {
			t.Errorf("%s: %s; want %s", body, got, want)
		}
	}
	if got := refusal(t, change("s2", `{}`)); got != problem.UnknownSession {
		t.Errorf("unknown: %s", got)
	}
}

func TestStates(t *testing.T) {
	m := healthy()
	s, _ := newServer(t, Config{}, m)
	h := s.Handler()
	if got := refusal(t, ask{method: "GET", path: "/v1/drain"}.do(h)); got != problem.NotDraining {
		t.Errorf("no drain: %s", got)
	}
	decode(t, ask{
		method: "PUT", path: "/v1/drain", header: typed(),
		body: `{"deadline_seconds": 9, "policy": "move"}`,
	}.do(h), http.StatusOK)
	if d := decode(t, ask{method: "GET", path: "/v1/drain"}.do(h), http.StatusOK); d["policy"] != "wait" {
		t.Errorf("%v", d)
	}
	if got := refusal(t, ask{
		method: "PUT", path: "/v1/drain", header: typed(),
		body: `{"deadline_seconds": 9, "policy": "run"}`,
	}.do(h)); got != problem.BadJSON {
		t.Errorf("bad policy: %s", got)
	}
	for method, want := range map[string]string{"PUT": "probation", "DELETE": "active"} {
		if v := decode(t, ask{method: method, path: "/v1/probation"}.do(h), http.StatusOK); v["state"] != want {
			t.Errorf("%s of the probation: %v", method, v["state"])
		}
	}
}

// reloadable is cfg with reload functions that succeed.
func reloadable(cfg Config) Config {
	cfg.Reload = func(confirm time.Duration) (Reloaded, error) {
		r := Reloaded{Applied: []string{"fps"}, NeedsRestart: []string{}}
		if confirm > 0 {
			r.ConfirmBy = time.Now().Add(confirm)
		}
		return r, nil
	}
	cfg.Confirm = func() error { return nil }
	return cfg
}

func TestReload(t *testing.T) {
	probed, tried, watched, within := 0, 0, 0, time.Duration(0)
	cfg := reloadable(Config{})
	cfg.Probe = func() { probed++ }
	cfg.Try = func() { tried++ }
	cfg.SelfProbe = func() { watched++ }
	cfg.LastProbe = func() *SelfProbe { return &SelfProbe{State: ProbeFailed, Problem: "no picture"} }
	cfg.HandOver = func(d time.Duration) { within = d }
	cfg.Handover = func() *Handover { return &Handover{State: HandoverFailed, Problem: "it crashed"} }
	cfg.Trial = func() *ProgramTrial {
		return &ProgramTrial{State: TrialFailed, Version: "v2", Problems: []string{"encoder libx264: crashed"}}
	}
	s, _ := newServer(t, cfg, healthy())
	h := s.Handler()
	post := func(path, body string) reply {
		return ask{method: "POST", path: path, header: typed(), body: body}.do(h)
	}
	if v := decode(t, post("/v1/reload", `{"confirm_seconds": 30}`), http.StatusOK); v["confirm_by"] == nil ||
		len(v["applied"].([]any)) != 1 {
		t.Errorf("%v", v)
	}
	if v := decode(t, post("/v1/reload", ""), http.StatusOK); v["confirm_by"] != nil {
		t.Errorf("%v", v)
	}
	if r := post("/v1/reload/confirmation", ""); r.StatusCode != http.StatusNoContent {
		t.Errorf("confirm: %d", r.StatusCode)
	}
	if r := post("/v1/encoders/probe", ""); r.StatusCode != http.StatusAccepted || probed != 1 {
		t.Errorf("probe: %d, %d", r.StatusCode, probed)
	}
	if r := post("/v1/trial", ""); r.StatusCode != http.StatusAccepted || tried != 1 {
		t.Errorf("trial: %d, %d", r.StatusCode, tried)
	}
	if r := post("/v1/self-probe", ""); r.StatusCode != http.StatusAccepted || watched != 1 {
		t.Errorf("self-probe: %d, %d", r.StatusCode, watched)
	}
	r := post("/v1/handover", `{"deadline_seconds": 90}`)
	if r.StatusCode != http.StatusAccepted || within != 90*time.Second {
		t.Errorf("handover: %d, %v", r.StatusCode, within)
	}
	if got := refusal(t, post("/v1/handover", `{"deadline_seconds": -1}`)); got != problem.BadJSON {
		t.Errorf("handover in the past: %s", got)
	}
	v := decode(t, ask{method: "GET", path: "/v1/host"}.do(h), http.StatusOK)
	last, ok := v["handover"].(map[string]any)
	if !ok || last["state"] != HandoverFailed || last["problem"] != "it crashed" {
		t.Errorf("the host shows the handover %v", v["handover"])
	}
	if probe, ok := v["self_probe"].(map[string]any); !ok || probe["state"] != ProbeFailed {
		t.Errorf("the host shows the self-probe %v", v["self_probe"])
	}
	if trial, ok := v["trial"].(map[string]any); !ok || trial["state"] != TrialFailed || trial["version"] != "v2" {
		t.Errorf("the host shows the trial %v", v["trial"])
	}
	if got := refusal(t, post("/v1/reload", `{"confirm_seconds": 4000}`)); got != problem.BadJSON {
		t.Errorf("too long: %s", got)
	}

	s, _ = newServer(t, Config{Reload: func(time.Duration) (Reloaded, error) {
		return Reloaded{}, fmt.Errorf("%w: a.yaml:3: fps: 1000 is too much\nb", ErrBadConfiguration)
	}}, healthy())
	h = s.Handler()
	if r := post("/v1/reload", ""); refusal(t, r) != problem.BadConfiguration || !strings.Contains(r.body,
		`"a.yaml:3: fps: 1000 is too much"`) {
		t.Errorf("refused: %s", r.body)
	}
	if got := refusal(t, post("/v1/reload/confirmation", "")); got != problem.NothingToConfirm {
		t.Errorf("nothing to confirm: %s", got)
	}
}

func TestCapacity(t *testing.T) {
	s, _ := newServer(t, Config{}, healthy())
	h := s.Handler()
	if all := decode(t, ask{method: "GET", path: "/v1/capacity"}.do(h),
		http.StatusOK)["profiles"].([]any); len(all) < 5 {
		t.Errorf("only %d profiles", len(all))
	}
	one := decode(t, ask{method: "GET", path: "/v1/capacity?profile=1280x720@30"}.do(h),
		http.StatusOK)["profiles"].([]any)
	if len(one) != 1 || one[0].(map[string]any)["more"] != 3.0 {
		t.Errorf("one profile: %v", one)
	}
	for _, bad := range []string{"%22", "1280x720", "0x0@0", "9999x9999@999", "1280x720@30%20"} {
		if got := refusal(t, ask{method: "GET", path: "/v1/capacity?profile=" + bad}.do(h)); got != problem.BadRequest {
			t.Errorf("%s: %s", bad, got)
		}
	}
}
