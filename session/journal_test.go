package session

import (
	"errors"
	"testing"
	"time"
)

func TestEventsAreKeptAndOutrun(t *testing.T) {
	j := &Journal{}
	add := func(n int) {
		for range n {
			j.add(Event{Kind: EventEnded, Err: errors.New("why")})
		}
	}
	if list, lost, more := j.Events(0); len(list) != 0 || lost || more == nil {
		t.Errorf("before the first: %v, %v", list, lost)
	}
	_, _, more := j.Events(0)
	add(3)
	select {
	case <-more:
	default:
		t.Error("nobody is told that there are more")
	}
	list, lost, _ := j.Events(1)
	if len(list) != 2 || lost || list[0].ID != 2 || list[1].ID != 3 || list[0].Error != "why" ||
		time.Since(list[0].At) > time.Minute {
		t.Errorf("after the first: %+v, %v", list, lost)
	}
	if list, lost, _ = j.Events(3); len(list) != 0 || lost {
		t.Errorf("after the last: %+v, %v", list, lost)
	}
	if list, lost, _ = j.Events(77); len(list) != 3 || !lost {
		t.Errorf("after one of an earlier run: %d events, %v; want all 3, and the gap told", len(list), lost)
	}
	add(keptEvents)
	if list, lost, _ = j.Events(2); len(list) != keptEvents || !lost || list[0].ID != 4 {
		t.Errorf("outrun: %d events from %d on, %v; want %d from 4 on, and the gap "+
			"told", len(list), list[0].ID, lost, keptEvents)
	}
	if list, lost, _ = j.Events(3); len(list) != keptEvents || lost {
		t.Errorf("nearly outrun: %d events, %v; want %d and no gap", len(list), lost, keptEvents)
	}
	if j.LastEvent() != keptEvents+3 {
		t.Errorf("the last event is %d", j.LastEvent())
	}
}

func TestEventsOfAnEarlierRunAreMissed(t *testing.T) {
	begun := time.Now()
	run := func(begin time.Time, events int) *Journal {
		j := newJournal(begin, nil, nil)
		for range events {
			j.add(Event{Kind: EventEnded})
		}
		return j
	}
	last := run(begun, 5).LastEvent()
	for _, c := range []struct {
		name   string
		begin  time.Time
		events int
	}{
		{"fewer than before", begun.Add(time.Second), 2},
		{"none yet", begun.Add(time.Second), 0},
		{"more than before", begun.Add(time.Second), 9},
		{"more than are kept", begun.Add(time.Second), keptEvents + 9},
		{"a clock put back", begun.Add(-time.Hour), 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := run(c.begin, c.events)
			list, lost, _ := j.Events(last)
			if !lost || len(list) != min(c.events, keptEvents) {
				t.Errorf("after event %d of an earlier run: %d events, lost %v; want all %d, and the gap "+
					"told", last, len(list), lost, c.events)
			}
			if list, lost, _ = j.Events(0); lost != (c.events > keptEvents) || len(list) != min(c.events, keptEvents) {
				t.Errorf("from the beginning: %d events, lost %v", len(list), lost)
			}
			if list, lost, _ = j.Events(j.LastEvent()); lost || len(list) != 0 {
				t.Errorf("after the last one: %d events, lost %v", len(list), lost)
			}
		})
	}
}
