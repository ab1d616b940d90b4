package relay

import (
	"context"
	"testing"
	"time"
)

// Each URL has a status, in order: the working ones with their round-trip time, the others with their reason.
func TestCheckProbesEachURLOnce(t *testing.T) {
	r := startRelay(t, "east")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := Check(ctx, []Server{
		{URLs: []string{"stun:" + r.udp, "stun:127.0.0.1:1"}},
		{URLs: []string{"turn:" + r.udp}, Secret: "east", Lifetime: time.Hour},
		{URLs: []string{"turn:" + r.udp}, Secret: "south", Lifetime: time.Hour},
	})
	want := []struct {
		state  State
		reason Reason
	}{
		{StateUp, ""}, {StateDown, ReasonUnreachable}, {StateUp, ""}, {StateDown, ReasonUnauthorized},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i, w := range want {
		s := got[i]
		if s.State != string(w.state) || s.Reason != string(w.reason) || w.state == StateUp && s.RTT <= 0 {
			t.Errorf("%d: got %+v; want %v", i, s, w)
		}
	}
}
