package session

import (
	"testing"
	"time"

	"wavryhost/adapt"
)

// arrivals is a report on packets, of which the named ones arrived.
func arrivals(kind adapt.FeedbackKind, from, to uint64) adapt.Feedback {
	f := adapt.Feedback{Kind: kind}
	for id := from; id <= to; id++ {
		f.Packets = append(f.Packets, adapt.Packet{ID: id, Arrived: time.Unix(1, 0)})
	}
	return f
}

func TestFirstPictureHasArrived(t *testing.T) {
	lost := arrivals(adapt.TWCC, 3, 3)
	lost.Packets[0].Lost, lost.Packets[0].Arrived = true, time.Time{}
	padding := arrivals(adapt.TWCC, 3, 3)
	padding.Packets[0].Padding = true
	for name, c := range map[string]struct {
		reports []adapt.Feedback
		want    bool
	}{
		"nothing":                  {nil, false},
		"a part":                   {[]adapt.Feedback{arrivals(adapt.TWCC, 1, 2)}, false},
		"a part, the rest lost":    {[]adapt.Feedback{arrivals(adapt.TWCC, 1, 2), lost}, false},
		"a part, and padding":      {[]adapt.Feedback{arrivals(adapt.TWCC, 1, 2), padding}, false},
		"all, in two reports":      {[]adapt.Feedback{arrivals(adapt.TWCC, 1, 2), arrivals(adapt.TWCC, 3, 3)}, true},
		"all, by RFC 8888":         {[]adapt.Feedback{arrivals(adapt.CCFB, 1, 3)}, true},
		"by a receiver report":     {[]adapt.Feedback{arrivals(adapt.RR, 3, 3)}, true},
		"an early receiver report": {[]adapt.Feedback{arrivals(adapt.RR, 2, 2)}, false},
		"a NACK":                   {[]adapt.Feedback{arrivals(adapt.NACK, 1, 9)}, false},
	} {
		s := setup{packets: 3, sent: time.Unix(1, 0)}
		got := false
		for _, f := range c.reports {
			got = s.report(f)
		}
		if got != c.want {
			t.Errorf("%s: arrived %v; want %v", name, got, c.want)
		}
		if got && s.report(arrivals(adapt.TWCC, 4, 9)) {
			t.Errorf("%s: it arrives twice", name)
		}
	}
}

func TestStagesOfASetup(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	s := setup{begun: at(0), answered: at(30), reached: at(20), connected: at(60), sent: at(100)}
	got := s.stages(at(115))
	for stage, want := range map[string]int{
		stageOffer: 30, stageICE: 0, stageDTLS: 40, stageEncode: 40, stageAck: 15,
	} {
		if got[stage] != time.Duration(want)*time.Millisecond {
			t.Errorf("stage %s takes %v; want %d ms", stage, got[stage], want)
		}
	}
}

// A report gives the time of its newest packet that arrived. Receiver reports and requests for packets give none.
func TestAcknowledged(t *testing.T) {
	at := time.Now()
	sent := func(ago time.Duration) time.Time { return at.Add(-ago) }
	newest := []adapt.Packet{
		{ID: 1, Sent: sent(90 * time.Millisecond), Arrived: at},
		{ID: 2, Sent: sent(40 * time.Millisecond), Arrived: at},
		{ID: 3, Sent: sent(30 * time.Millisecond), Lost: true},
		{ID: 4, Sent: sent(20 * time.Millisecond)},
	}
	for _, c := range []struct {
		feedback adapt.Feedback
		want     time.Duration
	}{
		{adapt.Feedback{At: at, Kind: adapt.TWCC, Packets: newest}, 40 * time.Millisecond},
		{adapt.Feedback{At: at, Kind: adapt.TWCC, Packets: newest[2:]}, 0},
		{adapt.Feedback{At: at, Kind: adapt.TWCC, Packets: []adapt.Packet{{Arrived: at}}}, 0},
		{adapt.Feedback{At: at, Kind: adapt.RR, Packets: newest}, 0},
		{adapt.Feedback{At: at, Kind: adapt.NACK, Packets: newest}, 0},
	} {
		if got, ok := acknowledged(c.feedback); got != c.want || ok != (c.want != 0) {
			t.Errorf("%v: got %v, %v; want %v", c.feedback, got, ok, c.want)
		}
	}
}

// A session that plays has told all of its set-up.
func TestSetupOfASessionIsMeasured(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 5)
	eventually(t, "the first picture is reported", func() bool {
		return h.samples(t, "wavry_host_first_frame_seconds", firstAcked) == 1
	})
	for _, stage := range setupStages {
		if n := h.samples(t, "wavry_host_setup_stage_seconds", stage); n != 1 {
			t.Errorf("stage %s was measured %d times; want once", stage, n)
		}
	}
	eventually(t, "acknowledgements are measured", func() bool { return h.samples(t, "wavry_host_ack_seconds", "") > 0 })
	if n := h.samples(t, "wavry_host_first_frame_seconds", firstSent); n != 1 {
		t.Errorf("the first picture was sent %d times; want once", n)
	}
}

// samples returns the number of samples of a histogram with one label, or without labels if value is empty.
func (h *house) samples(t *testing.T, name, value string) uint64 {
	t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (value == "" || m.GetLabel()[0].GetValue() == value) {
				return m.GetHistogram().GetSampleCount()
			}
		}
	}
	t.Fatalf("no histogram %s of %s", name, value)
	return 0
}
