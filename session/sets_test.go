package session

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"wavryhost/session/admission"
	"wavryhost/session/hoststate"
	"wavryhost/session/relay"
)

// Every field that names a set names an existing set, and every set is named by a field.
func TestSetsAreThoseOfTheFields(t *testing.T) {
	sets, used := Sets(), map[string]bool{}
	for _, shown := range []any{
		Snapshot{},
		TransitionRecord{},
		Host{},
		DisplayInfo{},
		EncoderInfo{},
		EventRecord{},
		hoststate.DrainStatus{},
		hoststate.PlannedEnd{},
		RefusalError{},
		admission.Capacity{},
		relay.ServerStatus{},
	} {
		kind := reflect.TypeOf(shown)
		for _, f := range reflect.VisibleFields(kind) {
			name, ok := f.Tag.Lookup("set")
			if !ok {
				continue
			}
			used[name] = true
			if len(sets[name]) == 0 {
				t.Errorf("%s.%s is of the set %q, which is empty or missing", kind, f.Name, name)
			}
		}
	}
	for name, words := range sets {
		if !used[name] {
			t.Errorf("no field is of the set %q", name)
		}
		sorted := slices.Clone(words)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(words) {
			t.Errorf("%s has a word twice: %v", name, words)
		}
	}
}

// What a running host shows is of the sets.
func TestWhatIsShownIsOfTheSets(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 5)
	h.host.Drain(hoststate.DrainOrder{Deadline: time.Minute})
	h.host.Resume()
	s, err := h.Session(r.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	shown := []any{s, h.Host()}
	for _, d := range h.Host().Displays {
		shown = append(shown, d)
	}
	list, _, _ := h.journal.Events(0)
	for _, e := range list {
		shown = append(shown, e)
	}
	if len(list) < 5 {
		t.Errorf("only %d events", len(list))
	}
	for _, v := range shown {
		value := reflect.ValueOf(v)
		for _, f := range reflect.VisibleFields(value.Type()) {
			name, word := f.Tag.Get("set"), value.FieldByIndex(f.Index)
			if name != "" && word.String() != "" && !slices.Contains(Sets()[name], word.String()) {
				t.Errorf("%s.%s is %q, which is not of %v", value.Type(), f.Name, word, Sets()[name])
			}
		}
	}
}
