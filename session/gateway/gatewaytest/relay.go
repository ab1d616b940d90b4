package gatewaytest

import (
	"encoding/json"
	"strings"
	"time"
)

// fields are the fields of all messages.
type fields struct {
	Target    *string `json:"target_username"`
	SDP       *string `json:"sdp"`
	Candidate *string `json:"candidate"`
	Hello     *string `json:"hello_base64"`
	Ack       *string `json:"ack_base64"`
	Token     *string `json:"token"`
}

// take handles a text frame. The caller holds g.mu.
func (c *conn) take(data []byte) {
	var e struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		c.fatal("Invalid JSON")
		return
	}
	body := []byte(e.Payload)
	if c.g.cfg.Master {
		body = data
	}
	var f fields
	if err := json.Unmarshal(body, &f); err != nil || !complete(c.g.name(e.Type), f) {
		c.fatal("Invalid JSON")
		return
	}
	kind := c.g.name(e.Type)
	switch {
	case kind == "Bind":
		c.bind(*f.Token)
	case c.username == "":
		c.fatal("Bind required before signaling")
	case kind == "REQUEST_RELAY":
		c.lease(*f.Target)
	default:
		c.relay(kind, f)
	}
}

// name returns the gateway's name of a message type; empty for an unknown one.
func (g *Gateway) name(kind string) string {
	names := []string{"Bind", "Offer", "Answer", "Candidate", "OFFER_RIFT", "ANSWER_RIFT", "REQUEST_RELAY"}
	for _, n := range names {
		if own := n; kind == own && !g.cfg.Master || g.cfg.Master && kind == strings.ToUpper(own) {
			return n
		}
	}
	return ""
}

// complete reports whether f has the required fields of a kind.
func complete(kind string, f fields) bool {
	switch kind {
	case "Bind":
		return f.Token != nil
	case "Offer", "Answer":
		return f.Target != nil && f.SDP != nil
	case "Candidate":
		return f.Target != nil && f.Candidate != nil
	case "OFFER_RIFT":
		return f.Target != nil && f.Hello != nil
	case "ANSWER_RIFT":
		return f.Target != nil && f.Ack != nil
	case "REQUEST_RELAY":
		return f.Target != nil
	default:
		return false
	}
}

// bind directs a user's messages to this connection. The caller holds g.mu.
func (c *conn) bind(text string) {
	g, now := c.g, time.Now()
	var recent []time.Time
	for _, at := range g.binds[c.ip] {
		if now.Sub(at) < window {
			recent = append(recent, at)
		}
	}
	g.binds[c.ip] = append(recent, now)
	name := g.owner(text)
	if g.cfg.Master {
		name = "user_" + text[:min(8, len(text))]
	}
	switch {
	case c.username != "":
		c.fatal("Already bound")
		return
	case len(recent) >= g.cfg.Binds:
		c.fatal("Bind rate limit exceeded")
		return
	case !g.cfg.Master && len(text) != 64:
		c.fatal("Invalid token format")
		return
	case name == "":
		c.fatal("Invalid Token")
		return
	case g.faults.Reply != "":
		c.put(outgoing{frame: g.faults.Reply})
		return
	}
	if old := g.routes[name]; old != nil {
		old.put(old.complaint("Session replaced by a newer connection"))
	}
	c.username = name
	g.routes[name] = c
	g.seen.Bound++
	g.seen.BindTimes = append(g.seen.BindTimes, now)
	if g.cfg.Master || g.faults.NoBound {
		return
	}
	bound := outgoing{frame: encode("Bound", nil), last: g.faults.EndAfterBound}
	if g.faults.BoundDelay == 0 {
		c.put(bound)
		return
	}
	time.AfterFunc(g.faults.BoundDelay, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		c.put(bound)
	})
}

// relay passes a message on, with the sender instead of the receiver. The caller holds g.mu.
func (c *conn) relay(kind string, f fields) {
	payload := map[string]string{"target_username": c.username}
	limit := 0
	put := func(name string, v *string, most int) {
		if v != nil {
			payload[name], limit = *v, most
			if len(*v) > most || *v == "" {
				limit = -1
			}
		}
	}
	put("sdp", f.SDP, maxSDP)
	put("candidate", f.Candidate, maxCandidate)
	put("hello_base64", f.Hello, maxRIFT)
	put("ack_base64", f.Ack, maxRIFT)
	if limit < 0 {
		c.put(c.complaint("Invalid " + strings.ToUpper(kind) + " payload"))
		return
	}
	if n := len(*f.Target); n < 3 || n > 64 {
		c.put(c.complaint("Invalid target username"))
		return
	}
	to := c.g.routes[*f.Target]
	if to == nil || to.username == c.username && c.g.cfg.KeepsOwn {
		return // silently
	}
	if !c.g.cfg.Master {
		to.put(outgoing{frame: encode(kind, payload)})
		return
	}
	payload["type"] = strings.ToUpper(kind)
	b, err := json.Marshal(payload)
	if err != nil {
		panic(err) // texts can always be encoded
	}
	to.put(outgoing{frame: string(b)})
}

// RelayToken is the secret in the gateway's relay credentials.
const RelayToken = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2"

// lease gives relay credentials to both sides. The caller holds g.mu.
func (c *conn) lease(target string) {
	frame := encode("RELAY_CREDENTIALS", map[string]string{
		"token": RelayToken, "addr": "127.0.0.1:3478", "session_id": "3b0f3b6e-3a3c-4d7c-9a55-6d7f5f0f2b11",
	})
	c.put(outgoing{frame: frame})
	if to := c.g.routes[target]; to != nil && to != c {
		to.put(outgoing{frame: frame})
	}
}
