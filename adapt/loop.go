package adapt

import (
	"math"
	"time"

	"wavryhost/adapt/encoder"
	"wavryhost/adapt/ladder"
	"wavryhost/adapt/path"
	"wavryhost/adapt/probe"
	"wavryhost/adapt/quality"
	"wavryhost/adapt/tuning"
)

// smallestRate is the least rate of the pacer, where it is divided by.
const smallestRate = 10_000

// Loop is the Controller: the pieces above it put together.
type Loop struct {
	cfg     Config
	path    path.Path
	law     law
	prober  probe.Prober
	ladder  ladder.Ladder
	encoder encoder.Encoder
	quality quality.Machine

	pacing       float64 // the pacer's rate as asked for
	stalled      bool
	heard        int         // reports since the stall
	limit        ladder.Rung // what the host leaves; 0 where it takes nothing away
	baseW, baseH int         // the picture's size as the targets count it: the size that the controller was made for
	lastMotion   time.Time
}

var _ Controller = (*Loop)(nil)

// New returns the controller of one viewer.
func New(cfg Config) (*Loop, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	l := &Loop{
		cfg: cfg, ladder: ladder.New(cfg.FPS), prober: probe.New(), baseW: cfg.Width, baseH: cfg.Height,
		law: law{
			min: cfg.Min, max: cfg.Max, fixed: cfg.Fixed, prefer: cfg.Aggressiveness,
			target: float64(cfg.Start), reason: ReasonStartup,
		},
	}
	if cfg.Fixed != 0 {
		l.law.target, l.law.reason = float64(cfg.Fixed), ReasonUserLimit
	}
	l.encoder, l.pacing = encoder.New(l.law.target, l.bounds()), tuning.Pacing*l.law.target
	return l, nil
}

// Config returns what the controller goes by at present: what it was made with, but for the picture's size and the
// encoder's price, which change with the encoder.
func (l *Loop) Config() Config { return l.cfg }

func (l *Loop) bounds() encoder.Bounds {
	return encoder.Bounds{Min: l.cfg.Min, Max: l.cfg.Max, Fixed: l.cfg.Fixed}
}

// OnSent implements Controller.
func (l *Loop) OnSent(p Packet) {
	l.path.OnSent(&p)
	l.prober.OnSent(&p)
}

// OnFeedback implements Controller.
func (l *Loop) OnFeedback(f Feedback) {
	l.law.starved = l.encoder.Starved(f.At)
	if l.law.preStall > 0 {
		l.path.Forget(f.At)
	}
	by := path.Sending{
		Rate: l.law.target, Pacing: max(l.pacing, smallestRate), Frame: time.Second / time.Duration(l.fps()),
	}
	if l.law.drain.on {
		by.Rate = max(by.Rate, l.law.drain.from)
	}
	sample, ok := l.path.OnFeedback(&f, by)
	if !ok {
		return
	}
	for i := range f.Packets {
		if f.Kind.Complete() && f.Packets[i].ProbeID != 0 {
			l.prober.OnPacket(&f.Packets[i])
		}
	}
	if l.law.preStall > 0 {
		l.law.onHeardAgain(f.At, l.stalled)
		if l.stalled {
			l.encoder.Request()
		}
	}
	if l.stalled {
		l.heard++
		if l.heard >= tuning.HeardAgain {
			l.stalled = false
		}
	}
	l.law.onSample(&sample, &l.path)
}

// fps is the frame rate of the rung that the stream is on.
func (l *Loop) fps() int { return l.ladder.Now().FPS }

// OnSource implements Controller.
func (l *Loop) OnSource(s Source) {
	if s.Dirty > 0 {
		l.lastMotion = s.At
		l.ladder.Watch(s.At, s.Class)
	}
	if s.EncodeTime > 0 {
		l.ladder.Encoded(s.EncodeTime)
	}
	f := encoder.Frame{
		At: s.At, Bytes: s.FrameBytes, Keyframe: s.Keyframe, QP: s.QP, Every: time.Second / time.Duration(l.fps()),
	}
	l.encoder.OnFrame(&f)
	if l.cfg.Fixed != 0 {
		return
	}
	if large, fault := l.encoder.Oversized(&f, l.law.target, l.law.cutAt); large && fault {
		l.law.oversizeAt = s.At
	}
}

// OnKeyframeRequest implements Controller.
func (l *Loop) OnKeyframeRequest(time.Time, KeyframeReason) { l.encoder.Request() }

// OnApplied implements Controller.
func (l *Loop) OnApplied(a Applied) {
	if a.BitsPerSecond > 0 {
		l.encoder.Bitrate = a.BitsPerSecond
	}
	if a.Width > 0 && a.Height > 0 && !l.scaled(a.Width, a.Height) {
		scale := l.ladder.Now().Scale
		l.cfg.Width, l.cfg.Height = int(float64(a.Width)/scale), int(float64(a.Height)/scale)
	}
	if a.Price <= PriceReopen {
		l.cfg.Price = a.Price
	}
}

// OnLimit implements Controller. What the host takes away changes no target: it is the caller's to hold the stream
// down, which the controller cannot tell from a screen that gives less.
func (l *Loop) OnLimit(limit Limit) { l.limit = ladder.Rung{FPS: limit.FPS, Scale: limit.Scale} }

// scaled reports whether an encoded size is the picture's at one of the scales, as far as rounding allows.
func (l *Loop) scaled(width, height int) bool {
	for _, scale := range ladder.Scales {
		if math.Abs(float64(width)-scale*float64(l.cfg.Width)) <= 2 &&
			math.Abs(float64(height)-scale*float64(l.cfg.Height)) <= 2 {
			return true
		}
	}
	return false
}

// Tick implements Controller.
func (l *Loop) Tick(now time.Time) Targets {
	l.watch(now)
	l.law.plan(now, &l.path)
	l.probe(now)
	room := l.room(now)
	l.ladder.Climb(now, &room)
	idle := now.Sub(l.lastMotion) >= tuning.RecentFor || !l.law.networkLimited(now, &l.path)
	l.judge(now, &room, idle)
	l.encoder.Follow(now, l.law.target, l.cfg.Price, l.bounds())
	t := Targets{
		EncoderBitrate: l.encoder.Bitrate, FPS: l.fps(), PacingRate: l.pacingRate(now), Pad: l.prober.Request(now),
		Quality: l.quality.State, Reason: l.quality.Reason, Idle: idle, Seq: l.quality.Seq,
		Transition: l.quality.Transition,
	}
	if scale := l.ladder.Now().Scale; scale < 1 {
		t.Width, t.Height = ladder.Side(l.baseW, scale), ladder.Side(l.baseH, scale)
	}
	if l.stalled {
		t.FPS = 1
	}
	t.ForceIDR = l.encoder.Keyframe(now, l.law.target, l.path.RTT)
	t.MaxFrameBytes = l.encoder.MostBytes(l.law.target)
	if left := l.encoder.Sending(now); left > 0 {
		t.PacingRate = min(t.PacingRate, int(l.law.target*tuning.PacingLarge))
		t.Skip = left > time.Second/time.Duration(t.FPS)
	}
	if l.closed(now) {
		l.law.gatedAt = now
		t.PacingRate = min(t.PacingRate, tuning.Trickle)
		// Now and then a frame goes all the same: without one no report would ever come to open the gate again.
		t.Skip = t.Skip || now.Sub(l.path.LastSent) < tuning.GateOpens
	}
	l.pacing = float64(t.PacingRate)
	return t
}

// room is what the path and the encoder have room for.
func (l *Loop) room(now time.Time) ladder.Room {
	sent := l.path.SentRate(now)
	return ladder.Room{
		Target: l.law.target, Sent: sent, Most: float64(l.cfg.Max),
		Whole:  tuning.BitsPerPixel * float64(l.cfg.Width*l.cfg.Height),
		Frames: l.encoder.Frames(now), Moving: now.Sub(l.lastMotion) < tuning.RecentFor,
		Used: sent >= tuning.UsedShare*l.law.target, Queued: l.path.Queue >= tuning.HighQueue,
	}
}

// judge brings the quality state to now.
func (l *Loop) judge(now time.Time, room *ladder.Room, idle bool) {
	share := l.law.target / room.Need(ladder.Rung{FPS: l.cfg.FPS, Scale: 1})
	if idle && share < 1 && l.quality.State != Critical && !l.stalled {
		share = 1
	}
	changed := l.quality.Step(now, quality.Evidence{
		Stalled: l.stalled, Share: share, Queue: l.path.Queue, Loss: l.path.Loss(now),
		Coarse:  !idle && l.encoder.Starved(now) && l.law.target < room.Most,
		Stepped: l.ladder.Stepped(), Floor: l.ladder.Lowest(), Overload: l.ladder.Overloaded(),
		Host: l.ladder.Above(l.limit), Cause: l.law.reason,
	})
	if t := &l.quality.Transition; changed {
		t.Target, t.Received, t.RTT = l.encoder.Bitrate, int(l.path.Received()), l.path.RTT
	}
}

// pacingRate is how fast frames leave, where nothing stands in their way.
func (l *Loop) pacingRate(now time.Time) int {
	factor := tuning.Pacing
	switch {
	case l.path.Queue > tuning.HighQueue || l.law.drain.on || l.law.sharing.on:
		factor = tuning.PacingCareful
	case now.Before(l.law.losses.smoothUntil):
		factor = tuning.PacingSmooth
	case now.Sub(l.encoder.KeyframeAt) < tuning.PacingKeyFor && !l.encoder.KeyframeAt.IsZero():
		factor = tuning.PacingCareful
	}
	return int(l.law.target * factor)
}

// probe begins and ends probes.
func (l *Loop) probe(now time.Time) {
	w, p := &l.law, &l.path
	quiet := !w.networkLimited(now, p)
	if !l.prober.Due(now, quiet) {
		return
	}
	v := probe.View{
		Target: w.target, Most: float64(l.cfg.Max), RTT: p.RTT, Queue: p.Queue, Loss: p.Loss(now),
		Age: now.Sub(p.LastFeedback), Quiet: quiet, High: tuning.HighQueue,
		Forbidden: l.stalled || l.cfg.Fixed != 0 || !p.Complete() || w.drain.on || w.sharing.on ||
			now.Before(w.losses.policed) || !w.losses.judgeAt.IsZero() || l.closed(now),
	}
	if rate := l.prober.Step(now, &v); rate > 0 {
		w.target, w.reason = min(rate, float64(w.max)), ReasonProbeOK
	}
}

// watch notices that the viewer does not answer.
func (l *Loop) watch(now time.Time) {
	silence := l.path.Silence(now)
	limit, most := l.path.Patience(tuning.SilenceAfter, tuning.StalledAfter)
	if silence < limit {
		return
	}
	l.law.onSilence(now)
	if silence >= most && !l.stalled {
		l.stalled, l.heard = true, 0
	}
}

// closed reports whether more is on its way than the path can hold without a queue: then frames are skipped before
// they are encoded, which keeps references whole.
func (l *Loop) closed(now time.Time) bool {
	if l.cfg.Fixed != 0 {
		return false
	}
	inflight := float64(l.path.Inflight())
	interval := l.path.Interval
	if !l.path.Complete() {
		if interval == 0 {
			interval = tuning.RecentFor
		}
		interval = time.Duration(tuning.GateReports * float64(interval))
	}
	free := float64(tuning.GatePackets * path.PacketBits / 8)
	allowed := l.law.target/8*(l.path.MinRTT()+interval+tuning.GateDelay+l.law.goal()).Seconds() + free
	mute := l.path.Complete() && inflight > free && l.path.Silence(now) > tuning.GateSilence+l.path.MinRTT()
	return inflight > allowed || mute
}

// Estimate implements Controller.
func (l *Loop) Estimate(now time.Time) Estimate {
	e := Estimate{
		RTT: l.path.RTT, MinRTT: l.path.MinRTT(), QueueDelay: l.path.Queue, Jitter: l.path.Jitter,
		Loss:   l.path.Loss(now),
		Target: int(l.law.target), Received: int(l.path.Received()),
	}
	if !l.path.LastFeedback.IsZero() {
		e.FeedbackAge = now.Sub(l.path.LastFeedback)
	}
	return e
}
