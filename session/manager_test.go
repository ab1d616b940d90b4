package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/hoststate"
	"wavryhost/session/peer"
	"wavryhost/session/peer/peertest"
	"wavryhost/session/pipeline"
)

func TestViewerConnectsAndPicturesArrive(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 30)
	// A picture is counted once it is handed on, and may have arrived by then.
	eventually(t, "the pictures are "+
		"counted", func() bool { s, err := h.Session(r.id); return err != nil || s.FramesSent >= 30 })
	s, err := h.Session(r.id)
	if err != nil {
		t.Fatal(err)
	}
	if s.State != stateConnected || s.Path != peer.PathDirect || s.Width != 640 || s.Height != 480 ||
		s.Encoder != "fake" || s.Frozen {
		t.Errorf("snapshot %+v", s)
	}
	if s.KeyframesSent < 1 || s.BytesSent == 0 || s.TargetBitrate == 0 || s.Connected.IsZero() {
		t.Errorf("figures %+v", s)
	}
	if n := len(h.Sessions()); n != 1 {
		t.Errorf("%d sessions; want 1", n)
	}
	if i := h.Host(); i.State != hoststate.Active || i.Sessions != 1 ||
		i.Displays[0].State != pipeline.Live.String() || i.Displays[0].Viewers != 1 {
		t.Errorf("host %+v", i)
	}
	for _, want := range []struct {
		name string
		got  float64
	}{
		{"created", testutil.ToFloat64(h.met.created)},
		{"connected", testutil.ToFloat64(h.met.sessions.WithLabelValues(stateConnected))},
		{"handshakes", testutil.ToFloat64(h.met.handshakes.WithLabelValues(handshakeOK))},
		{"direct paths", testutil.ToFloat64(h.met.path.WithLabelValues(peer.PathDirect))},
	} {
		if want.got != 1 {
			t.Errorf("%s: %v; want 1", want.name, want.got)
		}
	}
	eventually(t, "the sums of the bitrates", func() bool {
		return testutil.ToFloat64(h.met.targetRate.WithLabelValues("sum")) > 0 &&
			testutil.ToFloat64(h.met.achievedRate.WithLabelValues("sum")) > 0
	})
	lint(t, h.reg)
}

func TestPictureLossIsAnsweredByAKeyframe(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 10)
	_, before := r.got()
	if err := r.pli(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a keyframe", func() bool { _, k := r.got(); return k > before })
	if n := testutil.ToFloat64(h.met.requests.WithLabelValues("pli")); n != 1 {
		t.Errorf("counted %v requests; want 1", n)
	}
	eventually(t, "the count", func() bool {
		return seriesOf(t, h.reg, "wavry_host_keyframes_total", "reason=request") == 1
	})
}

func TestOperatorAsksForAKeyframe(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 10)
	_, before := r.got()
	if err := h.RequestKeyframe(r.id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a keyframe", func() bool { _, k := r.got(); return k > before })
	if n := testutil.ToFloat64(h.met.requests.WithLabelValues("operator")); n != 1 {
		t.Errorf("counted %v requests; want 1", n)
	}
	if err := h.RequestKeyframe("nobody"); !errors.Is(err, ErrUnknownSession) {
		t.Errorf("wrong id: got %v; want ErrUnknownSession", err)
	}
}

func TestWhatTheOperatorSaysIsInTheEvent(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	eventually(t, "a frame is sent", func() bool {
		one, err := h.Session(r.id)
		return err == nil && one.State == stateConnected && one.BytesSent > 0 && one.Path != ""
	})
	if err := h.End(t.Context(), r.id, EndOperator, "the desk is needed"); err != nil {
		t.Fatal(err)
	}
	list, _, _ := h.journal.Events(0)
	last := list[len(list)-1]
	if last.Kind != EventEnded.String() || last.Session != r.id || last.Reason != "operator" ||
		last.Note != "the desk is needed" {
		t.Errorf("the last event is %+v", last)
	}
	sums, known := last.Totals, 0.0
	for _, seconds := range sums.Quality {
		known += seconds
	}
	if sums.Codec == "" || sums.Encoder == "" || sums.Path != "direct" || sums.Frames == 0 || sums.Bytes == 0 ||
		sums.Connected <= 0 || known <= 0 || known > sums.Connected+1 || sums.DisplayChanges != 0 {
		t.Errorf("the totals are %+v", sums)
	}
	if err := h.End(t.Context(), r.id, EndOperator, "again"); !errors.Is(err, ErrUnknownSession) {
		t.Errorf("a second end: %v; want ErrUnknownSession", err)
	}
}

func TestCandidatesMayTrickle(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	a, err := h.Create(t.Context(), Offer{Display: "test", SDP: r.offer(true)})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(a.SDP, "a=candidate:") || !strings.Contains(a.SDP, "127.0.0.1") {
		t.Errorf("the answer has no candidates:\n%s", a.SDP)
	}
	r.accept(a)
	f := peertest.Trickle(r.Candidates()...)
	p, err := h.Patch(t.Context(), a.ID, a.ETag, f)
	if err != nil || p.SDP != "" || p.ETag != a.ETag {
		t.Errorf("patched %+v, %v; want the same tag and no description", p, err)
	}
	r.playing(t, 5)
	if _, err := h.Patch(t.Context(), a.ID, `"other"`, f); !errors.Is(err, peer.ErrStale) {
		t.Errorf("wrong tag: got %v; want ErrStale", err)
	}
	if _, err := h.Patch(t.Context(), "nobody", "*", f); !errors.Is(err, ErrUnknownSession) {
		t.Errorf("wrong id: got %v; want ErrUnknownSession", err)
	}
	if _, err := h.Patch(t.Context(), a.ID, "*", "a=candidate:nonsense\r\n"); !errors.Is(err, peer.ErrBadOffer) {
		t.Errorf("malformed: got %v; want ErrBadOffer", err)
	}
}

func TestICERestartGoesOnWithNewCredentials(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 5)
	f := r.restart(h)
	eventually(t, "the new "+
		"path", func() bool { return r.PC.ICEConnectionState() == webrtc.ICEConnectionStateConnected })
	r.playing(t, 20)
	f = strings.Replace(f, "a=ice-ufrag:", "a=ice-ufrag:another", 1)
	if _, err := h.Patch(t.Context(), r.id, r.etag, f); !errors.Is(err, peer.ErrStale) {
		t.Errorf("old tag: got %v; want ErrStale", err)
	}
	if s, err := h.Session(r.id); err != nil || s.State != stateConnected {
		t.Errorf("session %q, %v; want connected", s.State, err)
	}
}

func TestEndReleasesEverything(t *testing.T) {
	h := openHouse(t, nil)
	h.alive(t)
	cycle := func() {
		r := newRemote(t)
		r.watch(h)
		r.playing(t, 3)
		if err := h.End(t.Context(), r.id, EndDeleted, ""); err != nil {
			t.Error(err)
		}
		if err := h.End(t.Context(), r.id, EndDeleted, ""); !errors.Is(err, ErrUnknownSession) {
			t.Errorf("second end: got %v; want ErrUnknownSession", err)
		}
		r.close()
		eventually(t, "the stage is closed", func() bool { return !h.pool.Open("test") })
		h.pool.Wait()
	}
	cycle()
	settled := runtime.NumGoroutine()
	for range 5 {
		cycle()
	}
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= settled })
	if n := testutil.ToFloat64(h.met.ended.WithLabelValues(EndDeleted.String())); n != 6 {
		t.Errorf("counted %v ends; want 6", n)
	}
	for _, s := range []string{stateConnecting, stateConnected, stateDisconnected} {
		if n := testutil.ToFloat64(h.met.sessions.WithLabelValues(s)); n != 0 {
			t.Errorf("%v sessions are %s; want 0", n, s)
		}
	}
	h.empty(t)
	h.close(t)
}

func TestTwoViewersShareAPipeline(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	a, b := newRemote(t), newRemote(t)
	defer a.close()
	defer b.close()
	a.watch(h)
	a.playing(t, 10)
	b.watch(h)
	b.playing(t, 10)
	// The second begins on an encode of its own, unless the first is still slow, until its path is known.
	if s := h.enc.Stats(); s.Opened > 2 || h.screen.Opened() != 1 {
		t.Errorf("%d encoders, %d captures; want 2 at most, and 1", s.Opened, h.screen.Opened())
	}
	if err := h.End(t.Context(), b.id, EndOperator, ""); err != nil {
		t.Error(err)
	}
	a.playing(t, 10)
}

func TestAViewerThatClosesIsGoneAtOnce(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	r.watch(h)
	r.playing(t, 3)
	r.close()
	eventually(t, "the session ends", func() bool { return len(h.Sessions()) == 0 })
	eventually(t, "the reason", func() bool {
		return testutil.ToFloat64(h.met.ended.WithLabelValues(EndViewerGone.String())) == 1
	})
}

func TestAViewerThatNeverConnectsIsGivenUp(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.ConnectTimeout = 200 * time.Millisecond })
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	if _, err := h.Create(t.Context(), Offer{Display: "default", SDP: r.offer(false)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session ends", func() bool {
		return testutil.ToFloat64(h.met.ended.WithLabelValues(EndConnectTimeout.String())) == 1
	})
	failed := 0.0
	for _, result := range []string{handshakeICETimeout, handshakeDTLSTimeout} {
		failed += testutil.ToFloat64(h.met.handshakes.WithLabelValues(result))
	}
	if failed != 1 {
		t.Errorf("counted %v failed handshakes; want 1", failed)
	}
}

func TestAWrongFingerprintFailsTheHandshake(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	r, other := newRemote(t), newRemote(t)
	defer r.close()
	defer other.close()
	fingerprint := func(sdp string) string {
		i := strings.Index(sdp, "a=fingerprint:")
		return sdp[i : i+strings.Index(sdp[i:], "\r\n")]
	}
	offer, foreign := r.offer(false), other.offer(false)
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: strings.ReplaceAll(offer,
		fingerprint(offer), fingerprint(foreign))})
	if err != nil {
		t.Fatal(err)
	}
	r.accept(a)
	eventually(t, "the session ends", func() bool { return len(h.Sessions()) == 0 })
	eventually(t, "the reason", func() bool { return h.events(EventEnded) == 1 })
	if n := testutil.ToFloat64(h.met.ended.WithLabelValues(EndHandshakeFailed.String())); n != 1 {
		t.Errorf("counted %v; want 1", n)
	}
	if n := testutil.ToFloat64(h.met.handshakes.WithLabelValues(handshakeDTLSFailed)); n != 1 {
		t.Errorf("counted %v; want 1", n)
	}
}

func TestAdmissionIsExact(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.MaxSessions = 10 })
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	offer := r.offer(false)
	var wg sync.WaitGroup
	var admitted, full atomic.Int64
	for range 50 {
		wg.Go(func() {
			switch _, err := h.Create(context.Background(), Offer{Display: "default", SDP: offer}); {
			case err == nil:
				admitted.Add(1)
			case errors.Is(err, ErrFull):
				full.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if admitted.Load() != 10 || full.Load() != 40 {
		t.Errorf("%d admitted, %d refused; want 10 and 40", admitted.Load(), full.Load())
	}
	if n := testutil.ToFloat64(h.met.refused.WithLabelValues(refusedFull)); n != 40 {
		t.Errorf("counted %v; want 40", n)
	}
	ids := map[string]bool{}
	for _, s := range h.Sessions() {
		ids[s.ID] = true
		if len(s.ID) != 26 {
			t.Errorf("id %q has not 128 bits", s.ID)
		}
	}
	if len(ids) != 10 {
		t.Errorf("%d ids; want 10", len(ids))
	}
}

func TestDrainRefusesAtOnceAndEndsTheRestAtItsDeadline(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 3)
	h.host.Drain(hoststate.DrainOrder{})
	late := newRemote(t)
	defer late.close()
	offer := late.offer(false)
	if _, err := h.Create(t.Context(), Offer{Display: "default", SDP: offer}); !errors.Is(err, ErrDraining) {
		t.Errorf("got %v; want ErrDraining", err)
	}
	if i := h.Host(); i.State != hoststate.Draining || !i.DrainDeadline.IsZero() {
		t.Errorf("host %q, deadline %v; want draining without one", i.State, i.DrainDeadline)
	}
	if h.RetryAfter() <= 0 {
		t.Error("no time to come again")
	}
	h.host.Resume()
	a, err := h.Create(t.Context(), Offer{Display: "default", SDP: offer})
	if err != nil {
		t.Fatalf("after the drain: %v", err)
	}
	if err := h.End(t.Context(), a.ID, EndOperator, ""); err != nil {
		t.Error(err)
	}
	r.playing(t, 3)
	h.host.Drain(hoststate.DrainOrder{Deadline: 50 * time.Millisecond})
	eventually(t, "the drain", func() bool {
		return testutil.ToFloat64(h.met.ended.WithLabelValues(EndDrained.String())) == 1
	})
	if n := h.events(EventDrain); n != 2 {
		t.Errorf("%d drains; want 2", n)
	}
}

func TestShutdownEndsAllSessions(t *testing.T) {
	h := openHouse(t, nil)
	h.alive(t)
	a, b := newRemote(t), newRemote(t)
	defer a.close()
	defer b.close()
	a.watch(h)
	b.watch(h)
	a.playing(t, 3)
	b.playing(t, 3)
	h.close(t) // within ShutdownTimeout, or it complains
	if n := testutil.ToFloat64(h.met.ended.WithLabelValues(EndShutdown.String())); n != 2 {
		t.Errorf("counted %v; want 2", n)
	}
	if _, err := h.Create(context.Background(), Offer{Display: "default", SDP: "v=0"}); !errors.Is(err, ErrDraining) {
		t.Errorf("after the end: got %v; want ErrDraining", err)
	}
}

func TestOffersThatCannotBeAnswered(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	good := r.offer(false)
	cut := func(prefixes ...string) string {
		var kept []string
		for line := range strings.SplitSeq(good, "\r\n") {
			if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) }) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\r\n")
	}
	head, sections, ok := strings.Cut(good, "m=video")
	_, audio, ok2 := strings.Cut(sections, "m=audio")
	if !ok || !ok2 {
		t.Fatal("the offer has not the sections that the test cuts out")
	}
	for _, c := range []struct {
		name, sdp string
		want      error
	}{
		{"empty", "", peer.ErrBadOffer},
		{"not a description", "hello", peer.ErrBadOffer},
		{"html", "<html><body>offer</body></html>", peer.ErrBadOffer},
		{"binary", "v=0\x00\xff", peer.ErrBadOffer},
		{"too long", good + strings.Repeat("a=x\r\n", 256<<10/5), peer.ErrBadOffer},
		{"no sections", head, peer.ErrBadOffer},
		{"no ufrag", cut("a=ice-ufrag"), peer.ErrBadOffer},
		{"no password", cut("a=ice-pwd"), peer.ErrBadOffer},
		{"no fingerprint", cut("a=fingerprint"), peer.ErrBadOffer},
		{"no H.264", strings.ReplaceAll(good, "H264/90000", "H265/90000"), peer.ErrUnacceptable},
		{"sendonly", strings.ReplaceAll(good, "a=recvonly", "a=sendonly"), peer.ErrUnacceptable},
		{"inactive", strings.ReplaceAll(good, "a=recvonly", "a=inactive"), peer.ErrUnacceptable},
		{"audio only", head + "m=audio" + audio, peer.ErrUnacceptable},
		{"data only", strings.ReplaceAll(good, "m=video", "m=application"), peer.ErrUnacceptable},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := h.Create(t.Context(), Offer{Display: "default", SDP: c.sdp}); !errors.Is(err, c.want) {
				t.Errorf("got %v; want %v", err, c.want)
			}
		})
	}
	if _, err := h.Create(t.Context(), Offer{Display: "nowhere", SDP: good}); !errors.Is(err, ErrUnknownDisplay) {
		t.Errorf("got %v; want ErrUnknownDisplay", err)
	}
	h.screen.Lose(nil)
	h.screen.Refuse(errTest)
	if _, err := h.Create(t.Context(), Offer{Display: "default", SDP: good}); !errors.Is(err, ErrNoPicture) {
		t.Errorf("got %v; want ErrNoPicture", err)
	}
	if n := len(h.Sessions()); n != 0 {
		t.Errorf("%d sessions; want none", n)
	}
	if n := testutil.ToFloat64(h.met.refused.WithLabelValues(refusedMalformed)); n != 9 {
		t.Errorf("counted %v malformed offers; want 16", n)
	}
}

func TestLostDisplayFreezesTheSession(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	r.watch(h)
	r.playing(t, 3)
	h.screen.Lose(errTest)
	eventually(t, "the session is frozen", func() bool { s, err := h.Session(r.id); return err == nil && s.Frozen })
	eventually(t, "host and display say so", func() bool {
		i := h.Host()
		return i.State == hoststate.Degraded && i.Displays[0].State == pipeline.Lost.String()
	})
	_, keys := r.got()
	h.screen.Lose(nil)
	// Pictures from before the loss may still arrive; they say nothing.
	eventually(t, "a keyframe arrives after the display came back", func() bool { _, k := r.got(); return k != keys })
	eventually(t, "the session goes on", func() bool {
		s, err := h.Session(r.id)
		return err == nil && !s.Frozen && s.State == stateConnected
	})
	r.playing(t, 10)
}

func TestRevokedSessionsEndAtOnceAndExpiredOnesInTime(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	var all []*remote
	by := func(name string) Owner { return Owner{Credential: CredentialGrant, Issuer: "i", Name: name} }
	for _, o := range []Offer{
		{Owner: by("ann"), Grant: "g1"},
		{Owner: by("ann"), Grant: "g2"},
		{Owner: Owner{Credential: CredentialToken, Name: "ann"}},
		{Owner: by("cy"), Expires: time.Now().Add(time.Second)},
	} {
		r := newRemote(t)
		defer r.close()
		o.Display, o.SDP = "default", r.offer(false)
		a, err := h.Create(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r.accept(a)
		all = append(all, r)
	}
	all[2].playing(t, 3)
	ended := func(why EndReason) float64 { return testutil.ToFloat64(h.met.ended.WithLabelValues(why.String())) }
	if n := h.Revoke("another", "g1", "ann"); n != 0 {
		t.Errorf("%d sessions of another issuer's grants", n)
	}
	if n := h.Revoke("i", "g1", ""); n != 1 {
		t.Errorf("%d sessions of the grant; want 1", n)
	}
	eventually(t, "the grant's session ends", func() bool { return ended(EndRevoked) == 1 })
	if n := h.Revoke("i", "", "ann"); n != 1 {
		t.Errorf("%d sessions left of the subject; want 1", n)
	}
	eventually(t, "the subject's session ends", func() bool { return ended(EndRevoked) == 2 })
	eventually(t, "the grant of the last expires", func() bool { return ended(EndExpired) == 1 })
	all[2].playing(t, 3)
	if n := h.Revoke("i", "", ""); n != 0 {
		t.Errorf("revoking nothing ends %d sessions", n)
	}
}

func TestViewersOfAFixedRateShareAnEncodeFromTheStart(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.FixedBitrate = 5_000_000 })
	defer h.close(t)
	h.alive(t)
	for range 3 {
		r := newRemote(t)
		defer r.close()
		r.watch(h)
		r.playing(t, 10)
	}
	if s := h.enc.Stats(); s.Opened != 1 {
		t.Errorf("%d encoders for viewers who all get the same; want 1", s.Opened)
	}
}

// What a viewer's connection is secured by is in nothing that the manager shows or keeps: not in a snapshot, an event
// or a recording.
func TestCredentialsOfMediaStaySecret(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	r := newRemote(t)
	defer r.close()
	offer := r.offer(false)
	a, err := h.Create(t.Context(), Offer{
		Display: "default", SDP: offer,
		Owner: Owner{Credential: CredentialGrant, Name: "ann"}, Grant: "g1",
	})
	if err != nil {
		t.Fatal(err)
	}
	r.accept(a)
	r.playing(t, 3)
	var recording bytes.Buffer
	if err := h.WriteRecording(a.ID, &recording); err != nil {
		t.Fatal(err)
	}
	events, _, _ := h.journal.Events(0)
	shown, err := json.Marshal([]any{h.Sessions(), events, h.Host(), h.reservations.List()})
	if err != nil || len(events) == 0 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	secrets := 0
	for line := range strings.Lines(offer + a.SDP) {
		for _, name := range []string{"a=ice-pwd:", "a=ice-ufrag:", "a=fingerprint:sha-256 "} {
			secret, ok := strings.CutPrefix(strings.TrimSpace(line), name)
			if !ok {
				continue
			}
			secrets++
			if bytes.Contains(recording.Bytes(), []byte(secret)) || strings.Contains(string(shown), secret) {
				t.Errorf("%s%s is shown", name, secret)
			}
		}
	}
	if recording.Len() == 0 || secrets < 6 {
		t.Errorf("%d secrets were looked for, in a recording of %d bytes", secrets, recording.Len())
	}
}

// A display that does not open delays the viewer that waits for it, but not the end of the host.
func TestEndWhileADisplayOpens(t *testing.T) {
	r := newRemote(t)
	defer r.close()
	offer := r.offer(false)
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan struct{})
		h := openHouse(t, func(c *Config) {
			c.Displays = func(context.Context) []Display {
				return []Display{{ID: "slow", Width: 640, Height: 480, Open: func(ctx context.Context,
					_ capture.Demand,
				) (capture.Source, error) {
					close(asked)
					<-ctx.Done()
					return nil, ctx.Err()
				}}}
			}
		})
		refused := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err := h.Create(ctx, Offer{Display: "slow", SDP: offer})
			refused <- err
		}()
		<-asked
		began := time.Now()
		h.close(t)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the end took %v", took)
		}
		if err := <-refused; !errors.Is(err, ErrDraining) {
			t.Errorf("the viewer was told %v; want that the host takes none", err)
		}
	})
}

// closing is a source whose Close does not return before release is closed.
type closing struct {
	capture.Source
	release chan struct{}
}

func (c closing) Close() error {
	<-c.release
	return c.Source.Close()
}

// What hangs at the end is named: it is no session.
func TestShutdownSaysWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		screen := newScreen(640, 480)
		d := screen.display()
		d.Open = func(ctx context.Context, demand capture.Demand) (capture.Source, error) {
			s, err := screen.Open(ctx, demand)
			return closing{s, release}, err
		}
		m, err := NewManager(Config{
			Displays:        func(context.Context) []Display { return []Display{d} },
			Encoders:        []encode.Factory{encodetest.New(encodetest.Config{})},
			ShutdownTimeout: time.Second,
		}, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.opener.acquire(t.Context(), d, Offer{}, encode.H264, 1_000_000); err != nil {
			t.Fatal(err)
		}
		want := "0 sessions are not released and 1 displays are not closed"
		if err := m.shutdown(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want the display that is left", err)
		}
		close(release)
		synctest.Wait()
	})
}
