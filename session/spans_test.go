package session

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/pipeline"
)

// spans collects traces.
type spans struct {
	mu   sync.Mutex
	list []Span
}

func (s *spans) add(one Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, one)
}

// of returns the traces with a name.
func (s *spans) of(name string) (list []Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.list {
		if one.Name == name {
			list = append(list, one)
		}
	}
	return list
}

// parts returns the names of a span's parts.
func (s Span) parts() (names []string) {
	for _, one := range s.Parts {
		names = append(names, one.Name)
	}
	return names
}

// attr returns an attribute of a span as text, empty if it has none.
func (s Span) attr(name string) string {
	for _, a := range s.Attrs {
		if a.Key == name {
			return a.Value.String()
		}
	}
	return ""
}

// A session that plays gives the trace of its set-up once, and that of a frame in the given time.
func TestSessionIsTraced(t *testing.T) {
	var got spans
	h := openHouse(t, func(c *Config) { c.Trace, c.TraceFrameEvery = got.add, 200*time.Millisecond })
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 5)
	var frame Span
	eventually(t, "the set-up and a frame that is reported before the next sample are traced", func() bool {
		list := got.of(spanFrame)
		i := slices.IndexFunc(list, func(one Span) bool { return one.Reason == "" })
		if i >= 0 {
			frame = list[i]
		}
		return i >= 0 && len(list) > 1 && len(got.of(spanSetup)) > 0
	})
	list := got.of(spanSetup)
	if len(list) != 1 || list[0].Reason != "" || !slices.Equal(list[0].parts(), setupStages) {
		t.Errorf("traces of the set-up: %+v; want one with all stages", list)
	}
	want := []string{spanCapture, spanWait, spanConvert, spanEncode, spanSend, spanAck}
	if !slices.Equal(frame.parts(), want) {
		t.Errorf("trace of a frame: %+v; want %v", frame, want)
	}
	for _, root := range []Span{list[0], frame} {
		if root.attr(attrSession) != r.id || root.attr(attrDisplay) != "test" || root.attr(attrPath) == "" ||
			root.attr(attrCodec) != "H264" || root.attr(attrEncoder) == "" {
			t.Errorf("%s has the attributes %v", root.Name, root.Attrs)
		}
		for _, one := range root.Parts {
			if one.End.Before(one.Start) || one.Start.Before(root.Start) || one.End.After(root.End) {
				t.Errorf("%s of %s is from %v to %v, and the whole from %v to %v", one.Name, root.Name, one.Start, one.End,
					root.Start, root.End)
			}
		}
	}
}

// The trace of a set-up that fails ends with the stage that failed, and says why.
func TestFailedSetupIsTraced(t *testing.T) {
	var got spans
	h := openHouse(t, func(c *Config) { c.Trace, c.MaxSessions, c.ConnectTimeout = got.add, 1, time.Millisecond })
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	if _, err := h.Create(t.Context(), Offer{Display: "default", SDP: r.offer(false), TraceParent: "P"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is traced", func() bool { return len(got.of(spanSetup)) == 1 })
	root := got.of(spanSetup)[0]
	if root.Reason != handshakeICETimeout || root.Err == nil || root.Parent != "P" ||
		root.attr(attrEnd) != EndConnectTimeout.String() || !slices.Equal(root.parts(), []string{stageOffer, stageICE}) {
		t.Fatalf("got %+v", root)
	}
	if offer, ice := root.Parts[0], root.Parts[1]; offer.Reason != "" || ice.Reason != root.Reason || ice.Err == nil {
		t.Errorf("got %+v; want the failure in ICE", root.Parts)
	}
	if frames := got.of(spanFrame); frames != nil {
		t.Errorf("frames %+v without a viewer", frames)
	}
	if _, err := h.Create(t.Context(), Offer{Display: "default", SDP: "v=0"}); err == nil {
		t.Fatal("a bad offer is taken")
	}
	list := got.of(spanSetup)
	if len(list) != 2 || list[1].Reason != refusedMalformed || !slices.Equal(list[1].parts(), []string{stageOffer}) {
		t.Errorf("refused offer: %+v", list)
	}
}

// A frame whose end is not known says why; the report may be faster than the pacer's word.
func TestFrameTraceHasAnEnd(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.Trace = func(Span) {} })
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	s, err := h.registry.find(r.id)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	au, p := encode.AccessUnit{Time: at}, pipeline.Picture{Taken: at}
	acked := []adapt.Feedback{arrivals(adapt.TWCC, 1, 7)}
	for want, steps := range map[string]func(*traces){
		frameUnsent:  func(*traces) {},
		frameUnacked: func(f *traces) { f.newest = 8; f.paced(at); f.reported(at, acked) },
		"late":       func(f *traces) { f.newest = 7; f.paced(at); f.reported(at, acked) },
		"early":      func(f *traces) { f.newest = 7; f.reported(at, acked); f.paced(at) },
		"refused":    func(f *traces) { f.refused(); f.begin(au, p) },
	} {
		var got spans
		f := &traces{give: got.add, every: time.Hour, attrs: s.trace.attrs}
		if !f.begin(au, p) || f.begin(au, p) {
			t.Errorf("%s: want one sample", want)
		}
		steps(f)
		f.giveUp(at)
		if want == "refused" {
			want = frameUnsent
		}
		list := got.of(spanFrame)
		if len(list) != 1 || list[0].Reason != want && (list[0].Reason != "" || want != "late" && want != "early") {
			t.Errorf("%s: got %+v", want, list)
		}
	}
}

// Without a receiver of traces, a picture costs nothing more.
func TestNoTraceCostsNothing(t *testing.T) {
	var f traces
	at := time.Now()
	report := []adapt.Feedback{arrivals(adapt.TWCC, 1, 7)}
	if n := testing.AllocsPerRun(100, func() {
		f.begin(encode.AccessUnit{Time: at}, pipeline.Picture{Taken: at})
		f.paced(at)
		f.reported(at, report)
		f.giveUp(at)
		f.setup(at, setup{}, "x", errors.ErrUnsupported)
	}); n != 0 || f.frame != nil || f.arrived != 0 {
		t.Errorf("%v allocations, frame %+v, %d packets", n, f.frame, f.arrived)
	}
}
