package session

import (
	"errors"
	"testing"
	"time"

	"wavryhost/session/admission"
)

func TestHandshakesAreLimited(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.MaxHandshakes, c.MaxSessions = 3, 100 })
	defer h.close(t)
	h.alive(t)
	var all []*remote
	for range 4 {
		r := newRemote(t)
		defer r.close()
		all = append(all, r)
	}
	var answers []Answer
	for _, r := range all[:3] {
		a, err := h.Create(t.Context(), Offer{Display: "default", SDP: r.offer(false)})
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	offer := Offer{Display: "default", SDP: all[3].offer(false)}
	_, err := h.Create(t.Context(), offer)
	refusal, ok := errors.AsType[*RefusalError](err)
	if !ok || refusal.Resource != string(admission.Handshakes) || refusal.RetryAfter < time.Second ||
		refusal.RetryAfter > 3*time.Second {
		t.Fatalf("got %v; want a refusal for now", err)
	}
	if _, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{Display: "default"}); err != nil {
		t.Errorf("a place for later: %v", err)
	}
	all[0].accept(answers[0])
	all[0].playing(t, 1)
	a, err := h.Create(t.Context(), offer)
	if err != nil {
		t.Fatalf("after one has connected: %v", err)
	}
	all[3].accept(a)
	all[3].playing(t, 3)
}
