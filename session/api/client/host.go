package client

import (
	"context"
	"net/http"
	"net/url"
)

// Hosts asks about the host as a whole, and changes its state.
type Hosts struct{ c *transport }

// Get returns the host.
func (h Hosts) Get(ctx context.Context) (out Host, err error) {
	_, _, err = h.c.call(ctx, get("/v1/host"), &out)
	return out, err
}

// Capacity returns the capacity for further sessions of a profile such as 1280x720@30; if it is empty, of the usual
// profiles.
func (h Hosts) Capacity(ctx context.Context, profile string) (out Capacities, err error) {
	r := get("/v1/capacity")
	if profile != "" {
		r.query = url.Values{"profile": {profile}}
	}
	_, _, err = h.c.call(ctx, r, &out)
	return out, err
}

// Displays returns the displays that the credential allows, the default first.
func (h Hosts) Displays(ctx context.Context) ([]Display, error) {
	var out struct{ Displays []Display }
	_, _, err := h.c.call(ctx, get("/v1/displays"), &out)
	return out.Displays, err
}

// Resize changes the size of a display, as the operator.
func (h Hosts) Resize(ctx context.Context, display string, in DisplaySize) error {
	path := "/v1/displays/" + url.PathEscape(display) + "/size"
	_, _, err := h.c.call(ctx, request{method: http.MethodPut, path: path, repeats: true}.with(in), nil)
	return err
}

// order makes a request that puts the host into a state or ends it, and returns the host.
func (h Hosts) order(ctx context.Context, method, path string, body any) (out Host, err error) {
	r := request{method: method, path: path, repeats: true}
	if body != nil {
		r = r.with(body)
	}
	_, _, err = h.c.call(ctx, r, &out)
	return out, err
}

// Cordon makes the host refuse new sessions and leave the others alone.
func (h Hosts) Cordon(ctx context.Context, in CordonRequest) (Host, error) {
	return h.order(ctx, http.MethodPut, "/v1/cordon", in)
}

// Uncordon ends the cordon.
func (h Hosts) Uncordon(ctx context.Context) (Host, error) {
	return h.order(ctx, http.MethodDelete, "/v1/cordon", nil)
}

// Drain makes the host refuse new sessions, and move or end the others.
func (h Hosts) Drain(ctx context.Context, in DrainRequest) (Host, error) {
	return h.order(ctx, http.MethodPut, "/v1/drain", in)
}

// Drained returns the progress of the drain. Without one the code of the error is CodeNotDraining.
func (h Hosts) Drained(ctx context.Context) (out DrainStatus, err error) {
	_, _, err = h.c.call(ctx, get("/v1/drain"), &out)
	return out, err
}

// Resume ends the drain.
func (h Hosts) Resume(ctx context.Context) (Host, error) {
	return h.order(ctx, http.MethodDelete, "/v1/drain", nil)
}

// BeginProbation makes the host accept few sessions until they have gone well for a while.
func (h Hosts) BeginProbation(ctx context.Context) (Host, error) {
	return h.order(ctx, http.MethodPut, "/v1/probation", nil)
}

// EndProbation ends the probation.
func (h Hosts) EndProbation(ctx context.Context) (Host, error) {
	return h.order(ctx, http.MethodDelete, "/v1/probation", nil)
}

// Revoke refuses a grant, or all grants of a subject, from now on. It returns the number of sessions that end.
func (h Hosts) Revoke(ctx context.Context, in RevocationRequest) (ended int, err error) {
	r := request{method: http.MethodPost, path: "/v1/revocations", repeats: true}.with(in)
	var out struct {
		Ended int `json:"sessions_ended"`
	}
	_, _, err = h.c.call(ctx, r, &out)
	return out.Ended, err
}

// ProbeEncoders tries all encoders again.
func (h Hosts) ProbeEncoders(ctx context.Context) error {
	_, _, err := h.c.call(ctx, request{method: http.MethodPost, path: "/v1/encoders/probe"}, nil)
	return err
}

// TryProgram tries the installed program. Host.Trial has the result.
func (h Hosts) TryProgram(ctx context.Context) error {
	_, _, err := h.c.call(ctx, request{method: http.MethodPost, path: "/v1/trial"}, nil)
	return err
}

// HandOver lets the daemon leave the host to the installed program, without an end of its sessions. Host.Handover says
// why it did not work, and another daemon answers otherwise.
func (h Hosts) HandOver(ctx context.Context, in HandoverRequest) error {
	_, _, err := h.c.call(ctx, request{method: http.MethodPost, path: "/v1/handover"}.with(in), nil)
	return err
}

// SelfProbe lets the host watch one of its displays as a viewer does. Host.SelfProbe has the result.
func (h Hosts) SelfProbe(ctx context.Context) error {
	_, _, err := h.c.call(ctx, request{method: http.MethodPost, path: "/v1/self-probe"}, nil)
	return err
}

// Reload reads the configuration again.
func (h Hosts) Reload(ctx context.Context, in ReloadRequest) (out Reload, err error) {
	_, _, err = h.c.call(ctx, request{method: http.MethodPost, path: "/v1/reload"}.with(in), &out)
	return out, err
}

// ConfirmReload confirms a change that is reverted otherwise.
func (h Hosts) ConfirmReload(ctx context.Context) error {
	_, _, err := h.c.call(ctx, request{method: http.MethodPost, path: "/v1/reload/confirmation"}, nil)
	return err
}

// Health returns nil if the daemon serves.
func (h Hosts) Health(ctx context.Context) error {
	_, _, err := h.c.call(ctx, get("/healthz"), nil)
	return err
}

// Ready returns nil if a new viewer would get a picture. Else the code of the error is CodeNotReady, and its Reasons
// say why.
func (h Hosts) Ready(ctx context.Context) error {
	_, _, err := h.c.call(ctx, get("/readyz"), nil)
	return err
}

// Metrics returns the metrics in the text format of Prometheus.
func (h Hosts) Metrics(ctx context.Context) (text []byte, err error) {
	_, _, err = h.c.call(ctx, get("/metrics"), &text)
	return text, err
}

// Document returns the OpenAPI document of the host.
func (h Hosts) Document(ctx context.Context) (text []byte, err error) {
	_, _, err = h.c.call(ctx, get("/v1/openapi.json"), &text)
	return text, err
}
