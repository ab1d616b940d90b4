package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func refuse(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"error": text})
}

func (g *Gateway) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFrame)).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "Invalid login payload")
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen.Logins++
	a := g.accounts[in.Email]
	now := time.Now()
	switch {
	case a != nil && now.Before(a.lockedUntil):
		refuse(w, http.StatusTooManyRequests, "Too many requests")
	case a == nil:
		refuse(w, http.StatusUnauthorized, "Invalid credentials")
	case a.password != in.Password:
		if a.failures++; a.failures >= maxFailures {
			a.lockedUntil = now.Add(lockTime)
		}
		refuse(w, http.StatusUnauthorized, "Invalid credentials")
	case a.banned:
		refuse(w, http.StatusForbidden, "Account suspended: abuse")
	case a.totp:
		refuse(w, http.StatusUnauthorized, "2FA required")
	default:
		a.failures = 0
		g.grant(w, a, now)
	}
}

// grant answers a login. The caller holds mu.
func (g *Gateway) grant(w http.ResponseWriter, a *account, now time.Time) {
	t := g.token(a.username)
	id := fmt.Sprintf("id-of-%s", a.username)
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
	reply(w, http.StatusOK, map[string]any{
		"user": map[string]any{
			"id": id, "email": a.email, "username": a.username, "public_key": "", "display_name": a.username,
			"created_at": stamp(now),
		},
		"session": map[string]any{
			"token": t, "user_id": id, "expires_at": stamp(now.Add(tokenLife)), "ip_address": "",
			"created_at": stamp(now),
		},
		"token": t, "user_id": id, "email": a.email, "username": a.username, "totp_required": false,
	})
}

// owner returns the user of a token; empty if the token is void. The caller holds mu.
func (g *Gateway) owner(text string) string {
	if t := g.tokens[text]; t != nil && time.Now().Before(t.expires) {
		return t.username
	}
	return ""
}

// bridge accepts signaling messages by HTTP and says whether they were relayed.
func (g *Gateway) bridge(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Token     string `json:"session_token"`
		Target    string `json:"target_username"`
		SDP       string `json:"sdp"`
		Candidate string `json:"candidate"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFrame)).Decode(&in); err != nil {
		http.Error(w, "Failed to parse the request body as JSON", http.StatusBadRequest)
		return
	}
	var kind string
	payload := map[string]string{}
	switch r.PathValue("kind") {
	case "offer":
		kind, payload["sdp"] = "Offer", in.SDP
	case "answer":
		kind, payload["sdp"] = "Answer", in.SDP
	case "candidate":
		kind, payload["candidate"] = "Candidate", in.Candidate
	default:
		http.NotFound(w, r)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.owner(in.Token)
	size := len(in.SDP) + len(in.Candidate)
	switch {
	case from == "":
		refuse(w, http.StatusUnauthorized, "Invalid or expired session token")
		return
	case size == 0 || len(in.SDP) > maxSDP || len(in.Candidate) > maxCandidate:
		refuse(w, http.StatusBadRequest, "Invalid SDP size")
		return
	}
	payload["target_username"] = from
	if to := g.routes[in.Target]; to == nil || !to.put(outgoing{frame: encode(kind, payload)}) {
		refuse(w, http.StatusNotFound, fmt.Sprintf("Target user '%s' is not connected", in.Target))
		return
	}
	reply(w, http.StatusAccepted, map[string]any{"from_username": from, "target_username": in.Target, "relayed": true})
}

func encode(kind string, payload map[string]string) string {
	m := map[string]any{"type": kind}
	if payload != nil {
		m["payload"] = payload
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // texts can always be encoded
	}
	return string(b)
}
