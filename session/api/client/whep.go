package client

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// WHEP opens and ends sessions as a viewer.
type WHEP struct{ c *transport }

// Offer is a viewer's request for a session.
type Offer struct {
	// Display is the ID of the display. It defaults to the first one.
	Display string
	// SDP is the offer.
	SDP string
	// Reservation is the ID of the reservation that the session uses, if any.
	Reservation string
	// Region is the region of the ICE servers. It defaults to the host's choice.
	Region string
	// Pointer is how the viewer gets the display's pointer: in the "picture", which is the default, or by a data
	// "channel".
	Pointer string
	// Replaces is the ID of a session that is Moving, and which the viewer ends once it has the picture of this one.
	Replaces string
}

// Answer is a session that is open.
type Answer struct {
	ID string
	// SDP is the host's answer.
	SDP string
	// ETag identifies the ICE session.
	ETag string
	// ICEServers are the STUN and TURN servers for the viewer.
	ICEServers []ICEServer
}

// Options are what a viewer needs before it connects.
type Options struct {
	// ICEServers are the STUN and TURN servers for the viewer.
	ICEServers []ICEServer
	// TakesInput reports whether a session of this client may send input.
	TakesInput bool
}

// Options asks for the ICE servers of a region, and whether a display accepts input from this client. The display and
// the region have the same defaults as in an Offer.
func (w WHEP) Options(ctx context.Context, display, region string) (Options, error) {
	r := request{method: http.MethodOptions, path: displayPath(display), query: url.Values{}, repeats: true}
	if region != "" {
		r.query.Set("region", region)
	}
	h, _, err := w.c.call(ctx, r, nil)
	if err != nil {
		return Options{}, err
	}
	return Options{ICEServers: iceServers(h.Values("Link")), TakesInput: h.Get("Wavry-Input") == "taken"}, nil
}

// displayPath returns the path of a display.
func displayPath(display string) string {
	if display == "" {
		display = "default"
	}
	return "/whep/" + url.PathEscape(display)
}

// Open opens a session. A request with the same key returns the same session within ten minutes; an empty key stands
// for a new one.
func (w WHEP) Open(ctx context.Context, key string, o Offer) (Answer, error) {
	r := request{
		method: http.MethodPost, path: displayPath(o.Display), media: mediaSDP, body: []byte(o.SDP),
		query: url.Values{},
	}.keyed(key)
	for name, value := range map[string]string{
		"reservation": o.Reservation, "region": o.Region, "pointer": o.Pointer, "replaces": o.Replaces,
	} {
		if value != "" {
			r.query.Set(name, value)
		}
	}
	var text []byte
	h, _, err := w.c.call(ctx, r, &text)
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		ID: path.Base(h.Get("Location")), SDP: string(text), ETag: h.Get("ETag"),
		ICEServers: iceServers(h.Values("Link")),
	}, nil
}

// Patch passes candidates to a session, or restarts ICE if etag is "*". After a restart it returns the host's fragment
// and the new ETag.
func (w WHEP) Patch(ctx context.Context, id, etag, fragment string) (answer, next string, err error) {
	r := request{
		method: http.MethodPatch, path: "/whep/sessions/" + url.PathEscape(id), media: mediaFragment,
		body: []byte(fragment), repeats: true, // a repeated restart returns the same answer
	}
	if etag != "" {
		r.header = http.Header{"If-Match": {etag}}
	}
	var text []byte
	h, _, err := w.c.call(ctx, r, &text)
	if err != nil {
		return "", "", err
	}
	return strings.TrimSpace(string(text)), h.Get("ETag"), nil
}

// End ends a session.
func (w WHEP) End(ctx context.Context, id string) error {
	r := request{method: http.MethodDelete, path: "/whep/sessions/" + url.PathEscape(id), repeats: true}
	_, _, err := w.c.call(ctx, r, nil)
	return err
}
