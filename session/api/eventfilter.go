package api

import (
	"net/http"
	"slices"

	"wavryhost/session"
	"wavryhost/session/api/openapi"
)

// The filters of events. The filter of labels has the same name in lists.
const (
	paramKind, paramSession, paramDisplay  = "kind", "session", "display"
	paramOwner, paramExternal, paramServer = "owner", "external_id", "server"
)

// eventFilter says which events a client gets. The zero value passes all.
type eventFilter struct {
	// kinds are the kinds of events; nil for all.
	kinds []string
	// words are the values of the other filters, by parameter.
	words  map[string]string
	labels [][2]string
}

// filterOf reads the filters of a query, which openapi.Spec.CheckQuery has checked.
func filterOf(r *http.Request) eventFilter {
	all := r.URL.Query()
	f := eventFilter{kinds: all[paramKind], words: map[string]string{}, labels: labelsIn(all)}
	for _, name := range []string{paramSession, paramDisplay, paramOwner, paramExternal, paramServer} {
		if all.Has(name) {
			f.words[name] = all.Get(name)
		}
	}
	return f
}

// passes reports whether the client gets an event.
func (f eventFilter) passes(e session.EventRecord) bool {
	if f.kinds != nil && !slices.Contains(f.kinds, e.Kind) {
		return false
	}
	for name, want := range f.words {
		ok := false
		switch name {
		case paramSession:
			ok = isAbout(e, want)
		case paramDisplay:
			ok = e.Display == want
		case paramOwner:
			ok = e.Subject == want
		case paramExternal:
			ok = e.ExternalID == want
		case paramServer:
			ok = e.Server == want
		}
		if !ok {
			return false
		}
	}
	return carries(e.Labels, f.labels)
}

// isAbout reports whether an event is about a session. One about control has up to three.
func isAbout(e session.EventRecord, id string) bool {
	return e.Session == id || id != "" && (e.From == id || e.To == id)
}

// filterParams describes the filters of events.
func filterParams() []openapi.Param {
	word := func(name, text string) openapi.Param {
		return openapi.Param{In: "query", Name: name, Value: "", Text: text}
	}
	return []openapi.Param{
		kindParam(),
		word(paramSession, "Only events of the session with that ID. Those of control also name it in from or to."),
		word(paramDisplay, "Only events of the display with that ID."),
		word(paramOwner, "Only events of sessions and reservations of that subject."),
		word(paramExternal, "Only events of sessions and reservations with that external ID."),
		labelParam("Only events of sessions and reservations with that label, as name=value. Of several, they must have " +
			"all."),
		word(paramServer, "Only events of the STUN or TURN server with that URL."),
	}
}

// kindParam describes the filter by kinds.
func kindParam() openapi.Param {
	return openapi.Param{
		In: "query", Name: paramKind, Value: "", Set: "EventKind", Many: true,
		Text: "Only events of that kind. Of several, any will do.",
	}
}
