package session

import (
	"errors"
	"testing"
	"time"
)

func TestEventsAreKeptAndOutrun(t *testing.T) {
	m := &Manager{}
	add := func(n int) {
		for range n {
			m.journal.add(Event{Kind: EventEnded, Err: errors.New("why")}, func(Event) {})
		}
	}
	if list, lost, more := m.Events(0); len(list) != 0 || lost || more == nil {
		t.Errorf("before the first: %v, %v", list, lost)
	}
	_, _, more := m.Events(0)
	add(3)
	select {
	case <-more:
	default:
		t.Error("nobody is told that there are more")
	}
	list, lost, _ := m.Events(1)
	if len(list) != 2 || lost || list[0].ID != 2 || list[1].ID != 3 || list[0].Error != "why" || time.Since(list[0].At) > time.Minute {
		t.Errorf("after the first: %+v, %v", list, lost)
	}
	if list, lost, _ = m.Events(3); len(list) != 0 || lost {
		t.Errorf("after the last: %+v, %v", list, lost)
	}
	if list, lost, _ = m.Events(77); len(list) != 3 || !lost {
		t.Errorf("after one of an earlier run: %d events, %v; want all 3, and the gap told", len(list), lost)
	}
	add(keptEvents)
	if list, lost, _ = m.Events(2); len(list) != keptEvents || !lost || list[0].ID != 4 {
		t.Errorf("outrun: %d events from %d on, %v; want %d from 4 on, and the gap told", len(list), list[0].ID, lost, keptEvents)
	}
	if list, lost, _ = m.Events(3); len(list) != keptEvents || lost {
		t.Errorf("nearly outrun: %d events, %v; want %d and no gap", len(list), lost, keptEvents)
	}
	if m.LastEvent() != keptEvents+3 {
		t.Errorf("the last event is %d", m.LastEvent())
	}
}
