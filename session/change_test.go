package session

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/pipeline"
)

// A session that is not connected has no rate of its own yet. It must find a place on a display whose encodings are all
// in use.
func TestUnconnectedSessionMovesToADisplayWithoutAFreeEncoding(t *testing.T) {
	h := openHouse(t, twoDisplays())
	defer h.close(t)
	other, err := h.catalog.find(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	// Rates that are far apart keep the viewers on encodings of their own.
	for i := range pipeline.MaxEncodings {
		f, err := h.opener.acquire(t.Context(), other, Offer{}, encode.H264, 1_000_000<<(2*i))
		if err != nil {
			t.Fatal(err)
		}
		defer f.release()
		w := &watching{bits: 1_000_000 << (2 * i)}
		f.on.Subscribe(w)
		defer f.on.Unsubscribe(w)
		eventually(t, "the encoding runs", func() bool { return f.on.Rate() == w.bits })
	}

	r := newRemote(t)
	defer r.close()
	a, err := h.Create(t.Context(), Offer{Display: "test", SDP: r.offer(false)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Change(t.Context(), a.ID, Change{Display: new("other")}); err != nil {
		t.Fatal(err)
	}
	h.registry.mu.Lock()
	v := h.registry.sessions[a.ID].viewer
	h.registry.mu.Unlock()
	if next := v.sub.heading.Load(); next == nil || next.on == nil || next.display.ID != "other" {
		t.Errorf("the session is on its way to %+v; want an encoding of the other display", next)
	}
	v.sub.nudge()
	v.sub.giveUp(time.Now().Add(moveTimeout))
	if v.sub.moveTo(&feed{display: other}) {
		t.Error("a move to no encoding was begun")
	}
	if s, err := h.Session(a.ID); err != nil || s.Display != "test" {
		t.Errorf("session of %q, %v; want its first display", s.Display, err)
	}
}

// watching is a subscriber of a bitrate.
type watching struct{ bits int }

func (w *watching) Viewer() any { return w }

func (w *watching) Demand(time.Time) pipeline.Demand {
	return pipeline.Demand{Live: true, Ready: true, Keyframe: true, BitsPerSecond: w.bits, FPS: 10, Scale: 1}
}

func (*watching) RequestKeyframe(time.Time, adapt.KeyframeReason)   {}
func (*watching) Deliver(encode.AccessUnit, pipeline.Picture) error { return nil }
func (*watching) Missed()                                           {}
func (*watching) Reassign(*pipeline.Encoding)                       {}
func (*watching) Applied(adapt.Applied)                             {}

// A change of display that fails leaves nothing behind. The session's load counts as before.
func TestFailedChangeOfDisplayIsUndone(t *testing.T) {
	h := openHouse(t, func(c *Config) {
		c.Uplink, c.MaxSessions = 1_000_000_000, 1000
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			d := Display{ID: "dark", Width: 7680, Height: 4320, Open: func(context.Context,
				capture.Demand,
			) (capture.Source, error) {
				return nil, errTest
			}}
			return append(displays(ctx), d)
		}
	})
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	a, err := h.Create(t.Context(), Offer{Display: "test", SDP: r.offer(false)})
	if err != nil {
		t.Fatal(err)
	}
	before := h.reservations.Capacity()
	if before[0].LimitedBy != string(admission.Uplink) {
		t.Fatalf("capacity is limited by %s; want the uplink, whose use shows the load that is "+
			"assumed", before[0].LimitedBy)
	}
	if _, err := h.Change(t.Context(), a.ID, Change{Display: new("dark")}); !errors.Is(err, ErrNoPicture) {
		t.Fatalf("got %v; want ErrNoPicture", err)
	}
	if after := h.reservations.Capacity(); !slices.Equal(after, before) {
		t.Errorf("capacity is %+v after a change that failed; want %+v as before", after, before)
	}
}

func TestBadCeilingOfAnOfferIsNoReservation(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	if _, err := h.Create(t.Context(), Offer{
		Display: "test", SDP: r.offer(false),
		MaxBitrate: 1,
	}); !errors.Is(err, ErrBadChange) {
		t.Fatalf("got %v; want ErrBadChange", err)
	}
	for reason, want := range map[string]float64{refusedReservation: 0, refusedMalformed: 1} {
		if n := testutil.ToFloat64(h.met.refused.WithLabelValues(reason)); n != want {
			t.Errorf("%v offers are counted as refused for %s; want %v", n, reason, want)
		}
	}
}
