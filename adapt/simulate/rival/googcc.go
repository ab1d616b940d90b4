package rival

import (
	"math"
	"time"

	"wavryhost/adapt"
)

// The constants of draft-ietf-rmcat-gcc-02, sections 5.2 to 6, with the gains of the threshold and the filter of
// libwebrtc's documentation: a line through the newest 20 delays instead of the Kalman filter.
const (
	gccGroup      = 5 * time.Millisecond
	gccPoints     = 20
	gccSmoothing  = 0.9
	gccGain       = 4.0
	gccMostDeltas = 60
	gccFirst      = 12.5 // ms
	gccUp         = 0.0087
	gccDown       = 0.039
	gccLeast      = 6.0
	gccMost       = 600.0
	gccSpike      = 15.0
	gccOverFor    = 10 * time.Millisecond
	gccBeta       = 0.85
	gccGrowth     = 1.08 // a second
	gccWindow     = 500 * time.Millisecond
	gccPacing     = 2.5
	gccLossLow    = 0.02
	gccLossHigh   = 0.10
	gccLossEvery  = 300 * time.Millisecond
	gccProbeFor   = 15 * time.Millisecond
	gccProbeEach  = 5 * time.Second
	gccIdle       = 0.65
)

// googCC is a stand-in for the congestion control of libwebrtc as it is described in draft-ietf-rmcat-gcc-02: arrival
// filter, adaptive threshold, rate control, loss control, and probes at the start and while little is sent. It has
// neither the newer estimator of loss nor a congestion window.
type googCC struct {
	plain
	byDelay, byLoss float64
	rtt             time.Duration
	received, sent  window

	group, last   departure
	deltas        int
	sum, smoothed float64 // ms
	points        [][2]float64
	firstAt       time.Time
	trend         float64
	threshold     float64
	thresholdAt   time.Time
	over          time.Duration
	overs         int
	overuse       int // 1 for too much, -1 for less than before

	hold      bool
	changedAt time.Time
	cutAt     time.Time
	near      average // of the rate at which too much was found

	lost, told int
	lossAt     time.Time

	probe       adapt.PadRequest
	probes      int
	first       []float64 // multiples of the start that are left to probe
	probeAt     time.Time
	probeBytes  int
	probeCount  int
	probeSent   [2]time.Time
	probeCame   [2]time.Time
	probeJudged bool
}

// departure is a group of packets that left together.
type departure struct {
	first, last, arrived time.Time
	any                  bool
}

// average is a mean and a deviation that forget.
type average struct{ mean, variance float64 }

func (a *average) add(rate float64) {
	if a.mean == 0 {
		a.mean, a.variance = rate, .16*rate*rate/100
		return
	}
	off := rate - a.mean
	a.mean += .05 * off
	a.variance += .05 * (off*off - a.variance)
}

// NewGoogCC makes a stand-in for GoogCC.
func NewGoogCC(cfg adapt.Config) (adapt.Controller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	return &googCC{
		plain: plain{cfg: cfg}, byDelay: float64(cfg.Start), byLoss: math.Inf(1), threshold: gccFirst, first: []float64{3, 6},
	}, nil
}

var _ adapt.Controller = (*googCC)(nil)

func (g *googCC) rate() float64 {
	return min(max(min(g.byDelay, g.byLoss), float64(g.cfg.Min)), float64(g.cfg.Max))
}

// OnSent implements adapt.Controller.
func (g *googCC) OnSent(p adapt.Packet) { g.sent.add(p.Sent, p.Size) }

// OnFeedback implements adapt.Controller.
func (g *googCC) OnFeedback(f adapt.Feedback) {
	if f.RTT > 0 {
		g.rtt = f.RTT
	}
	if f.Kind != adapt.TWCC && f.Kind != adapt.CCFB {
		return
	}
	for i := range f.Packets {
		p := &f.Packets[i]
		g.told++
		if p.Lost {
			g.lost++
			continue
		}
		g.received.add(p.Arrived, p.Size)
		g.probed(p)
		g.arrived(p)
	}
	rate := 0.0
	if n := len(g.received.list); n > 0 {
		rate = g.received.rate(g.received.list[n-1].at, gccWindow)
	}
	g.judgeProbe(f.At)
	g.control(f.At, rate)
	g.onLoss(f.At)
}

// arrived sorts packets into groups, and compares how far apart they left and came (section 5.2).
func (g *googCC) arrived(p *adapt.Packet) {
	c := &g.group
	switch {
	case !c.any:
		*c = departure{p.Sent, p.Sent, p.Arrived, true}
		return
	case p.Sent.Before(c.first):
		return // reordered
	case p.Sent.Sub(c.first) <= gccGroup,
		p.Arrived.Sub(c.arrived) <= gccGroup && p.Arrived.Sub(c.arrived) < p.Sent.Sub(c.last) &&
			p.Arrived.Sub(c.arrived) >= 0:
		c.last = p.Sent
		if p.Arrived.After(c.arrived) {
			c.arrived = p.Arrived
		}
		return
	}
	if l := g.last; l.any {
		g.sample(c.arrived.Sub(l.arrived)-c.last.Sub(l.last), c.last.Sub(l.last), c.arrived)
	}
	g.last, *c = *c, departure{p.Sent, p.Sent, p.Arrived, true}
}

// sample takes in how much longer a group was under way than the one before.
func (g *googCC) sample(longer, apart time.Duration, at time.Time) {
	if g.firstAt.IsZero() {
		g.firstAt = at
	}
	g.deltas++
	g.sum += longer.Seconds() * 1000
	g.smoothed = gccSmoothing*g.smoothed + (1-gccSmoothing)*g.sum
	g.points = append(g.points, [2]float64{at.Sub(g.firstAt).Seconds() * 1000, g.smoothed})
	if len(g.points) > gccPoints {
		g.points = g.points[1:]
	}
	before := g.trend
	if len(g.points) == gccPoints {
		g.trend = slope(g.points)
	}
	m := float64(min(g.deltas, gccMostDeltas)) * g.trend * gccGain
	switch {
	case m > g.threshold:
		g.over += apart
		g.overs++
		if g.over > gccOverFor && g.overs > 1 && g.trend >= before {
			g.overuse, g.over, g.overs = 1, 0, 0
		}
	case m < -g.threshold:
		g.overuse, g.over, g.overs = -1, 0, 0
	default:
		g.overuse, g.over, g.overs = 0, 0, 0
	}
	g.adapt(math.Abs(m), at)
}

// slope is that of the line with the least squares.
func slope(points [][2]float64) float64 {
	n := float64(len(points))
	mx, my, above, below := 0.0, 0.0, 0.0, 0.0
	for _, p := range points {
		mx += p[0] / n
		my += p[1] / n
	}
	for _, p := range points {
		above += (p[0] - mx) * (p[1] - my)
		below += (p[0] - mx) * (p[0] - mx)
	}
	if below == 0 {
		return 0
	}
	return above / below
}

// adapt moves the threshold after the signal (section 5.4), so that TCP does not starve the flow.
func (g *googCC) adapt(m float64, at time.Time) {
	apart := min(at.Sub(g.thresholdAt).Seconds()*1000, 100)
	g.thresholdAt = at
	if m > g.threshold+gccSpike {
		return
	}
	gain := gccUp
	if m < g.threshold {
		gain = gccDown
	}
	g.threshold = min(max(g.threshold+gain*(m-g.threshold)*apart, gccLeast), gccMost)
}

// control is the rate control (section 5.5).
func (g *googCC) control(now time.Time, rate float64) {
	apart := min(now.Sub(g.changedAt), time.Second)
	if g.changedAt.IsZero() {
		apart = 0
	}
	g.changedAt = now
	deviation := math.Sqrt(g.near.variance)
	switch {
	case g.overuse > 0:
		g.hold = true
		if rate > 0 && now.Sub(g.cutAt) > max(g.rtt, 10*time.Millisecond) {
			if g.near.mean > 0 && math.Abs(rate-g.near.mean) > 3*deviation {
				g.near = average{}
			}
			g.near.add(rate)
			g.byDelay, g.cutAt = min(g.byDelay, gccBeta*rate), now
		}
	case g.overuse < 0:
		g.hold = true
	case g.hold:
		g.hold = false
	default:
		if g.near.mean > 0 && rate > g.near.mean+3*deviation {
			g.near = average{}
		}
		next := g.byDelay * math.Pow(gccGrowth, apart.Seconds())
		if g.near.mean > 0 {
			frame := g.byDelay / float64(g.cfg.FPS)
			packet := frame / math.Ceil(frame/(1200*8))
			response := 100*time.Millisecond + g.rtt
			next = g.byDelay + max(4000, packet/response.Seconds())*apart.Seconds()
		}
		if rate > 0 {
			next = min(next, max(g.byDelay, 1.5*rate+10_000))
		}
		g.byDelay = min(next, float64(g.cfg.Max))
	}
	g.byDelay = max(g.byDelay, float64(g.cfg.Min))
}

// onLoss is the control by loss (section 6).
func (g *googCC) onLoss(now time.Time) {
	if now.Sub(g.lossAt) < gccLossEvery+g.rtt || g.told < 20 {
		return
	}
	share := float64(g.lost) / float64(g.told)
	g.lost, g.told, g.lossAt = 0, 0, now
	switch {
	case share > gccLossHigh:
		g.byLoss = max(g.rate()*(1-share/2), float64(g.cfg.Min))
	case share < gccLossLow && !math.IsInf(g.byLoss, 1):
		if g.byLoss *= 1.05; g.byLoss > 1.2*g.byDelay {
			g.byLoss = math.Inf(1)
		}
	}
}

// probed notes a packet of the newest probe.
func (g *googCC) probed(p *adapt.Packet) {
	if p.ProbeID == 0 || p.ProbeID != g.probe.ProbeID || g.probeJudged {
		return
	}
	if g.probeCount == 0 {
		g.probeSent[0], g.probeCame[0] = p.Sent, p.Arrived
	} else {
		g.probeBytes += p.Size
	}
	g.probeCount++
	g.probeSent[1], g.probeCame[1] = p.Sent, p.Arrived
}

// judgeProbe takes what a probe found when most of it has come.
func (g *googCC) judgeProbe(now time.Time) {
	if g.probeJudged || g.probeCount < 4 || g.probeBytes < g.probe.Bytes*7/10 && now.Before(g.probe.Until.Add(g.rtt)) {
		return
	}
	g.probeJudged = true
	took := g.probeCame[1].Sub(g.probeCame[0])
	if took <= 0 {
		return
	}
	left := float64(g.probeBytes*8) / max(g.probeSent[1].Sub(g.probeSent[0]), time.Millisecond).Seconds()
	came := float64(g.probeBytes*8) / took.Seconds()
	found := min(left, came)
	if came < .9*left {
		found = .95 * came
	}
	if found > g.byDelay && came < 2*left {
		g.byDelay = min(found, float64(g.cfg.Max))
		if found > .7*float64(g.probe.BitsPerSecond) { // there may be more
			g.probeAt = now
		}
	}
}

// Tick implements adapt.Controller.
func (g *googCC) Tick(now time.Time) adapt.Targets {
	rate := g.rate()
	t := g.targets(rate, gccPacing)
	if g.probeAt.IsZero() {
		g.probeAt = now.Add(50 * time.Millisecond)
	}
	idle := g.sent.rate(now, gccWindow) < gccIdle*rate
	if !now.Before(g.probeAt) && now.After(g.probe.Until) && (len(g.first) > 0 || idle) && rate < float64(g.cfg.Max) {
		times := 2 * rate
		if len(g.first) > 0 {
			times, g.first = g.first[0]*float64(g.cfg.Start), g.first[1:]
		}
		g.probes++
		g.probe = adapt.PadRequest{
			ProbeID: g.probes, BitsPerSecond: int(times), Bytes: max(int(times/8*gccProbeFor.Seconds()), 6000),
			Until: now.Add(200 * time.Millisecond),
		}
		g.probeCount, g.probeBytes, g.probeJudged = 0, 0, false
		g.probeAt = now.Add(gccProbeEach)
		if len(g.first) > 0 {
			g.probeAt = now.Add(250 * time.Millisecond)
		}
	}
	if now.Before(g.probe.Until) {
		t.Pad = g.probe
	}
	return t
}

// Estimate implements adapt.Controller.
func (g *googCC) Estimate(time.Time) adapt.Estimate {
	return adapt.Estimate{Target: int(g.rate()), RTT: g.rtt}
}
