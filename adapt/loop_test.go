package adapt

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// network is a bottleneck with a tail-drop queue, simulated packet by packet, and a receiver that reports.
type network struct {
	capacity func(at time.Duration) float64 // bits per second; 0 when the link is dead
	queueMax time.Duration                  // of data at the capacity of the moment
	delay    time.Duration                  // one way
	loss     float64                        // at random
	content  func(at time.Duration) float64 // share of the encoder's bitrate that the screen really gives
	rrOnly   bool
	rrEvery  time.Duration // between receiver reports where it is not a second
	encode   time.Duration
	encodes  func(at time.Duration) time.Duration // in the place of encode
	qp       float64
	still    bool // the pictures are of a screen that stands still
}

// figures are what a run is judged by.
type figures struct {
	sent, lost, delivered int // packets, packets, bytes
	targets               []Targets
	transitions           []Transition
}

const tick = 10 * time.Millisecond

func run(t *testing.T, cfg Config, n network, length time.Duration, during func(at time.Duration, now Targets, f *figures)) figures {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Unix(1_000_000, 0)
	var (
		f                 figures
		id                uint64
		free              time.Duration // when the bottleneck is free again
		pending           []Packet      // not reported yet, in order
		nextFrame, nextFB time.Duration
		rrSent, rrLost    int
		target            Targets
		lastSeq           uint64
		queued            []Packet
		pacer             float64
	)
	for at := time.Duration(0); at < length; at += tick {
		now := start.Add(at)
		target = l.Tick(now)
		if target.Seq != lastSeq {
			lastSeq = target.Seq
			f.transitions = append(f.transitions, target.Transition)
		}
		f.targets = append(f.targets, target)
		if at >= nextFrame && !target.Skip {
			nextFrame = at + time.Second/time.Duration(target.FPS)
			share := 1.0
			if n.content != nil {
				share = n.content(at)
			}
			bytes := int(float64(target.EncoderBitrate)/8/float64(target.FPS)*share*(0.9+0.2*random.Float64())) + 1
			encode := n.encode
			if n.encodes != nil {
				encode = n.encodes(at)
			}
			dirty := share
			if n.still {
				dirty = 0
			}
			l.OnSource(Source{At: now, FrameBytes: bytes, EncodeTime: max(encode, time.Millisecond), Dirty: dirty, QP: n.qp})
			for ; bytes > 0; bytes -= 1150 {
				id++
				queued = append(queued, Packet{ID: id, Size: min(bytes, 1150) + 50})
			}
		}
		for pacer += float64(target.PacingRate) / 8 * tick.Seconds(); len(queued) > 0 && pacer > 0; queued = queued[1:] {
			p := queued[0]
			p.Sent = now
			pacer -= float64(p.Size)
			f.sent++
			rrSent++
			capacity := n.capacity(at)
			free = max(free, at)
			wait := free - at
			if capacity == 0 || wait > n.queueMax || random.Float64() < n.loss {
				f.lost++
				rrLost++
				p.Lost = true
			} else {
				free += time.Duration(float64(p.Size*8) / capacity * float64(time.Second))
				f.delivered += p.Size
				p.Arrived = now.Add(free - at + n.delay + time.Hour) // another clock
			}
			l.OnSent(p)
			pending = append(pending, p)
		}
		pacer = min(pacer, 1500)
		if during != nil {
			during(at, target, &f)
		}
		if at < nextFB {
			continue
		}
		if n.rrOnly {
			nextFB = at + max(time.Second, n.rrEvery)
			if n.capacity(at) == 0 || rrSent == 0 {
				continue
			}
			l.OnFeedback(Feedback{At: now, Kind: RR, RTT: 2*n.delay + max(0, free-at), Loss: float64(rrLost) / float64(rrSent)})
			rrSent, rrLost = 0, 0
			continue
		}
		nextFB = at + 100*time.Millisecond
		if n.capacity(at) == 0 {
			continue
		}
		var report []Packet
		kept := pending[:0]
		horizon := now.Add(-n.delay)
		for _, p := range pending {
			reached := p.Arrived.Add(-time.Hour)
			if p.Lost {
				reached = p.Sent.Add(n.delay + free - at)
			}
			if reached.After(horizon) {
				kept = append(kept, p)
			} else {
				report = append(report, p)
			}
		}
		pending = kept
		if len(report) > 0 {
			l.OnFeedback(Feedback{At: now, Kind: TWCC, Packets: report, RTT: now.Sub(report[len(report)-1].Sent)})
		}
	}
	return f
}

func constant(bps float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return bps }
}

func (f *figures) target(at time.Duration) int { return f.targets[at/tick].EncoderBitrate }

var desktop = Config{Min: 150_000, Max: 8_000_000, Start: 1_000_000, FPS: 30, Width: 1280, Height: 720}

func TestStepDownAndUp(t *testing.T) {
	f := run(t, desktop, network{
		capacity: func(at time.Duration) float64 {
			if at >= 30*time.Second && at < 60*time.Second {
				return 1_500_000
			}
			return 9_000_000
		},
		queueMax: 100 * time.Millisecond, delay: 10 * time.Millisecond,
	}, 90*time.Second, nil)
	if got := f.target(29 * time.Second); got < 5_000_000 {
		t.Errorf("target after 29 s on a link of 9 Mbit/s is %d; want over 5000000", got)
	}
	mean := 0
	for at := 33 * time.Second; at < 60*time.Second; at += time.Second {
		mean += f.target(at) / 27
		if got := f.target(at); got > 1_950_000 || got < 400_000 {
			t.Errorf("target at %v on a link of 1.5 Mbit/s is %d; want 400000 to 1950000", at, got)
		}
	}
	if mean > 1_550_000 || mean < 800_000 {
		t.Errorf("mean target on a link of 1.5 Mbit/s is %d; want 800000 to 1550000", mean)
	}
	if got := f.target(80 * time.Second); got < 4_000_000 {
		t.Errorf("target 20 s after the limit was lifted is %d; want over 4000000", got)
	}
	if loss := float64(f.lost) / float64(f.sent); loss > 0.02 {
		t.Errorf("loss is %.3f; want at most 0.02", loss)
	}
}

func TestStillScreenThenMotion(t *testing.T) {
	f := run(t, desktop, network{
		capacity: constant(3_000_000), queueMax: 300 * time.Millisecond, delay: 20 * time.Millisecond,
		content: func(at time.Duration) float64 {
			if at < 60*time.Second {
				return 0.05
			}
			return 1
		},
	}, 90*time.Second, nil)
	if got := f.target(59 * time.Second); got != f.target(time.Second) {
		t.Errorf("target went from %d to %d on a still screen; want it unchanged", f.target(time.Second), got)
	}
	if s := f.targets[59*time.Second/tick]; s.Quality != Good || !s.Idle {
		t.Errorf("a still screen is %v, idle %v; want good, idle", s.Quality, s.Idle)
	}
	if loss := float64(f.lost) / float64(f.sent); loss > 0.01 {
		t.Errorf("loss is %.3f; want at most 0.01", loss)
	}
}

func TestRandomLossDoesNotCollapse(t *testing.T) {
	f := run(t, desktop, network{capacity: constant(3_000_000), queueMax: 300 * time.Millisecond, delay: 20 * time.Millisecond, loss: 0.05},
		60*time.Second, nil)
	if got := f.target(59 * time.Second); got < 600_000 {
		t.Errorf("target at 5 %% random loss is %d; want over 600000", got)
	}
}

// At the floor so few packets are sent that the time for a judgement brings too few to judge by. None lost among a handful is
// no sign that sending less has helped.
func TestLossAtTheFloorIsJudgedOnEnough(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	var p path
	l := law{min: 150_000, max: 1e7, target: 150_000, reported: start}
	s := &l.losses
	s.before, s.at, s.rate, s.cutAt, s.judgeAt = 400_000, .1, 120_000, start, start.Add(judgeAfter)
	s.after = sample{packets: lossSample / 2}
	l.judge(start.Add(judgeAfter+time.Millisecond), &p, p.lossApart(start))
	if s.judgeAt.IsZero() || l.target != 150_000 {
		t.Errorf("judged on %d packets: target %.0f", s.after.packets, l.target)
	}
	s.after = sample{packets: lossSample, lost: lossSample / 5}
	l.judge(start.Add(judgeAfter+time.Second), &p, 0)
	if !s.judgeAt.IsZero() || l.target != 400_000 || s.limit < .1 {
		t.Errorf("as much is lost after the cut as before: target %.0f, tolerated %.2f; want the 400000 from before, more than 0.1", l.target, s.limit)
	}
	s.judgeAt, s.after = start.Add(judgeAfter), sample{}
	if l.judge(start.Add(judgeAfter+judgeMost), &p, 0); !s.judgeAt.IsZero() {
		t.Error("without packets the judgement waits for ever, and holds the rate")
	}
}

// Congestion is the default explanation of loss: one cut that does not cure it proves nothing, since others may have taken what it freed.
func TestLossIsTheLinksOwnOnlyAfterSeveralCuts(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	p := path{rtt: 40 * time.Millisecond}
	l := law{min: 150_000, max: 1e7, target: 2e6, reported: now}
	s := &l.losses
	s.trying, s.before, s.at = true, 2e6, .08
	for cuts := 1; ; cuts++ {
		was := l.target
		l.cutForLoss(now, &p, .9*l.target, l.target, ReasonLoss)
		s.after = sample{packets: 500, lost: 40}
		now = s.judgeAt.Add(time.Millisecond)
		l.judge(now, &p, .08)
		if s.limit > 0 {
			if cuts < ownTrials || was > trialDeep*2e6/(1-trialMost) {
				t.Errorf("believed after %d cuts, at %.0f of 2000000", cuts, was)
			}
			break
		}
		if cuts > 10 {
			t.Fatal("loss that no cut cures is never believed")
		}
	}
	if l.target != 2e6 || s.limit > ownMost {
		t.Errorf("target %.0f, tolerated %.2f; want the 2000000 from before, at most %.2f", l.target, s.limit, ownMost)
	}
	s.judgeAt = time.Time{}
	if l.judge(now.Add(ownFor+time.Second), &p, .08); s.limit != 0 {
		t.Error("what is believed never expires")
	}
}

// The circuit opens whatever is believed of the link (RFC 8083).
func TestHeavyLossOpensTheCircuit(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := law{min: 150_000, max: 1e7, target: 8e6, reported: now}
	l.losses.limit, l.losses.believedAt = ownMost, now
	for range 30 {
		l.guard(now, .4, 400, 2e6)
		now = now.Add(100 * time.Millisecond)
	}
	if l.target > 2e6 || l.losses.limit != 0 {
		t.Errorf("40 %% lost for 3 s: target %.0f with 2000000 arriving, tolerated %.2f; want less than arrives, and nothing", l.target, l.losses.limit)
	}
}

func TestOutage(t *testing.T) {
	f := run(t, desktop, network{
		capacity: func(at time.Duration) float64 {
			if at >= 20*time.Second && at < 27*time.Second {
				return 0
			}
			return 3_000_000
		},
		queueMax: 300 * time.Millisecond, delay: 20 * time.Millisecond,
	}, 50*time.Second, nil)
	stalled := false
	for _, tr := range f.transitions {
		if tr.To == Stalled {
			stalled = true
			if tr.Reason != ReasonNoFeedback {
				t.Errorf("stalled by %v; want no_feedback", tr.Reason)
			}
		}
	}
	if !stalled {
		t.Errorf("7 s without an answer made the transitions %v; want one to stalled", f.transitions)
	}
	if last := f.targets[len(f.targets)-1]; last.Quality == Stalled || last.EncoderBitrate < 700_000 {
		t.Errorf("23 s after the outage: %v at %d bit/s; want better than stalled, over 700000", last.Quality, last.EncoderBitrate)
	}
}

func TestReceiverReportsOnly(t *testing.T) {
	cfg := desktop
	cfg.Max = 4_000_000
	f := run(t, cfg, network{capacity: constant(1_500_000), queueMax: 300 * time.Millisecond, delay: 25 * time.Millisecond, rrOnly: true},
		120*time.Second, nil)
	if use := float64(f.delivered) * 8 / 120 / 1_500_000; use < 0.6 {
		t.Errorf("use is %.2f of the link; want at least 0.6", use)
	}
	if loss := float64(f.lost) / float64(f.sent); loss > 0.03 {
		t.Errorf("loss is %.3f; want at most 0.03", loss)
	}
}

// RFC 3550 lets a receiver report as seldom as each 6.2 s, and GStreamer does.
func TestSeldomReceiverReportsAreNoSilence(t *testing.T) {
	f := run(t, desktop, network{
		capacity: constant(3e6), delay: 20 * time.Millisecond, queueMax: 300 * time.Millisecond, rrOnly: true, rrEvery: 6200 * time.Millisecond,
	}, 120*time.Second, nil)
	for _, tr := range f.transitions {
		if tr.To == Stalled || tr.Reason == ReasonNoFeedback {
			t.Errorf("after %v it is %v by %v", tr.At, tr.To, tr.Reason)
		}
	}
	if last := f.targets[len(f.targets)-1].EncoderBitrate; last < desktop.Start {
		t.Errorf("the target is %d bit/s after two minutes on a path of 3 Mbit/s; want no less than the %d at first", last, desktop.Start)
	}
}

// byReportsRig is a controller whose receiver sends receiver reports alone, and the clock it goes by.
type byReportsRig struct {
	*Loop
	now    time.Time
	id     uint64
	packet []Packet // by ID, from 1
}

func newByReports(t *testing.T, start int) *byReportsRig {
	t.Helper()
	cfg := desktop
	cfg.Start = start
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &byReportsRig{Loop: l, now: time.Unix(1_000_000, 0), packet: make([]Packet, 1)}
}

// send sends at a rate for a while.
func (r *byReportsRig) send(bitsPerSecond float64, long time.Duration) {
	for end := r.now.Add(long); r.now.Before(end); r.now = r.now.Add(time.Duration(packetBits / bitsPerSecond * float64(time.Second))) {
		r.id++
		p := Packet{ID: r.id, Size: packetBits / 8, Sent: r.now}
		r.packet = append(r.packet, p)
		r.OnSent(p)
		r.Tick(r.now)
	}
}

// report tells that what was sent before an age has arrived; the way back is 10 ms of it.
func (r *byReportsRig) report(age time.Duration, loss float64) {
	newest := len(r.packet) - 1
	for newest > 1 && r.now.Sub(r.packet[newest].Sent) < age {
		newest--
	}
	f := Feedback{At: r.now, Kind: RR, Loss: loss, Packets: []Packet{r.packet[newest]}}
	if newest+1 < len(r.packet) {
		f.Packets = append(f.Packets, r.packet[newest+1])
		f.Packets[1].Lost = true
	}
	r.OnFeedback(f)
}

func (r *byReportsRig) target() float64 { return r.law.target }

func TestReportsTellWhatThePathCarries(t *testing.T) {
	r := newByReports(t, 2_000_000)
	for range 3 {
		r.send(2e6, time.Second)
		r.report(20*time.Millisecond, 0)
	}
	// The path falls to 1 Mbit/s halfway through the second: 250 ms of what was sent wait in the end.
	before := r.target()
	r.send(2e6, time.Second)
	r.report(270*time.Millisecond, 0)
	if q := r.path.queue; q < 240*time.Millisecond || q > 260*time.Millisecond {
		t.Errorf("the queue is %v; want 250ms", q)
	}
	if got := r.target(); got > 0.6*before {
		t.Errorf("with a queue of 250 ms the target goes from %.0f to %.0f; want 0.6 of it at most", before, got)
	}
	// A second later the queue still stands, and what arrived in between is what the path carries.
	r.send(1.2e6, time.Second)
	r.report(620*time.Millisecond, 0) // 540 kbit were on their way, 1.2 Mbit came and 1 went
	if c := r.law.capacity; c < 0.85e6 || c > 1.15e6 {
		t.Errorf("the capacity is taken for %.0f bit/s; want about 1000000", c)
	}
	// Nobody reports while it empties, and the target returns by itself.
	r.send(0.5e6, 1500*time.Millisecond)
	if got := r.target(); got < 0.8*r.law.capacity || got > r.law.capacity {
		t.Errorf("after the time that the queue takes to empty the target is %.0f of %.0f; want most of it", got, r.law.capacity)
	}
}

// A report that was late looks like a queue of as long. The next one tells that it was none: a queue takes its time to empty.
func TestLateReportIsTakenBack(t *testing.T) {
	r := newByReports(t, 2_000_000)
	for range 3 {
		r.send(2e6, time.Second)
		r.report(20*time.Millisecond, 0)
	}
	before := r.target()
	r.send(2e6, 1500*time.Millisecond)
	r.report(520*time.Millisecond, 0)
	cut := r.target()
	if cut > 0.7*before {
		t.Fatalf("a queue of 500 ms leaves %.0f of %.0f", cut, before)
	}
	r.send(cut, 300*time.Millisecond)
	r.report(20*time.Millisecond, 0)
	if got := r.target(); got < before {
		t.Errorf("the queue of 500 ms was gone after 300 ms, and the target is %.0f; want the %.0f from before", got, before)
	}
	// One that a later one has overtaken tells nothing.
	before, queue := r.target(), r.path.queue
	r.report(700*time.Millisecond, 0.5)
	if r.target() != before || r.path.queue != queue {
		t.Errorf("an overtaken report makes the target %.0f of %.0f and the queue %v of %v", r.target(), before, r.path.queue, queue)
	}
}

// Missing packets behind a queue show that it overflows, long before a report does; a radio's burst does not.
func TestMissingPacketsShowAnOverflow(t *testing.T) {
	for _, c := range []struct {
		name  string
		lost  func(i int) bool
		delay time.Duration
		cuts  bool
	}{
		{"three of four behind a queue", func(i int) bool { return i%4 != 3 }, 120 * time.Millisecond, true},
		{"one of four behind a queue", func(i int) bool { return i%4 == 0 }, 120 * time.Millisecond, true},
		{"one of four without a queue", func(i int) bool { return i%4 == 0 }, 20 * time.Millisecond, false},
		{"three of four without a queue", func(i int) bool { return i%4 != 3 }, 20 * time.Millisecond, true},
		{"one of twenty behind a queue", func(i int) bool { return i%20 == 0 }, 120 * time.Millisecond, false},
		{"a burst of twenty", func(i int) bool { return i < 20 }, 120 * time.Millisecond, false},
	} {
		r := newByReports(t, 4_000_000)
		for range 3 {
			r.send(4e6, time.Second)
			r.report(20*time.Millisecond, 0)
		}
		before, first := r.target(), len(r.packet)
		r.send(4e6, 100*time.Millisecond)
		all := r.packet[first:]
		r.now = r.now.Add(c.delay)
		f := Feedback{At: r.now, Kind: NACK}
		for i, p := range all {
			p.Lost = c.lost(i) && i < len(all)-1
			f.Packets = append(f.Packets, p)
		}
		r.OnFeedback(f)
		if cut := r.target() < 0.9*before; cut != c.cuts {
			t.Errorf("%s: the target goes from %.0f to %.0f; want a cut: %v", c.name, before, r.target(), c.cuts)
		}
	}
}

// Two round trips apart from the media that met a growing queue tell it where receivers ask for nothing again and report a second later.
func TestEchoesShowAQueue(t *testing.T) {
	r := newByReports(t, 4_000_000)
	echo := func(rtt time.Duration) { r.OnFeedback(Feedback{At: r.now, Kind: Echo, RTT: rtt}) }
	for range 15 {
		r.send(4e6, 200*time.Millisecond)
		echo(20 * time.Millisecond)
	}
	r.report(20*time.Millisecond, 0)
	before := r.target()
	r.send(4e6, 200*time.Millisecond)
	echo(100 * time.Millisecond)
	if r.target() < before {
		t.Fatal("one echo is enough for a cut; want two, as one may be late")
	}
	r.send(4e6, 200*time.Millisecond)
	echo(250 * time.Millisecond)
	if got := r.target(); got > 0.4*before {
		t.Errorf("with a queue that grows by 3 s each second the target is %.0f of %.0f; want 0.4 at most", got, before)
	}
}

func TestOscillatingLinkDoesNotFlicker(t *testing.T) {
	f := run(t, desktop, network{
		capacity: func(at time.Duration) float64 {
			if at/(500*time.Millisecond)%2 == 0 {
				return 3_000_000
			}
			return 600_000
		},
		queueMax: 200 * time.Millisecond, delay: 20 * time.Millisecond,
	}, 120*time.Second, nil)
	if n := len(f.transitions); n > 12 {
		t.Errorf("%d transitions in 2 minutes; want at most 12: %v", n, f.transitions)
	}
}

func TestEncoderOverloadStepsTheFrameRate(t *testing.T) {
	f := run(t, desktop, network{capacity: constant(9_000_000), queueMax: 200 * time.Millisecond, delay: 10 * time.Millisecond, encode: 40 * time.Millisecond},
		20*time.Second, nil)
	last := f.targets[len(f.targets)-1]
	if last.FPS >= 30 || last.Quality != Degraded || last.Reason != ReasonEncoderOverload {
		t.Errorf("40 ms of encoding at 30 fps: %d fps, %v by %v; want fewer, degraded by encoder_overload", last.FPS, last.Quality, last.Reason)
	}
}

// What keeps the stream off the rung above changes hands: from the encoder to the path, and back.
func TestReasonFollowsTheLimit(t *testing.T) {
	const slow, fast = 40 * time.Millisecond, 3 * time.Millisecond
	for _, c := range []struct {
		name         string
		before, then time.Duration // of encoding
		wide, narrow float64
		first, last  Reason
	}{
		{"encoder, then path", slow, fast, 9_000_000, 400_000, ReasonEncoderOverload, ReasonQueueDelay},
		{"path, then encoder", fast, slow, 400_000, 9_000_000, ReasonQueueDelay, ReasonEncoderOverload},
	} {
		f := run(t, desktop, network{
			capacity: func(at time.Duration) float64 {
				if at < 30*time.Second {
					return c.wide
				}
				return c.narrow
			},
			encodes: func(at time.Duration) time.Duration {
				if at < 30*time.Second {
					return c.before
				}
				return c.then
			},
			queueMax: 200 * time.Millisecond, delay: 10 * time.Millisecond,
		}, 60*time.Second, nil)
		for at, want := range map[time.Duration]Reason{29 * time.Second: c.first, 59 * time.Second: c.last} {
			if got := f.targets[at/tick]; got.FPS >= 30 || got.Reason != want {
				t.Errorf("%s: at %v %d fps, %v by %v; want fewer than 30, by %v", c.name, at, got.FPS, got.Quality, got.Reason, want)
			}
		}
	}
}

// Within a state the reason is what holds now, unless it takes turns, and that is no transition.
func TestReasonChangesWithinAState(t *testing.T) {
	var q quality
	start := time.Unix(1_000_000, 0)
	at := time.Duration(0)
	during := func(long time.Duration, cause func(time.Duration) Reason) {
		for end := at + long; at < end; at += tick {
			q.step(start.Add(at), evidence{share: .8, cause: cause(at)}, func() Transition { return Transition{} })
		}
	}
	always := func(r Reason) func(time.Duration) Reason { return func(time.Duration) Reason { return r } }
	during(5*time.Second, always(ReasonLoss))
	if q.state != Constrained || q.reason != ReasonLoss || q.seq != 1 {
		t.Fatalf("%v by %v after %d transitions; want constrained by loss after one", q.state, q.reason, q.seq)
	}
	during(20*time.Second, func(at time.Duration) Reason {
		if at/time.Second%2 == 0 {
			return ReasonQueueDelay
		}
		return ReasonLoss
	})
	if q.reason != ReasonLoss {
		t.Errorf("with reasons that take turns each second the state's is %v; want that it entered by", q.reason)
	}
	during(reasonFor+tick, always(ReasonQueueDelay))
	if q.reason != ReasonQueueDelay {
		t.Errorf("after %v of another reason the state's is %v", reasonFor, q.reason)
	}
	during(2*tick, always(ReasonPolicer))
	if q.reason != ReasonPolicer {
		t.Errorf("a policer that was found is not told: %v", q.reason)
	}
	during(reasonFor+tick, always(ReasonProbeOK))
	if q.reason != ReasonQueueDelay || q.seq != 1 {
		t.Errorf("a probe that worked makes the reason %v, after %d transitions; want the path's, after one", q.reason, q.seq)
	}
}

// The first picture and a keyframe now and then may take long; a still screen is not overloaded by them.
func TestStillScreenIsNoOverload(t *testing.T) {
	l, err := New(desktop)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1_000_000, 0)
	for at := time.Duration(0); at < 30*time.Second; at += tick {
		now := start.Add(at)
		if at%time.Second == 0 {
			l.OnSource(Source{At: now, FrameBytes: 50_000, Keyframe: true, EncodeTime: 60 * time.Millisecond, Dirty: 0.01})
		}
		if got := l.Tick(now); got.FPS != desktop.FPS || got.Quality != Good {
			t.Fatalf("at %v: %d fps, %v by %v; want %d, good", at, got.FPS, got.Quality, got.Reason, desktop.FPS)
		}
	}
}

// A still screen that is refined takes the whole rate, and has no use for fewer frames, or a smaller picture.
func TestRefinementStepsNothingDown(t *testing.T) {
	n := network{capacity: constant(600_000), queueMax: 100 * time.Millisecond, delay: 10 * time.Millisecond}
	for _, still := range []bool{false, true} {
		n.still = still
		f := run(t, desktop, n, 15*time.Second, nil)
		last := f.targets[len(f.targets)-1]
		if lower := last.FPS < desktop.FPS || last.Width > 0; lower == still {
			t.Errorf("still %v: %d of %d frames a second, width %d, at %d bit/s", still, last.FPS, desktop.FPS, last.Width, last.EncoderBitrate)
		}
	}
}

// At low rates an encoder with a small buffer leaves much of its target. Its coarse pictures tell that this is no quiet screen.
func TestStarvedEncoderIsNoQuietScreen(t *testing.T) {
	for _, c := range []struct {
		qp    float64
		rises bool
	}{{45, true}, {20, false}} {
		n := network{
			capacity: constant(9_000_000), queueMax: 100 * time.Millisecond, delay: 10 * time.Millisecond,
			content: constant(0.5), qp: c.qp,
		}
		f := run(t, desktop, n, 20*time.Second, nil)
		if got := f.target(19*time.Second) > 2*f.target(time.Second); got != c.rises {
			t.Errorf("with QP %v and half the target used, the target went from %d to %d", c.qp, f.target(time.Second), f.target(19*time.Second))
		}
	}
}

// Packets that were reported lost are not on their way, and a closed gate opens by itself.
func TestLostTailDoesNotCloseTheGate(t *testing.T) {
	for _, reported := range []bool{true, false} {
		l, err := New(desktop)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_000_000, 0)
		var report []Packet
		for id := uint64(1); id <= 200; id++ {
			p := Packet{ID: id, Size: 1200, Sent: now}
			l.OnSent(p)
			p.Lost = id > 1
			p.Arrived = now.Add(20 * time.Millisecond)
			if reported || id == 1 {
				report = append(report, p)
			}
		}
		l.OnFeedback(Feedback{At: now.Add(50 * time.Millisecond), Kind: TWCC, Packets: report})
		if got := l.Tick(now.Add(60 * time.Millisecond)).Skip; got == reported {
			t.Errorf("with the loss reported (%v) Skip is %v", reported, got)
		}
		if l.Tick(now.Add(time.Second)).Skip {
			t.Errorf("a second later frames are still skipped (loss reported: %v)", reported)
		}
	}
}

func TestTransitionsTellTheirFigures(t *testing.T) {
	f := run(t, desktop, network{
		capacity: func(at time.Duration) float64 {
			if at >= 30*time.Second {
				return 400_000
			}
			return 9_000_000
		},
		queueMax: 100 * time.Millisecond, delay: 10 * time.Millisecond,
	}, 60*time.Second, nil)
	if len(f.transitions) == 0 {
		t.Fatal("no transition")
	}
	var sum time.Duration
	state := Good
	for i, tr := range f.transitions {
		if tr.Seq != uint64(i+1) || tr.From != state || tr.To == tr.From || tr.Target == 0 || tr.RTT == 0 || tr.At.IsZero() {
			t.Errorf("transition %d is %+v", i, tr)
		}
		state = tr.To
		sum += tr.Dwell
	}
	if want := f.transitions[len(f.transitions)-1].At.Sub(time.Unix(1_000_000, 0)); sum != want {
		t.Errorf("times in states add up to %v; want %v", sum, want)
	}
}

func TestPricesHoldTargetsBack(t *testing.T) {
	changes := map[Price]int{}
	for _, price := range []Price{PriceFree, PriceKeyframe, PriceReopen} {
		cfg := desktop
		cfg.Price = price
		last := 0
		run(t, cfg, network{capacity: constant(3_000_000), queueMax: 200 * time.Millisecond, delay: 10 * time.Millisecond}, 60*time.Second,
			func(_ time.Duration, now Targets, _ *figures) {
				if now.EncoderBitrate != last {
					changes[price]++
				}
				last = now.EncoderBitrate
			})
	}
	if changes[PriceKeyframe] > 40 || changes[PriceReopen] > changes[PriceKeyframe] || changes[PriceFree] < 2*changes[PriceKeyframe] {
		t.Errorf("bitrate changes in a minute: %v; want few where they are dear", changes)
	}
}

// An encoder may take a little less than it is asked for.
func TestAppliedRateOutOfBoundsIsNotAskedFor(t *testing.T) {
	for _, price := range []Price{PriceFree, PriceReopen} {
		cfg := desktop
		cfg.Start, cfg.Price = cfg.Min, price
		l, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_000_000, 0)
		for _, applied := range []int{cfg.Min - 500, cfg.Max + 500} {
			l.OnApplied(Applied{At: now, BitsPerSecond: applied, Price: price})
			if got := l.Tick(now).EncoderBitrate; got < cfg.Min || got > cfg.Max {
				t.Errorf("price %d: after %d bit/s were taken %d are asked for; want %d to %d", price, applied, got, cfg.Min, cfg.Max)
			}
		}
	}
}

func TestKeyframeRequestsAreCoalesced(t *testing.T) {
	l, err := New(desktop)
	if err != nil {
		t.Fatal(err)
	}
	start, keys := time.Unix(1_000_000, 0), 0
	for i := range 1000 {
		now := start.Add(time.Duration(i) * 10 * time.Millisecond)
		l.OnKeyframeRequest(now, KeyframePLI)
		if l.Tick(now).ForceIDR {
			keys++
		}
	}
	if keys < 10 || keys > 20 {
		t.Errorf("1000 requests in 10 s made %d keyframes; want 10 to 20", keys)
	}
}

func TestFixedRateIsKept(t *testing.T) {
	cfg := desktop
	cfg.Fixed = 2_000_000
	f := run(t, cfg, network{capacity: constant(1_000_000), queueMax: 200 * time.Millisecond, delay: 10 * time.Millisecond}, 20*time.Second, nil)
	for i, now := range f.targets {
		if now.EncoderBitrate != cfg.Fixed || now.Skip || now.Pad.Bytes != 0 {
			t.Fatalf("at %v: %+v; want 2000000 bit/s, no frame left out, no probe", time.Duration(i)*tick, now)
		}
	}
}

// A path that serves c in turn lets trains sent at s arrive at r = c*s/(s+o) beside o of others: the share of o is found whatever s is, and is
// none for whom the path serves alone.
func TestShareOfOthersFollowsFromTrains(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	const c = 3e6
	for _, own := range []float64{0.1, 0.33, 0.5, 0.8, 1} {
		for _, faster := range []float64{1.4, 2, 4} {
			var l law
			x := own * c
			s := faster * x
			l.divide(now, x, s, c*s/(s+c-x))
			if math.Abs(l.others-(1-own)) > 1e-9 {
				t.Errorf("with %g of the path and trains %g times as fast the others' share is found to be %.3f; want %.3f", own, faster, l.others, 1-own)
			}
		}
	}
	l := law{others: .5, othersAt: now}
	l.divide(now, 1e6, 1.2e6, 1e6)
	if l.others != .5 {
		t.Errorf("trains hardly faster than what arrives move the others' share to %.3f", l.others)
	}
}

// A queue of one's own takes its time to empty where others leave little room: it is nobody else's as long as it empties.
func TestSlowDrainIsNoRival(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name  string
		queue func(time.Duration) time.Duration
		found bool
	}{
		{"emptying", func(at time.Duration) time.Duration { return 150*time.Millisecond - at/50 }, false},
		{"standing", func(time.Duration) time.Duration { return 150 * time.Millisecond }, true},
	} {
		l := law{min: 150_000, max: 1e7, target: 1e6}
		l.drain = drain{on: true, from: 1e6, since: start, mark: 150 * time.Millisecond, markAt: start}
		for at := time.Duration(0); at < 6*time.Second; at += 100 * time.Millisecond {
			if at == 2*time.Second {
				l.target = 500_000 // only from here on is the rate so low that a queue of one's own must go
			}
			now := start.Add(at)
			var p path
			p.queue = c.queue(at)
			p.reported.add(now, sample{packets: 1})
			l.onTransport(now, &p)
			if l.rivals.on && at < 2*time.Second+rivalsAfter {
				t.Fatalf("%s: somebody else's after %v, %v after the rate fell", c.name, at, at-2*time.Second)
			}
		}
		if l.rivals.on != c.found {
			t.Errorf("%s: somebody else's: %v; want %v", c.name, l.rivals.on, c.found)
		}
	}
}

// Who has a path alone and then gets less of it makes room once, as far as three beside a fourth would; not for what the link lost, nor
// where nobody takes it.
func TestRoomIsMadeForWhoComes(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	now := start.Add(time.Minute)
	for _, c := range []struct {
		name           string
		received, most float64
		begun          time.Time
		makes          bool
	}{
		{"a tenth less", 5.4e6, 6e6, start, true},
		{"as much as ever", 5.9e6, 6e6, start, false},
		{"half: the link", 3e6, 6e6, start, false},
		{"new itself", 5.4e6, 6e6, now.Add(-newFor / 2), false},
		{"nothing known", 5.4e6, 0, start, false},
	} {
		l := law{min: 150_000, max: 1e7, target: c.received, begun: c.begun, capacity: c.most, capacityAt: now, starved: true}
		l.room.most, l.room.mostAt = c.most, now
		var p path
		l.overuse(now, &p, c.received, c.received)
		if made := now.Before(l.room.until); made != c.makes {
			t.Errorf("%s: room is made: %v; want %v", c.name, made, c.makes)
		}
		if c.makes && (l.target > yieldShare*c.received || l.target < cutShare*yieldShare*c.received) {
			t.Errorf("%s: the target falls to %.0f of %.0f", c.name, l.target, c.received)
		}
		if c.makes {
			l.drain.on = false
			if l.othersCame(now.Add(5*time.Second), &p, c.received); l.room.most != 0 {
				t.Errorf("%s: nobody took the room, and it is made again", c.name)
			}
		}
	}
}

// A single burst is a radio's: what drops all that is above a rate drops it as long as it is. And frames that arrive no faster than all that
// does wait in a queue, which a policer has none of.
func TestBurstIsNoPolicer(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		events, after  int
		swift, policer bool
	}{{1, 100, true, false}, {policedEvents, 100, true, true}, {policedEvents, lossSample, true, false}, {policedEvents, 100, false, false}} {
		l := law{min: 150_000, max: 1e7, target: 300_000, reported: start}
		s := &l.losses
		s.before, s.at, s.rate, s.cutAt, s.judgeAt, s.events = 400_000, .1, 350_000, start, start.Add(judgeAfter), c.events
		s.queuedAt, s.after, s.swift = start.Add(-time.Minute), sample{packets: c.after}, c.swift
		now := start.Add(judgeAfter)
		l.judge(now, &path{}, 0)
		if got := now.Before(s.policed); got != c.policer {
			t.Errorf("loss in %d runs, none of %d packets after the cut, frames swift %v: a policer: %v; want %v", c.events, c.after, c.swift, got, c.policer)
		}
	}
}

// Below its rate a policer loses nothing.
func TestLossBelowItsRateIsNoPolicers(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, received := range []float64{1.9e6, 1e6} {
		l := law{min: 150_000, max: 1e7, target: received, reported: now}
		l.losses.policed, l.losses.policedAt = now.Add(time.Minute), 2e6
		var p path
		p.reported.add(now, sample{packets: 100, lost: 5, events: 5})
		l.onLoss(now, &p, received, received)
		if got := now.Before(l.losses.policed); got != (received > 1.5e6) {
			t.Errorf("5 %% lost at %.0f of the policer's 2000000: it stays one: %v", received, got)
		}
	}
}

// A cut that helped, and not enough, is followed by another, and proves nothing about the link.
func TestHalfCuredLossIsCutForAgain(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	l := law{min: 150_000, max: 1e7, target: 2e6, reported: start}
	s := &l.losses
	s.before, s.at, s.cutAt, s.judgeAt = 4e6, .5, start, start.Add(judgeAfter)
	s.after = sample{packets: 1000, lost: 100}
	l.judge(start.Add(judgeAfter), &path{}, .1)
	if l.target >= 2e6 || s.trials != 0 || s.limit != 0 || s.judgeAt.IsZero() {
		t.Errorf("50 %% became 10 %%: target %.0f, %d cuts outlasted, tolerated %.2f; want less than 2000000, none, nothing", l.target, s.trials, s.limit)
	}
}

// Browsers send receiver reports beside transport feedback. They say nothing of the path that the feedback does not say, and are no second
// report of a queue.
func TestReceiverReportBesideFeedbackIsNoEvidence(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var p path
	p.onSent(&Packet{ID: 1, Size: 1200, Sent: now})
	now = now.Add(50 * time.Millisecond)
	if !p.onFeedback(&Feedback{At: now, Kind: TWCC, Packets: []Packet{{ID: 1, Size: 1200, Sent: now.Add(-50 * time.Millisecond), Arrived: now}}}, 1e6) {
		t.Fatal("transport feedback is no news")
	}
	before := p
	now = now.Add(20 * time.Millisecond)
	if p.onFeedback(&Feedback{At: now, Kind: RR, RTT: 60 * time.Millisecond, Jitter: 3 * time.Millisecond, Loss: .5}, 1e6) {
		t.Error("a receiver report beside transport feedback is news")
	}
	if p.jitter != 3*time.Millisecond || p.queue != before.queue || p.interval != before.interval || p.last != before.last || p.kind != TWCC {
		t.Errorf("the report changed more than round trip and jitter: %v, queue %v, interval %v, kind %v", p.jitter, p.queue, p.interval, p.kind)
	}
}

// A path that delivers nothing for a while, and then all that waited, has paused: the rate stays.
func TestPauseIsNoCapacity(t *testing.T) {
	for _, c := range []struct {
		name  string
		after float64 // the rate at which what waited arrives
		want  bool
	}{{"then faster than the stream", 20e6, true}, {"then more slowly", 2e6, false}} {
		var p pause
		proved := false
		at := time.Duration(0)
		for i := range 200 {
			sent := time.Duration(i) * 2 * time.Millisecond // 4.8 Mbit/s
			if at = max(at, sent); i == 100 {
				at += 90 * time.Millisecond
			}
			proved = p.packet(packetBits/8, sent, at, 4.8e6) || proved
			if i >= 100 {
				at += time.Duration(packetBits / c.after * float64(time.Second))
			}
		}
		if proved != c.want {
			t.Errorf("nothing for 90 ms, %s: a pause: %v; want %v", c.name, proved, c.want)
		}
	}
}

func TestLargeFlowsKeepShorterQueues(t *testing.T) {
	var low, high [3]time.Duration
	for i, rate := range []float64{1e6, 4e6, 16e6} {
		l := law{target: rate}
		if low[i], high[i] = l.thresholds(); i > 0 && (low[i] >= low[i-1] || high[i] >= high[i-1]) {
			t.Errorf("at %.0f bit/s the queue is %v to %v; want less than %v to %v", rate, low[i], high[i], low[i-1], high[i-1])
		}
	}
	if 2*high[2] != highQueue {
		t.Errorf("at 16 Mbit/s the rate falls at %v; want half of %v", high[2], highQueue)
	}
}

// A picture larger than was asked for is sent alone and no faster than the path takes it; one after the other makes the encoder be asked
// for less.
func TestOversizedPictureIsSentAlone(t *testing.T) {
	for _, key := range []bool{false, true} {
		l, err := New(desktop)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_000_000, 0)
		l.Tick(now)
		if key {
			l.OnKeyframeRequest(now, KeyframePLI)
			now = now.Add(tick)
		}
		l.Tick(now)
		before := l.Tick(now)
		want := int(1_000_000 / 8 * frameDelayP.Seconds())
		if key {
			want = int(1_000_000 / 8 * frameDelayI.Seconds())
		}
		if before.MaxFrameBytes != want {
			t.Fatalf("a keyframe is due: %v: at most %d bytes; want %d", key, before.MaxFrameBytes, want)
		}
		l.OnSource(Source{At: now, FrameBytes: before.MaxFrameBytes, Keyframe: key})
		if got := l.Tick(now); got.Skip {
			t.Errorf("a picture as large as allowed (keyframe: %v) makes the next ones be left out", key)
		}
		l.OnSource(Source{At: now, FrameBytes: 1_000_000 / 8, Keyframe: key}) // a second of the path
		if got := l.Tick(now); !got.Skip || got.PacingRate > int(pacingOver*1_000_000) {
			t.Errorf("beside a picture of a second (keyframe: %v) %d bit/s are paced, frames left out: %v", key, got.PacingRate, got.Skip)
		}
		if got := l.Tick(now.Add(time.Second)); got.Skip || got.PacingRate < int(1.2*1_000_000) {
			t.Errorf("a second later (keyframe: %v) %d bit/s are paced, frames left out: %v", key, got.PacingRate, got.Skip)
		}
	}
	l, err := New(desktop)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	first := l.Tick(now)
	for range 5 {
		now = now.Add(300 * time.Millisecond)
		l.OnSource(Source{At: now, FrameBytes: 2 * first.MaxFrameBytes})
		l.Tick(now)
	}
	if got := l.Tick(now).EncoderBitrate; got > 3*first.EncoderBitrate/4 {
		t.Errorf("five pictures of 300 ms leave the encoder asked for %d of %d bit/s", got, first.EncoderBitrate)
	}
}

// A picture made for the target before a cut is no fault of the encoder.
func TestPictureOfTheTargetBeforeIsNotTooLarge(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for since, faulty := range map[time.Duration]bool{encoderFollows / 2: false, 2 * encoderFollows: true} {
		l, err := New(desktop)
		if err != nil {
			t.Fatal(err)
		}
		l.law.cutAt = now.Add(-since)
		l.OnSource(Source{At: now, FrameBytes: 1_000_000 / 8})
		if got := !l.law.oversizeAt.IsZero(); got != faulty {
			t.Errorf("%v after a cut a large picture is the encoder's: %v; want %v", since, got, faulty)
		}
		if !l.Tick(now).Skip {
			t.Errorf("%v after a cut a large picture is not sent alone", since)
		}
	}
}

// A queue right after a picture that was too large is the encoder's.
func TestQueueOfAnOversizedPictureIsTheEncoders(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for after, want := range map[time.Duration]Reason{oversizeFor / 2: ReasonEncoderOvershoot, 2 * oversizeFor: ReasonQueueDelay} {
		l := law{min: 150_000, max: 1e7, target: 2e6, starved: true, oversizeAt: now.Add(-after)}
		var p path
		if l.overuse(now, &p, 1.5e6, 2e6); l.lastCause != want {
			t.Errorf("%v after the picture the cut is by %v; want %v", after, l.lastCause, want)
		}
	}
}

// After the receiver's clock was set the base is only as good as the round trips of three reports say: those of the next two seconds
// make it exact, or a queue that is none would hold the rate for half a minute.
func TestClockThatWasSetLeavesNoQueue(t *testing.T) {
	var p path
	at := time.Unix(1_000_000, 0)
	report := func(delay, most time.Duration) {
		at = at.Add(100 * time.Millisecond)
		p.onDelay(at, delay, most)
	}
	const base = 20 * time.Millisecond
	for range 10 {
		report(base, 2*time.Millisecond)
	}
	for range stepReports {
		report(base+2*time.Second, 15*time.Millisecond)
	}
	if p.queue < 10*time.Millisecond {
		t.Fatalf("the queue is %v; this test is about one that seems to be 15 ms", p.queue)
	}
	for i := range stepSettles {
		report(base+2*time.Second, time.Duration(1+i%5)*3*time.Millisecond)
	}
	if p.queue > 3*time.Millisecond {
		t.Errorf("two seconds later the queue is %v; want 3ms at most, which a round trip allowed", p.queue)
	}
	report(base+2*time.Second+40*time.Millisecond, 45*time.Millisecond)
	if p.queue < 40*time.Millisecond {
		t.Errorf("a queue of 40 ms afterwards is seen as %v", p.queue)
	}
}

// A link that fell to a half leaves a deviation of what it was; what lies far above the capacity known is not near it for that.
func TestOldDeviationIsNotNear(t *testing.T) {
	l := law{min: 150_000, max: 1e8, target: 4.6e6, capacity: 3e6, variance: 1e12, starved: true}
	now := time.Unix(1_000_000, 0)
	l.capacityAt, l.reported = now, now.Add(-100*time.Millisecond)
	before := l.target
	var p path
	l.raise(now, &p, 4.6e6, 4.6e6, 1)
	if rise := l.target/before - 1; rise < nearRise {
		t.Errorf("half above the capacity the target rises by %.3f in a report; want a ramp", rise)
	}
}

// Reports that come more often than frames see the packets within a frame, which wait for each other; only what stands for the time of a
// frame is a queue.
func TestQueueStandsForAFrame(t *testing.T) {
	var p path
	p.frame = 33 * time.Millisecond
	at := time.Unix(1_000_000, 0)
	report := func(delay time.Duration) {
		at = at.Add(15 * time.Millisecond)
		p.onDelay(at, delay, time.Second)
	}
	for i := range 30 {
		report([]time.Duration{10 * time.Millisecond, 22 * time.Millisecond, 40 * time.Millisecond}[i%3])
		if i > 3 && p.queue > time.Millisecond {
			t.Fatalf("report %d: what the packets of a frame wait is a queue of %v", i, p.queue)
		}
	}
	for range 3 {
		report(60 * time.Millisecond)
	}
	if p.queue < 30*time.Millisecond {
		t.Errorf("60 ms for a frame's time are a queue of %v; want over 30ms", p.queue)
	}
}

// Over less than slopeOver jitter looks like growth.
func TestSlopeNeedsTime(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		every time.Duration
		n     int
		want  bool
	}{{100 * time.Millisecond, 3, true}, {100 * time.Millisecond, 2, false}, {25 * time.Millisecond, 4, false}, {25 * time.Millisecond, 8, true}} {
		var p path
		for i := range c.n {
			p.onDelay(at.Add(time.Duration(i)*c.every), time.Duration(10+i)*time.Millisecond, time.Second)
		}
		if got := p.slope() > 0; got != c.want {
			t.Errorf("%d reports, one each %v, tell that the queue grows: %v; want %v", c.n, c.every, got, c.want)
		}
	}
}

func TestPreferenceMovesTheQueue(t *testing.T) {
	var high [3]time.Duration
	for i, prefer := range []Aggressiveness{Latency, Balanced, Quality} {
		l := law{target: 5e6, prefer: prefer}
		_, high[i] = l.thresholds()
		l.rivals = rivals{on: true, top: time.Second}
		if i > 0 && (high[i] <= high[i-1] || l.goal() != l.accepted()) {
			t.Errorf("%v cuts at %v, the one before at %v; accepts %v of %v", prefer, high[i], high[i-1], l.goal(), l.accepted())
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, kind := range []FeedbackKind{TWCC, RR, NACK, Echo} {
		nothingIsAllocated(t, kind)
	}
}

func nothingIsAllocated(t *testing.T, kind FeedbackKind) {
	t.Helper()
	l, err := New(desktop)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	id := uint64(0)
	report := make([]Packet, 20)
	got := testing.AllocsPerRun(1000, func() {
		for i := range report {
			id++
			report[i] = Packet{ID: id, Size: 1200, Sent: now, Arrived: now.Add(10 * time.Millisecond)}
			l.OnSent(report[i])
		}
		now = now.Add(50 * time.Millisecond)
		l.OnFeedback(Feedback{At: now, Kind: kind, Packets: report, RTT: 50 * time.Millisecond})
		l.Tick(now)
	})
	if got != 0 {
		t.Errorf("%v allocations per report of form %d; want 0", got, kind)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{Min: 1}, {Min: 2_000_000, Max: 1_000_000}, {Start: 1, Min: 20_000}, {FPS: 1000}, {Width: 1}, {Price: 9}, {Aggressiveness: 9}, {Fixed: 1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) is taken; want an error", cfg)
		}
	}
}

// FuzzLoop feeds the controller what a hostile viewer could make of it.
func FuzzLoop(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 251, 252, 253, 254, 255})
	f.Add([]byte("acknowledge what was never sent, from the future"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := New(desktop)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(1_000_000, 0)
		id := uint64(0)
		for i := 0; i+3 < len(data); i += 4 {
			a, b, c := data[i+1], data[i+2], data[i+3]
			now = now.Add(time.Duration(c) * time.Millisecond)
			switch data[i] % 10 {
			case 0:
				id++
				l.OnSent(Packet{ID: id, Size: int(a) * 256, Sent: now})
			case 1:
				losses := []float64{0, 0.5, 1, -1, math.NaN(), math.Inf(1), 1e300}
				l.OnFeedback(Feedback{
					At: now.Add(time.Duration(int8(a)) * time.Second), Kind: RR, RTT: time.Duration(int8(b)) * time.Second,
					Loss: losses[int(a)%len(losses)], Jitter: time.Duration(int8(b)) * time.Hour,
				})
			case 2:
				l.OnFeedback(Feedback{At: now, Kind: TWCC, RTT: time.Duration(a) * time.Millisecond, Packets: []Packet{
					{ID: uint64(a) << (b % 60), Size: int(int8(b)) << (a % 40), Sent: now, Arrived: now.Add(time.Duration(int8(a)) * time.Hour), Lost: b&1 == 1},
				}})
			case 3:
				l.OnSource(Source{At: now, FrameBytes: int(int8(a)) << (b % 40), EncodeTime: time.Duration(int8(b)) * time.Second, Dirty: float64(a)})
			case 4:
				l.OnKeyframeRequest(now, KeyframePLI)
			case 5:
				l.OnApplied(Applied{At: now, BitsPerSecond: int(int8(a)) << (b % 40), Width: int(int8(b)), Height: int(a)})
			case 6, 7:
				kind := RR
				if data[i]%10 == 7 {
					kind = NACK
				}
				ago := time.Duration(int8(c)) * 10 * time.Millisecond
				l.OnFeedback(Feedback{At: now, Kind: kind, RTT: time.Duration(a) * time.Millisecond, Loss: float64(b%5) / 4, Packets: []Packet{
					{ID: id - uint64(a%16), Size: int(a) * 16, Sent: now.Add(-ago), Lost: b&1 == 1},
					{ID: id - uint64(b%16), Size: int(a) * 16, Sent: now.Add(-ago), Lost: b&2 == 2},
				}})
			case 8:
				l.OnFeedback(Feedback{At: now, Kind: Echo, RTT: time.Duration(int8(a)) * time.Duration(b) * time.Millisecond})
			case 9:
				l.OnLimit(Limit{At: now, FPS: int(int8(a)), Scale: float64(int8(b)) / 100})
			}
			got := l.Tick(now)
			if got.EncoderBitrate < desktop.Min || got.EncoderBitrate > desktop.Max || got.PacingRate <= 0 || got.FPS < 1 ||
				got.FPS > desktop.FPS || got.Quality > Stalled || int(got.Reason) >= len(Reasons()) {
				t.Fatalf("targets are %+v", got)
			}
		}
	})
}

// A report on 20 packets, with what was sent for it and a tick.
func BenchmarkFeedback(b *testing.B) {
	l, err := New(desktop)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	id := uint64(0)
	report := make([]Packet, 20)
	b.ReportAllocs()
	for b.Loop() {
		for i := range report {
			id++
			report[i] = Packet{ID: id, Size: 1200, Sent: now, Arrived: now.Add(10 * time.Millisecond)}
			l.OnSent(report[i])
			now = now.Add(time.Millisecond)
		}
		l.OnFeedback(Feedback{At: now, Kind: TWCC, Packets: report})
		l.Tick(now)
	}
}
