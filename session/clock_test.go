package session

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The wall clock may be put forward or back by hours: how long nothing was heard of a viewer is counted by the
// monotonic one.
func TestStepOfTheWallClockIsNoSilence(t *testing.T) {
	var i instant
	i.set(time.Now())
	if got := i.get().String(); !strings.Contains(got, "m=+") {
		t.Errorf("the time %s has lost its monotonic reading", got)
	}
	synctest.Test(t, func(t *testing.T) {
		var v viewer
		v.heard.set(time.Now())
		time.Sleep(time.Second)
		if got := time.Since(presence{&v}.LastHeard()); got != time.Second {
			t.Errorf("silent for %v; want a second", got)
		}
	})
}

// What happened to a session is told before its end, however late an encode loop comes with it.
func TestNothingIsToldOfASessionAfterItsEnd(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 3)
	h.registry.mu.Lock()
	v := h.registry.sessions[r.id].viewer
	h.registry.mu.Unlock()
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	before := h.journal.LastEvent()
	v.adaptation.mu.Lock()
	v.transition(v.adaptation.targets.Transition)
	v.adaptation.mu.Unlock()
	if n := h.journal.LastEvent(); n != before {
		t.Errorf("%d events after the end", n-before)
	}
}

// However much happens between two looks, a failure prolongs a probation.
func TestFailureAmongManyEventsIsSeen(t *testing.T) {
	var n news
	n.put(Event{Kind: EventDisplayLost})
	for range 10_000 {
		n.put(Event{Kind: EventQuality})
	}
	n.put(Event{Kind: EventConnected})
	if served, failed := n.take(); !served || !failed {
		t.Errorf("served %v, failed %v; want both", served, failed)
	}
	n.put(Event{Kind: EventConnected})
	n.put(Event{Kind: EventEnded, Reason: EndError.String()})
	if served, failed := n.take(); served || !failed {
		t.Errorf("served %v, failed %v; want the failure, which came after", served, failed)
	}
	if served, failed := n.take(); served || failed {
		t.Error("it is seen twice")
	}
}
