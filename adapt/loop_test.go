package adapt

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"wavryhost/adapt/path"
	"wavryhost/adapt/tuning"
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
	// others is the queue that other traffic fills, and watch looks at the controller after each tick.
	others func(at time.Duration) time.Duration
	watch  func(at time.Duration, l *Loop)
}

// figures are what a run is judged by.
type figures struct {
	sent, lost, delivered int // packets, packets, bytes
	targets               []Targets
	transitions           []Transition
}

const tick = 10 * time.Millisecond

func run(t *testing.T, cfg Config, n network, length time.Duration, during func(at time.Duration, now Targets,
	f *figures),
) figures {
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
			l.OnSource(Source{
				At: now, FrameBytes: bytes, EncodeTime: max(encode, time.Millisecond),
				Dirty: dirty, QP: n.qp,
			})
			for ; bytes > 0; bytes -= 1150 {
				id++
				queued = append(queued, Packet{ID: id, Size: min(bytes, 1150) + 50})
			}
		}
		for pacer += float64(target.PacingRate) / 8 * tick.Seconds(); len(queued) > 0 &&
			pacer > 0; queued = queued[1:] {
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
				if n.others != nil {
					free = max(free, at+n.others(at))
				}
				p.Arrived = now.Add(free - at + n.delay + time.Hour) // another clock
			}
			l.OnSent(p)
			pending = append(pending, p)
		}
		pacer = min(pacer, 1500)
		if during != nil {
			during(at, target, &f)
		}
		if n.watch != nil {
			n.watch(at, l)
		}
		if at < nextFB {
			continue
		}
		if n.rrOnly {
			nextFB = at + max(time.Second, n.rrEvery)
			if n.capacity(at) == 0 || rrSent == 0 {
				continue
			}
			l.OnFeedback(Feedback{
				At: now, Kind: RR, RTT: 2*n.delay + max(0, free-at),
				Loss: float64(rrLost) / float64(rrSent),
			})
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
	f := run(t, desktop, network{
		capacity: constant(3_000_000), queueMax: 300 * time.Millisecond,
		delay: 20 * time.Millisecond, loss: 0.05,
	},
		60*time.Second, nil)
	if got := f.target(59 * time.Second); got < 600_000 {
		t.Errorf("target at 5 %% random loss is %d; want over 600000", got)
	}
}

// At the floor so few packets are sent that the time for a judgment brings too few to judge by. None lost among a
// handful is no sign that sending less has helped.
func TestLossAtTheFloorIsJudgedOnEnough(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	var p path.Path
	l := law{min: 150_000, max: 1e7, target: 150_000, sampled: start}
	s := &l.losses
	s.before, s.at, s.rate, s.cutAt, s.judgeAt = 400_000, .1, 120_000, start, start.Add(tuning.JudgeAfter)
	s.after = path.Count{Packets: tuning.LossPackets / 2}
	l.judge(start.Add(tuning.JudgeAfter+time.Millisecond), &p, 0)
	if s.judgeAt.IsZero() || l.target != 150_000 {
		t.Errorf("judged on %d packets: target %.0f", s.after.Packets, l.target)
	}
	s.after = path.Count{Packets: tuning.LossPackets, Lost: tuning.LossPackets / 5}
	l.decide(start.Add(tuning.JudgeAfter+time.Second), l.judge(start.Add(tuning.JudgeAfter+time.Second), &p, 0))
	if !s.judgeAt.IsZero() || l.target != 400_000 || s.believed < .1 {
		t.Errorf("as much is lost after the cut as before: target %.0f, tolerated %.2f; want 400000, more than 0.1",
			l.target, s.believed)
	}
	s.judgeAt, s.after = start.Add(tuning.JudgeAfter), path.Count{}
	if l.judge(start.Add(tuning.JudgeAfter+tuning.Patience), &p, 0); !s.judgeAt.IsZero() {
		t.Error("without packets the judgment never comes, and the rate is held")
	}
}

// Congestion is the default explanation of loss: one cut that does not cure it proves nothing, since others may have
// taken what it freed.
func TestLossIsTheLinksOwnOnlyAfterSeveralCuts(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	p := path.Path{RTT: 40 * time.Millisecond}
	l := law{min: 150_000, max: 1e7, target: 2e6, sampled: now}
	s := &l.losses
	s.trying, s.before, s.at = true, 2e6, .08
	for cuts := 1; ; cuts++ {
		was := l.target
		l.cutForLoss(now, &p, .9*l.target, l.target, ReasonLoss)
		l.decide(now, 0)
		s.after = path.Count{Packets: 500, Lost: 40}
		now = s.judgeAt.Add(time.Millisecond)
		l.decide(now, l.judge(now, &p, .08))
		if s.believed > 0 {
			if cuts < tuning.Trials || was > tuning.DeepShare*2e6/(1-tuning.TrialMost) {
				t.Errorf("believed after %d cuts, at %.0f of 2000000", cuts, was)
			}
			break
		}
		if cuts > 10 {
			t.Fatal("loss that no cut cures is never believed")
		}
	}
	if l.target != 2e6 || s.believed > tuning.HeavyLoss {
		t.Errorf("target %.0f, tolerated %.2f; want the 2000000 from before, at most %.2f",
			l.target, s.believed, tuning.HeavyLoss)
	}
	s.judgeAt = time.Time{}
	if l.fade(now.Add(tuning.BelievedFor+time.Second), .08); s.believed != 0 {
		t.Error("what is believed never expires")
	}
}

// The circuit opens whatever is believed of the link (RFC 8083).
func TestHeavyLossOpensTheCircuit(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := law{min: 150_000, max: 1e7, target: 8e6, sampled: now}
	l.losses.believed, l.losses.believedAt = tuning.HeavyLoss, now
	for range 30 {
		l.guard(now, path.Count{Packets: 400, Lost: 160}, 2e6)
		l.decide(now, 0)
		now = now.Add(100 * time.Millisecond)
	}
	if l.target > 2e6 || l.losses.believed != 0 {
		t.Errorf("40 %% lost for 3 s: target %.0f with 2000000 arriving, tolerated %.2f; want less, and nothing",
			l.target, l.losses.believed)
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
		t.Errorf("23 s after the outage: %v at %d bit/s; want better than stalled, over 700000",
			last.Quality, last.EncoderBitrate)
	}
}

func TestReceiverReportsOnly(t *testing.T) {
	cfg := desktop
	cfg.Max = 4_000_000
	f := run(t, cfg, network{
		capacity: constant(1_500_000), queueMax: 300 * time.Millisecond,
		delay: 25 * time.Millisecond, rrOnly: true,
	},
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
		capacity: constant(3e6), delay: 20 * time.Millisecond, queueMax: 300 * time.Millisecond, rrOnly: true,
		rrEvery: 6200 * time.Millisecond,
	}, 120*time.Second, nil)
	for _, tr := range f.transitions {
		if tr.To == Stalled || tr.Reason == ReasonNoFeedback {
			t.Errorf("after %v it is %v by %v", tr.At, tr.To, tr.Reason)
		}
	}
	if last := f.targets[len(f.targets)-1].EncoderBitrate; last < desktop.Start {
		t.Errorf("the target is %d bit/s after two minutes on a path of 3 Mbit/s; want no less than the %d at first",
			last, desktop.Start)
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
	each := time.Duration(path.PacketBits / bitsPerSecond * float64(time.Second))
	for end := r.now.Add(long); r.now.Before(end); r.now = r.now.Add(each) {
		r.id++
		p := Packet{ID: r.id, Size: path.PacketBits / 8, Sent: r.now}
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
	if q := r.path.Queue; q < 240*time.Millisecond || q > 260*time.Millisecond {
		t.Errorf("the queue is %v; want 250ms", q)
	}
	if got := r.target(); got > 0.6*before {
		t.Errorf("with a queue of 250 ms the target goes from %.0f to %.0f; want 0.6 of it at most", before, got)
	}
	// A second later the queue still stands, and what arrived in between is what the path carries.
	r.send(1.2e6, time.Second)
	r.report(620*time.Millisecond, 0) // 540 kbit were on their way, 1.2 Mbit came and 1 went
	if c := r.law.capacity.rate; c < 0.8e6 || c > 1.2e6 {
		t.Errorf("the capacity is taken for %.0f bit/s; want about 1000000", c)
	}
	// No report comes while it empties, and the target returns without one.
	r.send(0.5e6, 1500*time.Millisecond)
	if got := r.target(); got < 0.8*r.law.capacity.rate || got > r.law.capacity.rate {
		t.Errorf("after the time that the queue takes to empty the target is %.0f of %.0f; want most of it",
			got, r.law.capacity.rate)
	}
}

// A report that was late looks like a queue of as long. The next one tells that it was none: a queue takes its time to
// empty.
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
		t.Errorf("the queue of 500 ms was gone after 300 ms, and the target is %.0f; want the %.0f from before",
			got, before)
	}
	// A report that a later one has overtaken is no news.
	before, queue := r.target(), r.path.Queue
	r.report(700*time.Millisecond, 0.5)
	if r.target() != before || r.path.Queue != queue {
		t.Errorf("an overtaken report makes the target %.0f of %.0f and the queue %v of %v",
			r.target(), before, r.path.Queue, queue)
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

// Two round trips apart from the media that met a growing queue tell it where receivers ask for nothing again and
// report a second later.
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
	f := run(t, desktop, network{
		capacity: constant(9_000_000), queueMax: 200 * time.Millisecond,
		delay: 10 * time.Millisecond, encode: 40 * time.Millisecond,
	},
		20*time.Second, nil)
	last := f.targets[len(f.targets)-1]
	if last.FPS >= 30 || last.Quality != Degraded || last.Reason != ReasonEncoderOverload {
		t.Errorf("40 ms of encoding at 30 fps: %d fps, %v by %v; want fewer, degraded by encoder_overload",
			last.FPS, last.Quality, last.Reason)
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
				t.Errorf("%s: at %v %d fps, %v by %v; want fewer than 30, by %v",
					c.name, at, got.FPS, got.Quality, got.Reason, want)
			}
		}
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
			l.OnSource(Source{
				At: now, FrameBytes: 50_000, Keyframe: true, EncodeTime: 60 * time.Millisecond,
				Dirty: 0.01,
			})
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
			t.Errorf("still %v: %d of %d frames a second, width %d, at %d bit/s",
				still, last.FPS, desktop.FPS, last.Width, last.EncoderBitrate)
		}
	}
}

// At low rates an encoder with a small buffer leaves much of its target. Its coarse pictures tell that this is no
// quiet screen.
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
			t.Errorf("with QP %v and half the target used, the target went from %d to %d",
				c.qp, f.target(time.Second), f.target(19*time.Second))
		}
	}
}

// A path that gives a moving picture too few bits to be sharp is not good, however many they are.
func TestCoarsePictureIsConstrained(t *testing.T) {
	for _, c := range []struct {
		name     string
		qp       float64
		capacity float64
		still    bool
		want     State
	}{
		{"coarse", 45, 3_000_000, false, Constrained},
		{"sharp", 25, 3_000_000, false, Good},
		{"coarse at the highest rate", 45, 30_000_000, false, Good},
		{"coarse and still", 45, 3_000_000, true, Good},
	} {
		n := network{
			capacity: constant(c.capacity), queueMax: 100 * time.Millisecond, delay: 10 * time.Millisecond,
			qp: c.qp, still: c.still,
		}
		f := run(t, desktop, n, 30*time.Second, nil)
		if last := f.targets[len(f.targets)-1]; last.Quality != c.want || last.FPS != desktop.FPS {
			t.Errorf("%s: %v by %v with %d bit/s and %d fps; want %v", c.name, last.Quality, last.Reason,
				last.EncoderBitrate, last.FPS, c.want)
		}
	}
}

// Packets that were reported lost are not on their way, and a closed gate opens again.
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
		if tr.Seq != uint64(i+1) || tr.From != state || tr.To == tr.From || tr.Target == 0 || tr.RTT == 0 ||
			tr.At.IsZero() {
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
		run(t, cfg, network{
			capacity: constant(3_000_000), queueMax: 200 * time.Millisecond,
			delay: 10 * time.Millisecond,
		}, 60*time.Second,
			func(_ time.Duration, now Targets, _ *figures) {
				if now.EncoderBitrate != last {
					changes[price]++
				}
				last = now.EncoderBitrate
			})
	}
	if changes[PriceKeyframe] > 40 || changes[PriceReopen] > changes[PriceKeyframe] ||
		changes[PriceFree] < 2*changes[PriceKeyframe] {
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
				t.Errorf("price %d: after %d bit/s were taken %d are asked for; want %d to %d",
					price, applied, got, cfg.Min, cfg.Max)
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
	f := run(t, cfg, network{
		capacity: constant(1_000_000), queueMax: 200 * time.Millisecond,
		delay: 10 * time.Millisecond,
	}, 20*time.Second, nil)
	for i, now := range f.targets {
		if now.EncoderBitrate != cfg.Fixed || now.Skip || now.Pad.Bytes != 0 {
			t.Fatalf("at %v: %+v; want 2000000 bit/s, no frame left out, no probe", time.Duration(i)*tick, now)
		}
	}
}

// A queue of our own empties slowly where other traffic leaves little room. As long as it empties, the law does not
// share it.
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
			var p path.Path
			l.onSample(&path.Sample{At: now, Fresh: true, Queue: c.queue(at)}, &p)
			if l.sharing.on && at < 2*time.Second+tuning.SharingAfter {
				t.Fatalf("%s: shared after %v, %v after the rate fell", c.name, at, at-2*time.Second)
			}
		}
		if l.sharing.on != c.found {
			t.Errorf("%s: shared: %v; want %v", c.name, l.sharing.on, c.found)
		}
	}
}

// A single burst is a radio's: what drops all that is above a rate drops it as long as it is. And frames that arrive
// no faster than all that does wait in a queue, which a policer has none of.
func TestBurstIsNoPolicer(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		events, after  int
		swift, policer bool
	}{
		{1, 100, true, false},
		{tuning.PolicedEvents, 100, true, true},
		{tuning.PolicedEvents, tuning.LossPackets, true, false},
		{tuning.PolicedEvents, 100, false, false},
	} {
		l := law{min: 150_000, max: 1e7, target: 300_000, sampled: start}
		s := &l.losses
		s.before, s.at, s.rate, s.cutAt, s.judgeAt, s.events = 400_000, .1, 350_000, start,
			start.Add(tuning.JudgeAfter), c.events
		s.queuedAt, s.after, s.swift = start.Add(-time.Minute), path.Count{Packets: c.after}, c.swift
		now := start.Add(tuning.JudgeAfter)
		l.judge(now, &path.Path{}, 0)
		if got := now.Before(s.policed); got != c.policer {
			t.Errorf("loss in %d runs, none of %d packets after the cut, frames swift %v: a policer: %v; want %v",
				c.events, c.after, c.swift, got, c.policer)
		}
	}
}

// Below its rate a policer loses nothing.
func TestLossBelowItsRateIsNoPolicers(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, received := range []float64{1.9e6, 1e6} {
		l := law{min: 150_000, max: 1e7, target: received, sampled: now}
		l.losses.policed, l.losses.policedAt = now.Add(time.Minute), 2e6
		var p path.Path
		sent := make([]Packet, 100)
		for i := range sent {
			sent[i] = Packet{ID: uint64(i + 1), Size: 1200, Sent: now, Arrived: now, Lost: i%20 == 0}
			p.OnSent(&sent[i])
		}
		sample, _ := p.OnFeedback(&Feedback{At: now, Packets: sent}, path.Sending{Rate: received, Pacing: received})
		sample.Arrived = received
		var up float64
		l.lost(&sample, &p, &up)
		if got := now.Before(l.losses.policed); got != (received > 1.5e6) {
			t.Errorf("5 %% lost at %.0f of the policer's 2000000: it stays one: %v", received, got)
		}
	}
}

// A cut that helped, and not enough, is followed by another, and proves nothing about the link.
func TestHalfCuredLossIsCutForAgain(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	l := law{min: 150_000, max: 1e7, target: 2e6, sampled: start}
	s := &l.losses
	s.before, s.at, s.cutAt, s.judgeAt = 4e6, .5, start, start.Add(tuning.JudgeAfter)
	s.after = path.Count{Packets: 1000, Lost: 100}
	l.decide(start.Add(tuning.JudgeAfter), l.judge(start.Add(tuning.JudgeAfter), &path.Path{}, .1))
	if l.target >= 2e6 || s.trials != 0 || s.believed != 0 || s.judgeAt.IsZero() {
		t.Errorf("50 %% became 10 %%: target %.0f, %d cuts outlasted, tolerated %.2f; want under 2000000, none, nothing",
			l.target, s.trials, s.believed)
	}
}

func TestLargeFlowsKeepShorterQueues(t *testing.T) {
	var low, high [3]time.Duration
	for i, rate := range []float64{1e6, 4e6, 16e6} {
		l := law{target: rate}
		if low[i], high[i] = l.thresholds(TWCC); i > 0 && (low[i] >= low[i-1] || high[i] >= high[i-1]) {
			t.Errorf("at %.0f bit/s the queue is %v to %v; want less than %v to %v",
				rate, low[i], high[i], low[i-1], high[i-1])
		}
	}
	if 2*high[2] != tuning.HighQueue {
		t.Errorf("at 16 Mbit/s the rate falls at %v; want half of %v", high[2], tuning.HighQueue)
	}
}

// A picture larger than was asked for is sent alone and no faster than the path takes it; one after the other makes
// the encoder be asked for less.
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
		want := int(1_000_000 / 8 * 0.150)
		if key {
			want = int(1_000_000 / 8 * 0.250)
		}
		if before.MaxFrameBytes != want {
			t.Fatalf("a keyframe is due: %v: at most %d bytes; want %d", key, before.MaxFrameBytes, want)
		}
		l.OnSource(Source{At: now, FrameBytes: before.MaxFrameBytes, Keyframe: key})
		if got := l.Tick(now); got.Skip {
			t.Errorf("a picture as large as allowed (keyframe: %v) makes the next ones be left out", key)
		}
		l.OnSource(Source{At: now, FrameBytes: 1_000_000 / 8, Keyframe: key}) // a second of the path
		if got := l.Tick(now); !got.Skip || got.PacingRate > int(tuning.PacingLarge*1_000_000) {
			t.Errorf("beside a picture of a second (keyframe: %v) %d bit/s are paced, frames left out: %v",
				key, got.PacingRate, got.Skip)
		}
		if got := l.Tick(now.Add(time.Second)); got.Skip || got.PacingRate < int(1.2*1_000_000) {
			t.Errorf("a second later (keyframe: %v) %d bit/s are paced, frames left out: %v",
				key, got.PacingRate, got.Skip)
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
	for since, faulty := range map[time.Duration]bool{150 * time.Millisecond: false, 600 * time.Millisecond: true} {
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
	for after, want := range map[time.Duration]Reason{
		tuning.RecentFor / 2: ReasonEncoderOvershoot,
		2 * tuning.RecentFor: ReasonQueueDelay,
	} {
		l := law{min: 150_000, max: 1e7, target: 2e6, starved: true, oversizeAt: now.Add(-after)}
		var p path.Path
		l.overuse(&path.Sample{At: now, Arrived: 1.5e6, Sent: 2e6}, &p)
		if l.decide(now, 0); l.reason != want {
			t.Errorf("%v after the picture the cut is by %v; want %v", after, l.reason, want)
		}
	}
}

func TestPreferenceMovesTheQueue(t *testing.T) {
	var high [3]time.Duration
	for i, prefer := range []Aggressiveness{Latency, Balanced, Quality} {
		l := law{target: 5e6, prefer: prefer}
		_, high[i] = l.thresholds(TWCC)
		l.sharing = sharing{on: true, top: time.Second}
		if i > 0 && (high[i] <= high[i-1] || l.goal() != l.accepted()) {
			t.Errorf("%v cuts at %v, the one before at %v; accepts %v of %v",
				prefer, high[i], high[i-1], l.goal(), l.accepted())
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
	for _, cfg := range []Config{
		{Min: 1},
		{Min: 2_000_000, Max: 1_000_000},
		{Start: 1, Min: 20_000},
		{FPS: 1000},
		{Width: 1},
		{Price: 9},
		{Aggressiveness: 9},
		{Fixed: 1},
	} {
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
					At: now.Add(time.Duration(int8(a)) * time.Second), Kind: RR,
					RTT:  time.Duration(int8(b)) * time.Second,
					Loss: losses[int(a)%len(losses)], Jitter: time.Duration(int8(b)) * time.Hour,
				})
			case 2:
				l.OnFeedback(Feedback{At: now, Kind: TWCC, RTT: time.Duration(a) * time.Millisecond, Packets: []Packet{
					{
						ID: uint64(a) << (b % 60), Size: int(int8(b)) << (a % 40), Sent: now,
						Arrived: now.Add(time.Duration(int8(a)) * time.Hour), Lost: b&1 == 1,
					},
				}})
			case 3:
				l.OnSource(Source{
					At: now, FrameBytes: int(int8(a)) << (b % 40),
					EncodeTime: time.Duration(int8(b)) * time.Second, Dirty: float64(a),
				})
			case 4:
				l.OnKeyframeRequest(now, KeyframePLI)
			case 5:
				l.OnApplied(Applied{
					At: now, BitsPerSecond: int(int8(a)) << (b % 40), Width: int(int8(b)),
					Height: int(a),
				})
			case 6, 7:
				kind := RR
				if data[i]%10 == 7 {
					kind = NACK
				}
				ago := time.Duration(int8(c)) * 10 * time.Millisecond
				l.OnFeedback(Feedback{
					At: now, Kind: kind, RTT: time.Duration(a) * time.Millisecond,
					Loss: float64(b%5) / 4, Packets: []Packet{
						{ID: id - uint64(a%16), Size: int(a) * 16, Sent: now.Add(-ago), Lost: b&1 == 1},
						{ID: id - uint64(b%16), Size: int(a) * 16, Sent: now.Add(-ago), Lost: b&2 == 2},
					},
				})
			case 8:
				l.OnFeedback(Feedback{
					At: now, Kind: Echo,
					RTT: time.Duration(int8(a)) * time.Duration(b) * time.Millisecond,
				})
			case 9:
				l.OnLimit(Limit{At: now, FPS: int(int8(a)), Scale: float64(int8(b)) / 100})
			}
			got := l.Tick(now)
			if got.EncoderBitrate < desktop.Min || got.EncoderBitrate > desktop.Max || got.PacingRate <= 0 ||
				got.FPS < 1 ||
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
