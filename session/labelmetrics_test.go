package session

import (
	"fmt"
	"testing"
	"time"

	"wavryhost/session/admission"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func parsedLabels(t *testing.T, all map[string]string) admission.Labels {
	t.Helper()
	l, err := admission.ParseLabels(all)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Clients choose labels and values, so the series that they cause are bounded.
func TestLabelMetricsAreBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg).labels
	names := []string{"team", "site"}
	for i := range 10 * maxLabelValues {
		l := parsedLabels(t, map[string]string{"team": fmt.Sprint("t", i), "host": fmt.Sprint("h", i)})
		one := m.tally(names, l)
		one.begin()
		one.end()
		if again := m.tally(names, l); fmt.Sprint(again.series) != fmt.Sprint(one.series) {
			t.Errorf("%v counts as %v, and then as %v", l, one.series, again.series)
		}
	}
	if n := testutil.CollectAndCount(m.created); n != maxLabelValues+2 {
		t.Errorf("there are %d series; want one for each of %d teams, the other teams, and no site", n, maxLabelValues)
	}
	other := m.created.WithLabelValues("team", otherValue)
	if n := testutil.ToFloat64(other); n != 9*maxLabelValues {
		t.Errorf("%v sessions count as others; want %d", n, 9*maxLabelValues)
	}
	if n := testutil.ToFloat64(m.created.WithLabelValues("site", noValue)); n != 10*maxLabelValues {
		t.Errorf("%v sessions have no site", n)
	}
	if n := testutil.ToFloat64(m.sessions.WithLabelValues("team", "t0")); n != 0 {
		t.Errorf("%v sessions of a team are left", n)
	}
}

// What a session or reservation is called is in all its events, and in the metrics that the configuration asks for. A
// session of a reservation has its names.
func TestNamesAreInEventsAndMetrics(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.MetricLabels = []string{"team"} })
	defer h.close(t)
	h.alive(t)
	cad := parsedLabels(t, map[string]string{"team": "cad", "ticket": "4711"})
	reserve := func(labels admission.Labels) admission.Reservation {
		t.Helper()
		l, err := h.reservations.Reserve(t.Context(), admission.ReservationRequest{
			Display: "default", Hold: time.Minute, Subject: "ann", ExternalID: "job-4", Labels: labels,
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := reserve(cad)
	left := reserve(admission.Labels{})
	if n := testutil.ToFloat64(h.met.labels.reservations.WithLabelValues("team", "cad")); n != 1 {
		t.Errorf("%v reservations of the team", n)
	}
	r := newRemote(t)
	defer r.close()
	a, err := h.Create(t.Context(), Offer{
		Display: "default", SDP: r.offer(false), Reservation: l.ID,
		Owner: Owner{Credential: CredentialGrant, Name: "ann"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.reservations.Release(left.ID); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(h.met.labels.sessions.WithLabelValues("team", "cad")); n != 1 {
		t.Errorf("%v sessions of the team", n)
	}
	r.accept(a)
	r.playing(t, 3)
	if _, err := h.Change(t.Context(), a.ID, Change{MaxBitrate: new(2_000_000)}); err != nil {
		t.Fatal(err)
	}
	if err := h.End(t.Context(), a.ID, EndDeleted, ""); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, e := range h.journaled(t) {
		if e.Session == "" && e.Reservation == "" {
			continue
		}
		kinds[e.Kind] = true
		want := "cad"
		if e.Reservation == left.ID {
			want = ""
		}
		if e.Subject != "ann" || e.ExternalID != "job-4" || e.Labels["team"] != want {
			t.Errorf("%s is of %q, with the ID %q and %v", e.Kind, e.Subject, e.ExternalID, e.Labels)
		}
	}
	for _, k := range []EventKind{
		EventReserved, EventReservationEnded, EventCreated, EventConnected, EventChanged, EventEnded,
	} {
		if !kinds[k.String()] {
			t.Errorf("there is no event %v", k)
		}
	}
	for name, now := range map[string]float64{
		"sessions":     testutil.ToFloat64(h.met.labels.sessions.WithLabelValues("team", "cad")),
		"reservations": testutil.ToFloat64(h.met.labels.reservations.WithLabelValues("team", "cad")),
		"others":       testutil.ToFloat64(h.met.labels.reservations.WithLabelValues("team", noValue)),
	} {
		if now != 0 {
			t.Errorf("%s after the end: %v", name, now)
		}
	}
	for name, c := range map[string]*prometheus.CounterVec{
		"seconds": h.met.labels.seconds,
		"bytes":   h.met.labels.bytes,
	} {
		if testutil.ToFloat64(c.WithLabelValues("team", "cad")) == 0 {
			t.Errorf("no %s count for the team", name)
		}
	}
}
