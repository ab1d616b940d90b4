package session

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/session/pipeline"
	"wavryhost/session/wire"
)

// A session that is connected and shows nothing says so, and why, as far as this host can tell.
func TestSessionThatShowsNothingSaysSo(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		change func(v *viewer)
		want   string
	}{
		"all is well": {func(*viewer) {}, ""},
		"it has just " +
			"connected": {func(v *viewer) { v.keys, v.life.since = 0, now.Add(-deliverWithin+time.Second) }, ""},
		"no picture was sent": {func(v *viewer) { v.keys = 0 }, undeliveredNoPicture},
		"the path is lost":    {func(v *viewer) { v.keys, v.life.state = 0, stateDisconnected }, ""},
		"the display is " +
			"lost": {func(v *viewer) { v.keys = 0; v.sub.feed().source.(*fakeSource).state = pipeline.Lost }, ""},
		"nothing is heard":              {func(v *viewer) { v.heard.set(now.Add(-time.Hour)) }, undeliveredNoFeedback},
		"it asks again and again":       {func(v *viewer) { ask5(v, now, time.Second) }, undeliveredRequests},
		"it asks now and then":          {func(v *viewer) { ask5(v, now, 3*time.Second) }, ""},
		"it asked again and again once": {func(v *viewer) { ask5(v, now.Add(-requestsWithin), time.Second) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newEventLog()
			v := &viewer{id: "a", log: rig.log, figures: figures{met: rig.met}, owner: owner{emit: rig.emit}}
			v.life.state = stateConnected
			v.begin(&feed{source: &fakeSource{state: pipeline.Live}, on: &fakeEncoding{index: 1}})
			v.keys, v.life.since = 1, now.Add(-time.Minute)
			v.heard.set(now)
			c.change(v)
			v.deliver(now)
			v.deliver(now) // tells nothing twice
			if v.undelivered != c.want {
				t.Errorf("it says %q; want %q", v.undelivered, c.want)
			}
			var told []string
			for _, e := range rig.events {
				if e.Kind == EventUndelivered {
					told = append(told, e.Reason)
				}
			}
			if c.want == "" && len(told) > 0 || c.want != "" && (len(told) != 1 || told[0] != c.want) {
				t.Errorf("events for %q; want %q once", told, c.want)
			}
		})
	}
}

// ask5 notes five keyframe requests, the last of them at a time.
func ask5(v *viewer, last time.Time, every time.Duration) {
	for i := range manyRequests {
		v.adaptation.asked.note(last.Add(-time.Duration(manyRequests-1-i) * every))
	}
}

// What a viewer asks for is noted where it comes in.
func TestKeyframeRequestsAreNoted(t *testing.T) {
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
	if err := r.pli(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is noted", func() bool {
		v.adaptation.mu.Lock()
		defer v.adaptation.mu.Unlock()
		return !v.adaptation.asked.at[0].IsZero()
	})
}

// A picture whose packets leave after the look is not taken for one without packets.
func TestPictureOnItsWayIsNoFault(t *testing.T) {
	f := &figures{met: NewMetrics(prometheus.NewRegistry())}
	for second, c := range []struct {
		frames, packets, unsent uint64
		waiting                 bool
		want                    string
	}{
		{1, 10, 0, false, ""},
		{2, 10, 0, false, ""}, // its packets leave a moment later
		{2, 15, 0, false, ""},
		{3, 15, 0, true, ""}, // they wait for the pacer
		{3, 15, 0, false, ""},
		{3, 20, 0, false, ""},
		{4, 20, 0, false, ""},
		{4, 20, 0, false, undeliveredUnpacked}, // a second has passed
		{5, 20, 0, false, undeliveredUnpacked},
		{6, 30, 0, false, ""},
		{7, 30, 5, false, ""},
		{8, 30, 9, false, undeliveredUnsent},
	} {
		f.frames = c.frames
		f.flush(time.Now(), time.Second, wire.Stats{Packets: c.packets, Unsent: c.unsent}, c.waiting)
		if f.mute != c.want {
			t.Errorf("second %d, with %+v: it says %q", second, c, f.mute)
		}
	}
}
