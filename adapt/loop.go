package adapt

import (
	"math"
	"time"

	"wavryhost/adapt/path"
)

const (
	// silenceAfter is how long a viewer with transport feedback may say nothing, the round trip not counted, while
	// packets are on their way. path.Patience has the times of receivers that send reports alone.
	silenceAfter    = 500 * time.Millisecond
	silenceStep     = 500 * time.Millisecond
	stalledAfter    = 5 * time.Second
	heardAgain      = 2     // reports until an outage counts as over
	mediaShare      = 0.955 // 50 bytes of overhead on 1150 bytes of media
	starvedQP       = 35.0  // a picture this coarse wants more bits; a still one is refined far below it
	starvedFor      = 500 * time.Millisecond
	overshootFrom   = 1.05
	overshootWindow = time.Second
	idleAfter       = time.Second // without a frame that is a picture of motion
	pacingFactor    = 2.0         // a frame leaves in half its time, so that it arrives before the next
	// A keyframe is so large that a burst of it is a queue; on a path that is nearly full it arrives no later when it
	// leaves more slowly.
	pacingKey, pacingKeyFor = 1.3, 400 * time.Millisecond
	encoderFollows          = 300 * time.Millisecond // the slowest encoders take as long to follow a target
	// A picture larger than was asked for fills the path: nothing else is sent, for pacingOverMost at
	// most.
	pacingOver, pacingOverMost = 1.1, 2 * time.Second
	pacingDrain                = 1.3 // while a queue empties, bursts would only lengthen it
	// Where packets are lost without a queue, bursts may be what a policer drops.
	pacingSmooth = 1.5
	// What jitter and a late report add to the round trip and a report.
	gateDelay   = 55 * time.Millisecond
	gateReports = 2.5         // of the time between receiver reports: one may be late, or lost
	gateUnknown = time.Second // between receiver reports, before two of them came
	gatePackets = 3 * 1200
	gateSilence = 300 * time.Millisecond // with packets on their way: the path is gone, or full
	trickle     = 24_000                 // while the gate is closed: a full packet each 400 ms
	// Between frames that try whether it may open: a short outage is over at once then.
	gateOpens     = 200 * time.Millisecond
	frameDelayP   = 150 * time.Millisecond // what one picture may take at the target's rate,
	frameDelayI   = 250 * time.Millisecond // and a keyframe
	keyframeEvery = 500 * time.Millisecond
	// A viewer without a picture waits no longer, whatever a keyframe costs.
	maxKeyframeWait      = 3 * time.Second
	overloadShare        = 0.8 // of the frame time spent in encoding
	overloadFor          = time.Second
	overloadFrames       = 4 // the part of the frame rate that must really be encoded to speak of overload
	stepDownShare        = 0.6
	stepDownFor          = 2 * time.Second
	stepUpShare          = 1.3
	stepUpFor            = 5 * time.Second
	failedStep           = 5 * time.Second // a step up that is taken back within this doubles its dwell
	maxStepUpFor         = time.Minute
	bitsPerPixel         = 0.05 // what H.264 of a moving desktop needs to look like it
	keyframeStep         = 0.12 // dead band of encoders that make a keyframe at each change
	keyframeInterval     = 2 * time.Second
	reopenStep           = 0.20 // and of encoders that must be opened anew
	reopenInterval       = 2 * time.Second
	freeStep             = 0.01
	emergency            = 0.7 // a target this far below what the encoder does waits for no interval
	recoveryKeyframeWait = 100 * time.Millisecond
	smallestRate         = 10_000 // of the pacer, where it is divided by
)

// Loop is the Controller: the pieces above it put together.
type Loop struct {
	cfg     Config
	path    path.Path
	law     law
	prober  prober
	pacing  float64 // the pacer's rate as asked for
	quality quality

	stalled bool
	heard   uint64 // reports since the stall

	ladder           ladder
	limit            rung // what the host leaves; 0 where it takes nothing away
	baseW, baseH     int  // the picture's size as the targets count it: the size that the controller was made for
	stepDown, stepUp since
	overload         since
	stepUpDwell      time.Duration
	steppedUpAt      time.Time
	overloaded       bool
	encodeShare      float64 // EWMA of encode time over frame time
	frames           path.Counts
	overshoot        float64 // what the encoder makes over what it is asked for
	made, asked      float64 // bits, of the frames lately
	comparedAt       time.Time
	qp               float64 // EWMA over the frames
	lastFrame        time.Time
	lastMotion       time.Time
	encoder          int // the encoder's bitrate as asked for
	encoderAt        time.Time
	overUntil        time.Time // when a picture larger than was asked for has left the pacer
	keyframePending  bool      // a keyframe is to be asked for
	keyframeDue      bool      // one was asked for, and did not come yet
	keyframeBytes    int       // of the newest keyframe
	keyframeAt       time.Time
}

var _ Controller = (*Loop)(nil)

// New returns the controller of one viewer.
func New(cfg Config) (*Loop, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	l := &Loop{
		cfg: cfg, ladder: newLadder(cfg.FPS), baseW: cfg.Width, baseH: cfg.Height, overshoot: 1, stepUpDwell: stepUpFor,
		law: law{
			min: cfg.Min, max: cfg.Max, fixed: cfg.Fixed, prefer: cfg.Aggressiveness,
			target: float64(cfg.Start), reason: ReasonStartup,
		},
		prober: newProber(), pacing: pacingFactor * float64(cfg.Start),
		encoder: int(mediaShare * float64(cfg.Start)),
	}
	if cfg.Fixed != 0 {
		l.law.target, l.law.reason = float64(cfg.Fixed), ReasonUserLimit
		l.encoder, l.pacing = cfg.Fixed, pacingFactor*float64(cfg.Fixed)
	}
	return l, nil
}

// Config returns what the controller goes by at present: what it was made with, but for the picture's size and the
// encoder's price, which change with the encoder.
func (l *Loop) Config() Config { return l.cfg }

// OnSent implements Controller.
func (l *Loop) OnSent(p Packet) {
	l.path.OnSent(&p)
	l.prober.onSent(&p)
}

// OnFeedback implements Controller.
func (l *Loop) OnFeedback(f Feedback) {
	l.law.starved = l.qp >= starvedQP && f.At.Sub(l.lastFrame) < starvedFor
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
			l.prober.onPacket(&f.Packets[i])
		}
	}
	if l.law.preStall > 0 {
		l.law.onHeardAgain(f.At, l.stalled)
		l.keyframePending = l.keyframePending || l.stalled
	}
	if l.stalled {
		l.heard++
		if l.heard >= heardAgain {
			l.stalled = false
		}
	}
	l.law.onSample(&sample, &l.path)
}

// fps is the frame rate of the rung that the stream is on.
func (l *Loop) fps() int { return l.ladder.now().fps }

// OnSource implements Controller.
func (l *Loop) OnSource(s Source) {
	if s.Dirty > 0 {
		l.lastMotion = s.At
		l.ladder.watch(s.At, s.Class)
	}
	if s.Keyframe && s.FrameBytes > 0 {
		l.keyframeBytes, l.keyframeDue = min(s.FrameBytes, 1<<24), false
	}
	if s.FrameBytes > 0 {
		l.frames.Add(s.At, path.Count{Bytes: s.FrameBytes, Packets: 1})
	}
	if s.QP > 0 && s.QP <= 63 {
		l.qp += (s.QP - l.qp) / 8
		l.lastFrame = s.At
	}
	if s.EncodeTime > 0 {
		share := s.EncodeTime.Seconds() * float64(l.fps())
		l.encodeShare += (min(share, 10) - l.encodeShare) / 8
	}
	l.compare(s)
	l.oversize(s)
}

// mostBytes is the largest picture that is asked for.
func (l *Loop) mostBytes(key bool) float64 {
	most := frameDelayP
	if key {
		most = frameDelayI
	}
	return l.law.target / 8 * most.Seconds()
}

// oversize makes room for a picture that is larger than was asked for. Others refer to it, so that it is sent; at
// about the target's rate, so that it makes no queue, and the next ones are left out before they are encoded until it
// has left. Where it is not the only one compare lowers what the encoder is asked for.
func (l *Loop) oversize(s Source) {
	if float64(s.FrameBytes) <= l.mostBytes(s.Keyframe) || l.cfg.Fixed != 0 {
		return
	}
	sending := time.Duration(float64(min(s.FrameBytes, 1<<24)*8) / (pacingOver * l.law.target) * float64(time.Second))
	l.overUntil = s.At.Add(min(sending, pacingOverMost))
	if s.At.Sub(l.law.cutAt) > encoderFollows { // else it was made for the target before
		l.law.oversizeAt = s.At
	}
}

// compare measures by how much the encoder exceeds what it is asked for, over about a second of frames. Keyframes have
// a budget of their own.
func (l *Loop) compare(s Source) {
	since := s.At.Sub(l.comparedAt)
	l.comparedAt = s.At
	if s.Keyframe || s.FrameBytes <= 0 || since <= 0 {
		return
	}
	since = min(since, 2*time.Second/time.Duration(l.fps()))
	keep := 1 - since.Seconds()/overshootWindow.Seconds()
	l.made = l.made*max(keep, 0) + float64(min(s.FrameBytes, 1<<24))*8
	l.asked = l.asked*max(keep, 0) + float64(l.encoder)*since.Seconds()
	if l.asked > float64(l.encoder)/4 { // a quarter of a second of frames
		l.overshoot = min(max(l.made/l.asked, 1), 2)
	}
}

// OnKeyframeRequest implements Controller.
func (l *Loop) OnKeyframeRequest(time.Time, KeyframeReason) { l.keyframePending = true }

// OnApplied implements Controller.
func (l *Loop) OnApplied(a Applied) {
	if a.BitsPerSecond > 0 {
		l.encoder = a.BitsPerSecond
	}
	if a.Width > 0 && a.Height > 0 && !l.scaled(a.Width, a.Height) {
		scale := l.ladder.now().scale
		l.cfg.Width, l.cfg.Height = int(float64(a.Width)/scale), int(float64(a.Height)/scale)
	}
	if a.Price <= PriceReopen {
		l.cfg.Price = a.Price
	}
}

// scaled reports whether an encoded size is the picture's at one of the scales, as far as rounding allows.
func (l *Loop) scaled(width, height int) bool {
	for _, scale := range scales {
		if math.Abs(float64(width)-scale*float64(l.cfg.Width)) <= 2 &&
			math.Abs(float64(height)-scale*float64(l.cfg.Height)) <= 2 {
			return true
		}
	}
	return false
}

// need is what the picture asks for on a rung, in bits per second: no more than the operator allows.
func (l *Loop) need(r rung) float64 {
	return min(bitsPerPixel*float64(l.cfg.Width*l.cfg.Height)*r.pixels(), float64(l.cfg.Max))
}

// Tick implements Controller.
func (l *Loop) Tick(now time.Time) Targets {
	l.watch(now)
	l.law.plan(now, &l.path)
	l.probing(now, float64(l.cfg.Max))
	l.climb(now)

	idle := now.Sub(l.lastMotion) >= idleAfter || !l.law.networkLimited(now, &l.path)
	share := l.law.target / l.need(rung{l.cfg.FPS, 1})
	if idle && share < 1 && l.quality.state != Critical && !l.stalled {
		share = 1
	}
	e := evidence{
		stalled: l.stalled, share: share, queue: l.path.Queue, loss: l.path.Loss(now),
		stepped: l.ladder.at > 0, floor: l.ladder.lowest(), overload: l.overloaded, host: l.lowered(),
		cause: l.law.reason,
	}
	l.quality.step(now, e, func() Transition {
		return Transition{
			Target: l.encoder, Received: int(l.path.Received()), RTT: l.path.RTT, QueueDelay: l.path.Queue,
			Loss: l.path.Loss(now),
		}
	})

	l.price(now)
	t := Targets{
		EncoderBitrate: l.encoder, FPS: l.fps(), PacingRate: int(l.law.target * pacingFactor),
		Quality: l.quality.state, Reason: l.quality.reason, Idle: idle, Seq: l.quality.seq,
		Transition: l.quality.transition,
	}
	if scale := l.ladder.now().scale; scale < 1 {
		t.Width, t.Height = even(l.baseW, scale), even(l.baseH, scale)
	}
	switch {
	case l.path.Queue > sources[path.TWCC].high || l.law.drain.on || l.law.sharing.on:
		t.PacingRate = int(l.law.target * pacingDrain)
	case now.Before(l.law.losses.smoothUntil):
		t.PacingRate = int(l.law.target * pacingSmooth)
	case now.Sub(l.keyframeAt) < pacingKeyFor && !l.keyframeAt.IsZero():
		t.PacingRate = int(l.law.target * pacingKey)
	}
	if now.Before(l.prober.request.Until) && !l.prober.deadline.IsZero() {
		t.Pad = l.prober.request
	}
	if l.stalled {
		t.FPS = 1
	}
	t.ForceIDR = l.keyframe(now)
	t.MaxFrameBytes = int(l.mostBytes(l.keyframeDue))
	if left := l.overUntil.Sub(now); left > 0 {
		t.PacingRate = min(t.PacingRate, int(l.law.target*pacingOver))
		t.Skip = left > time.Second/time.Duration(t.FPS)
	}
	if l.closed(now) {
		l.law.gatedAt = now
		t.PacingRate = min(t.PacingRate, trickle)
		// Now and then a frame goes all the same: without one no report would ever come to open the gate again.
		t.Skip = t.Skip || now.Sub(l.path.LastSent) < gateOpens
	}
	l.pacing = float64(t.PacingRate)
	return t
}

// watch notices that the viewer does not answer.
func (l *Loop) watch(now time.Time) {
	silence := l.path.Silence(now)
	limit, most := l.path.Patience(silenceAfter, stalledAfter)
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
			interval = gateUnknown
		}
		interval = time.Duration(gateReports * float64(interval))
	}
	allowed := l.law.target/8*(l.path.MinRTT()+interval+gateDelay+l.law.goal()).Seconds() + gatePackets
	mute := l.path.Complete() && inflight > gatePackets && l.path.Silence(now) > gateSilence+l.path.MinRTT()
	return inflight > allowed || mute
}

// keyframe answers requests, no more often than they can be afforded.
func (l *Loop) keyframe(now time.Time) bool {
	// Half of the time goes to other pictures than keyframes, or requests for keyframes beget each other.
	sending := time.Duration(float64(l.keyframeBytes*8) / l.law.target * float64(time.Second))
	if !l.keyframePending || now.Sub(l.keyframeAt) < max(keyframeEvery, l.path.RTT+recoveryKeyframeWait,
		min(2*sending, maxKeyframeWait)) {
		return false
	}
	l.keyframePending, l.keyframeDue, l.keyframeAt = false, true, now
	return true
}

// climb moves on the ladder.
func (l *Loop) climb(now time.Time) {
	// A single large picture on a still screen is no overload: it takes a second full of them.
	recent, _ := l.frames.Sum(now, time.Second)
	busy := recent.Packets >= max(2, l.fps()/overloadFrames)
	overload := l.overload.held(now, busy && l.encodeShare > overloadShare, overloadFor)
	// A screen that uses less than the network gives has no use for fewer frames, whatever its size would need in
	// motion; nor has a still screen that is being refined, which takes all that there is.
	sent, moving := l.path.SentRate(now), now.Sub(l.lastMotion) < idleAfter
	poor := l.stepDown.held(now, moving && l.law.target < stepDownShare*l.need(l.ladder.now()) &&
		sent >= used*l.law.target, stepDownFor)
	if (overload || poor) && !l.ladder.lowest() {
		if !l.ladder.may(now, l.ladder.down()) {
			return
		}
		if now.Sub(l.steppedUpAt) < failedStep && !l.steppedUpAt.IsZero() {
			l.stepUpDwell = min(2*l.stepUpDwell, maxStepUpFor)
		}
		l.move(now, 1)
		l.overloaded = overload
		return
	}
	if l.ladder.at == 0 {
		l.overloaded = false
		return
	}
	up := l.ladder.up()
	more := up.pixels() / l.ladder.now().pixels()
	enough := min(stepUpShare*l.need(up), stepUpShare*sent*more, float64(l.cfg.Max))
	network, encoder := l.law.target >= enough, l.encodeShare*more < overloadShare
	if network != encoder {
		l.overloaded = network // the one of them that has no room for the rung above is why the stream is on this one
	}
	room := network && encoder && l.path.Queue < sources[path.TWCC].high
	if l.stepUp.held(now, room, l.stepUpDwell) && l.ladder.may(now, up) {
		l.move(now, -1)
		l.steppedUpAt = now
	}
}

// move goes one rung down or up.
func (l *Loop) move(now time.Time, by int) {
	before := l.ladder.now()
	l.ladder.move(now, by)
	l.encodeShare *= l.ladder.now().pixels() / before.pixels()
	l.stepDown.on, l.stepUp.on, l.overload.on = false, false, false
}

// price moves the encoder's bitrate towards the target as often as its changes are worth what they cost.
func (l *Loop) price(now time.Time) {
	wanted := mediaShare * l.law.target
	if l.overshoot > overshootFrom {
		wanted /= l.overshoot
	}
	wanted = min(max(wanted, float64(l.cfg.Min)), float64(l.cfg.Max))
	if l.cfg.Fixed != 0 {
		wanted = float64(l.cfg.Fixed)
	}
	step, interval := freeStep, time.Duration(0)
	switch l.cfg.Price {
	case PriceKeyframe:
		step, interval = keyframeStep, keyframeInterval
	case PriceReopen:
		step, interval = reopenStep, reopenInterval
	case PriceFree:
	}
	change := math.Abs(wanted-float64(l.encoder)) / float64(l.encoder)
	// What an encoder took may be out of this viewer's bounds, if by less than a step; what it is asked for never is.
	within := l.encoder >= l.cfg.Min && l.encoder <= l.cfg.Max
	if within && (change < step || now.Sub(l.encoderAt) < interval && wanted > emergency*float64(l.encoder)) {
		return
	}
	l.encoder, l.encoderAt = int(wanted), now
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
