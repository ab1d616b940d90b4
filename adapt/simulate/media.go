package simulate

import (
	"math"
	"slices"
	"time"

	"wavryhost/adapt"
)

// Flow is one media session: a screen, an encoder, a pacer and a controller at one end, a receiver that reports at the other.
type Flow struct {
	Start, Stop time.Duration
	// Pauses are times without a frame, in pairs of from and to.
	Pauses  []time.Duration
	Config  adapt.Config
	Forward []int // links, by index
	Back    []int
	// Screen tells what the screen's content could use, in bits per second: nil and +Inf for all there is.
	Screen func(at time.Duration) float64
	// Content is the kind of it.
	Content adapt.ContentClass
	// Noise is the deviation of frame sizes, Laplace-distributed (RFC 8593: 0.15). 0 means evenly within 5 %.
	Noise float64
	// Lag is how long the encoder takes to follow a new bitrate; 0 is from the next frame on.
	Lag time.Duration
	// Overshoot is how much larger than asked for the encoder's frames are: 1.2 is a fifth. 0 means not at all.
	Overshoot float64
	// KeyEvery asks for a keyframe now and then; KeySize is how many times larger than others they are, 6 when 0. The
	// encoder keeps to the largest frame that the controller allows.
	KeyEvery time.Duration
	KeySize  float64
	// SceneEvery makes a picture of another scene now and then, SceneSize times larger than others. Encoders do not foresee it, and
	// exceed the largest frame allowed.
	SceneEvery time.Duration
	SceneSize  float64
	Feedback   Feedback
}

// Feedback is how a receiver reports.
type Feedback struct {
	// Every is the time between reports; 100 ms when 0, of receiver reports a second.
	Every time.Duration
	// ReceiverReports alone are sent, at random from a half to one and a half of Every apart (RFC 3550, section 6.3.1), and requests for
	// packets again.
	ReceiverReports bool
	// Echo is the time between round trips measured apart from the media, 0 for none.
	Echo time.Duration
	// Mute receivers ask for no packet again.
	Mute bool
	// Loss, Twice and Late are the fractions of reports that are lost, sent twice, and held back by half a second.
	Loss, Twice, Late float64
	// Skew is how much faster than ours the receiver's clock runs, in parts per million; at Step it is set by StepBy.
	Skew   float64
	Step   time.Duration
	StepBy time.Duration
	// Hostile receivers acknowledge what was never sent, and arrivals in the future.
	Hostile bool
}

const (
	overhead                       = 50   // bytes of headers on each packet of media
	fullMedia                      = 1150 // bytes of media in a full packet
	padSize                        = 255 + 12
	lostAfter                      = 60 * time.Millisecond // after a gap, and a round trip: a NACK
	pacerBurst                     = 5 * time.Millisecond
	tickEvery                      = 25 * time.Millisecond
	keepAlive                      = time.Second
	retryFrame                     = 5 * time.Millisecond
	maxBacklog                     = 50 * time.Millisecond
	audioSize                      = 50
	senderReport, senderReportSize = time.Second, 80
	echoSize                       = 120
)

const (
	mediaStart = iota
	mediaFrame
	mediaTick
	mediaPace
	mediaArrive
	mediaReport
	mediaReportArrives
	mediaNack
	mediaKey
	mediaSenderReport
	mediaSenderReportArrives
	mediaAsk
	mediaEcho
	mediaEchoArrives
	mediaEchoReturns
)

// report is a report under way.
type report struct {
	feedback adapt.Feedback
}

// media is a Flow at work.
type media struct {
	Flow
	w             *world
	controller    adapt.Controller
	forward, back []*link
	result        *FlowResult

	targets   adapt.Targets
	seq       uint64
	rate      float64 // the encoder's
	rateNext  []rateChange
	frameAt   time.Duration // when the newest frame was due
	frameWait bool          // a frame waits for the pacer
	keyDue    bool
	sceneAt   time.Duration // when the newest scene began
	lastFrame time.Duration

	queue   []*packet // the pacer's: media
	resends []*packet
	bytes   int // in queue
	budget  float64
	paceAt  time.Duration
	pacing  bool // an event of the pacer is under way
	pad     adapt.PadRequest
	padLeft int

	id       uint64
	history  []sentPacket // by id-1
	reported uint64       // all up to here have been reported
	highest  uint64       // the highest id that arrived
	rrHigh   uint64
	lsr      time.Duration // when the newest sender report that arrived left, 0 for none,
	lsrAt    time.Duration // and when it arrived
	asksFrom uint64        // the newest id that a request for packets again told of
	arrivals []int64       // received, not reported: ids
}

type rateChange struct {
	at   time.Duration
	rate float64
}

// sentPacket is what became of a packet.
type sentPacket struct {
	sent, arrived time.Duration
	size          int
	frame         int
	probe         int
	padding       bool
	again         bool
	received      bool
	told          bool
}

func (m *media) fire(what int, p *packet) {
	switch what {
	case mediaStart:
		m.tick()
		m.frame()
		m.w.after(tickEvery, m, mediaTick, nil)
		m.w.after(m.every(), m, mediaReport, nil)
		if m.Feedback.ReceiverReports {
			m.w.after(senderReport/10, m, mediaSenderReport, nil)
		}
		if m.Feedback.Echo > 0 {
			m.w.after(m.Feedback.Echo, m, mediaEcho, nil)
		}
		if m.KeyEvery > 0 {
			m.w.after(m.KeyEvery, m, mediaKey, nil)
		}
	case mediaFrame:
		m.frame()
	case mediaTick:
		if m.w.now < m.Stop {
			m.tick()
			m.w.after(tickEvery, m, mediaTick, nil)
		}
	case mediaPace:
		m.pacing = false
		m.pace()
	case mediaArrive:
		m.arrive(p)
	case mediaReport:
		if m.w.now < m.Stop+time.Second {
			m.tell()
			m.w.after(m.every(), m, mediaReport, nil)
		}
	case mediaReportArrives:
		m.heard(p)
	case mediaNack:
		m.resend(p)
	case mediaKey:
		m.controller.OnKeyframeRequest(m.w.clock(), adapt.KeyframePLI)
		m.w.after(m.KeyEvery, m, mediaKey, nil)
	case mediaSenderReport:
		m.w.send(&packet{size: senderReportSize, sent: m.w.now, route: m.forward, to: m, what: mediaSenderReportArrives})
		m.w.after(senderReport, m, mediaSenderReport, nil)
	case mediaSenderReportArrives:
		m.lsr, m.lsrAt = p.sent, m.w.now
	case mediaAsk:
		m.asked(p)
	case mediaEcho:
		if m.w.now < m.Stop {
			m.w.send(&packet{size: echoSize, sent: m.w.now, route: m.forward, to: m, what: mediaEchoArrives})
			m.w.after(m.Feedback.Echo, m, mediaEcho, nil)
		}
	case mediaEchoArrives:
		p.route, p.what = m.back, mediaEchoReturns
		m.w.send(p)
	case mediaEchoReturns:
		m.controller.OnFeedback(adapt.Feedback{At: m.w.clock(), Kind: adapt.Echo, RTT: m.w.now - p.sent})
	}
}

func (m *media) every() time.Duration {
	if m.Feedback.ReceiverReports {
		mean := m.Feedback.Every
		if mean == 0 {
			mean = time.Second
		}
		return mean/2 + time.Duration(m.w.random.Float64()*float64(mean))
	}
	if m.Feedback.Every == 0 {
		return 100 * time.Millisecond
	}
	return m.Feedback.Every
}

// tick asks the controller for its targets.
func (m *media) tick() {
	now := m.w.clock()
	t := m.controller.Tick(now)
	m.targets = t
	m.keyDue = m.keyDue || t.ForceIDR
	if t.Seq != m.seq {
		m.seq = t.Seq
		m.result.Transitions = append(m.result.Transitions, t.Transition)
	}
	if n := len(m.rateNext); n == 0 && m.rate != float64(t.EncoderBitrate) ||
		n > 0 && m.rateNext[n-1].rate != float64(t.EncoderBitrate) {
		m.rateNext = append(m.rateNext, rateChange{m.w.now + m.Lag, float64(t.EncoderBitrate)})
		m.controller.OnApplied(adapt.Applied{At: now, BitsPerSecond: t.EncoderBitrate, Price: m.Config.Price})
	}
	for len(m.rateNext) > 0 && m.rateNext[0].at <= m.w.now {
		m.rate = m.rateNext[0].rate
		m.rateNext = m.rateNext[1:]
	}
	if t.Pad.Bytes > 0 && t.Pad != m.pad {
		m.padLeft = t.Pad.Bytes
	}
	m.pad = t.Pad
	m.result.Targets = append(m.result.Targets, TargetRecord{
		At: m.w.now, Target: t.EncoderBitrate, Estimate: m.controller.Estimate(now).Target, FPS: t.FPS,
		State: t.Quality, Reason: t.Reason, Skip: t.Skip,
	})
	m.pace()
}

func (m *media) paused() bool {
	for i := 0; i+1 < len(m.Pauses); i += 2 {
		if m.w.now >= m.Pauses[i] && m.w.now < m.Pauses[i+1] {
			return true
		}
	}
	return false
}

// frame captures, encodes and hands to the pacer one frame, or holds it back while there is no room.
func (m *media) frame() {
	if m.w.now >= m.Stop {
		return
	}
	m.tick()
	interval := time.Second / time.Duration(max(1, m.targets.FPS))
	if !m.frameWait {
		m.frameAt = m.w.now
	}
	m.frameWait = false
	want := math.Inf(1)
	if m.Screen != nil {
		want = m.Screen(m.w.now)
	}
	if m.paused() || want <= 0 && m.w.now-m.lastFrame < keepAlive {
		m.w.after(interval, m, mediaFrame, nil)
		return
	}
	backlog := time.Duration(float64(m.bytes) * 8 / max(1, float64(m.targets.PacingRate)) * float64(time.Second))
	if m.targets.Skip || backlog > min(maxBacklog, interval) {
		if m.w.now-m.frameAt >= interval {
			m.frameAt = m.w.now
			m.result.Skipped = append(m.result.Skipped, m.w.now)
		}
		m.frameWait = true
		m.w.after(retryFrame, m, mediaFrame, nil)
		return
	}
	m.encode(want, interval)
	m.w.after(max(retryFrame, m.frameAt+interval-m.w.now), m, mediaFrame, nil)
}

func (m *media) encode(want float64, interval time.Duration) {
	use := min(m.rate, max(want, 2000))
	size := use / 8 * interval.Seconds()
	if m.Overshoot > 0 {
		size *= m.Overshoot
	}
	if m.Noise > 0 {
		u := m.w.random.Float64() - 0.5
		size *= max(0.2, 1-m.Noise/math.Sqrt2*math.Copysign(math.Log(1-2*math.Abs(u)), u))
	} else {
		size *= 0.95 + 0.1*m.w.random.Float64()
	}
	key := m.keyDue || len(m.result.Frames) == 0
	if key {
		times := m.KeySize
		if times == 0 {
			times = 6
		}
		size *= times
		if most := float64(m.targets.MaxFrameBytes); most > 0 {
			size = min(size, max(most, 1000))
		}
		m.keyDue = false
	}
	if m.SceneEvery > 0 && m.w.now-m.sceneAt >= m.SceneEvery {
		size *= m.SceneSize
		m.sceneAt = m.w.now
	}
	bytes := max(100, int(size))
	frame := len(m.result.Frames)
	now := m.w.now
	m.lastFrame = now
	qp := 24.0 // a screen that gets all it wants
	if !math.IsInf(want, 1) && want > 0 {
		qp += 6 * math.Log2(max(want/max(use, 1), 1))
	}
	dirty := 1.0
	if want <= 0 {
		dirty = 0
	}
	m.controller.OnSource(adapt.Source{
		At: m.w.clock(), FrameBytes: bytes, Keyframe: key, QP: min(qp, 51), EncodeTime: 3 * time.Millisecond, Dirty: dirty, Class: m.Content,
	})
	packets := (bytes + fullMedia - 1) / fullMedia
	m.result.Frames = append(m.result.Frames, FrameRecord{Captured: now, Bytes: bytes, Key: key, missing: packets})
	for left := bytes; left > 0; left -= fullMedia {
		p := &packet{size: min(left, fullMedia) + overhead, frame: frame}
		m.queue = append(m.queue, p)
		m.bytes += p.size
	}
	m.pace()
}

// pace sends what may go: what was lost first, then media, then padding.
func (m *media) pace() {
	if m.pacing {
		return
	}
	for {
		rate, probing := float64(m.targets.PacingRate), false
		if m.padLeft > 0 && m.w.clock().Before(m.pad.Until) && len(m.result.Frames) > 0 {
			rate, probing = max(rate, float64(m.pad.BitsPerSecond)), true
		}
		var p *packet
		switch {
		case len(m.resends) > 0:
			p = m.resends[0]
		case len(m.queue) > 0:
			p = m.queue[0]
		case probing:
			p = &packet{size: padSize, padding: true, frame: -1}
		default:
			return
		}
		perSecond := rate / 8
		m.budget = min(m.budget+perSecond*(m.w.now-m.paceAt).Seconds(), perSecond*pacerBurst.Seconds())
		m.paceAt = m.w.now
		if m.budget < 0 {
			m.pacing = true
			wait := max(time.Duration(-m.budget/perSecond*float64(time.Second)), time.Millisecond)
			m.w.after(min(wait, 50*time.Millisecond), m, mediaPace, nil)
			return
		}
		switch {
		case len(m.resends) > 0:
			m.resends = m.resends[1:]
		case len(m.queue) > 0:
			m.queue = m.queue[1:]
			m.bytes -= p.size
		}
		if probing {
			p.probe = m.pad.ProbeID
			m.padLeft -= p.size
		}
		m.budget -= float64(p.size)
		m.transmit(p)
	}
}

func (m *media) transmit(p *packet) {
	m.id++
	p.id, p.sent, p.route, p.to, p.what = m.id, m.w.now, m.forward, m, mediaArrive
	m.history = append(m.history, sentPacket{
		sent: m.w.now, size: p.size, frame: p.frame, probe: p.probe, padding: p.padding, again: p.again,
	})
	m.controller.OnSent(adapt.Packet{ID: p.id, Size: p.size, Sent: m.w.clock(), Padding: p.padding, ProbeID: p.probe})
	m.result.Packets = append(m.result.Packets, PacketRecord{
		Sent: m.w.now, Size: p.size, Padding: p.padding, Again: p.again,
	})
	m.w.send(p)
}

// arrive is the receiver's.
func (m *media) arrive(p *packet) {
	h := &m.history[p.id-1]
	h.arrived, h.received = m.w.now, true
	r := &m.result.Packets[p.id-1]
	r.Arrived, r.Queue = m.w.now, p.queue
	m.arrivals = append(m.arrivals, int64(p.id))
	if p.id > m.highest {
		if m.Feedback.ReceiverReports && !m.Feedback.Mute && m.highest > 0 && p.id > m.highest+1 {
			m.w.after(lostAfter, m, mediaAsk, &packet{id: p.id, frame: int(m.highest)})
		}
		for id := m.highest + 1; id < p.id; id++ { // a gap: ask for them, after a while in case they are only late
			if g := m.history[id-1]; !g.padding && !g.again {
				m.w.after(lostAfter, m, mediaNack, &packet{id: id})
			}
		}
		m.highest = p.id
	}
	if p.frame >= 0 {
		f := &m.result.Frames[p.frame]
		if f.missing--; f.missing == 0 {
			f.Done = m.w.now
		}
	}
}

// resend answers a NACK.
func (m *media) resend(p *packet) {
	h := m.history[p.id-1]
	if h.received || m.w.now-h.sent > time.Second {
		return
	}
	m.resends = append(m.resends, &packet{size: h.size, frame: h.frame, again: true})
	m.pace()
}

// theirs translates to the receiver's clock.
func (m *media) theirs(at time.Duration) time.Time {
	t := epoch.Add(time.Hour + at + time.Duration(float64(at)*m.Feedback.Skew/1e6))
	if m.Feedback.Step > 0 && at >= m.Feedback.Step {
		t = t.Add(m.Feedback.StepBy)
	}
	return t
}

// tell sends a report.
func (m *media) tell() {
	f := adapt.Feedback{}
	if m.Feedback.ReceiverReports {
		m.tellOfLoss(&f)
	} else {
		m.tellOfPackets(&f)
	}
	if f.Kind == adapt.TWCC && len(f.Packets) == 0 || f.Kind == adapt.RR && m.highest == 0 ||
		m.w.random.Float64() < m.Feedback.Loss {
		return
	}
	p := &packet{size: 80, route: m.back, to: m, what: mediaReportArrives, report: &report{f}}
	if m.Feedback.Late > 0 && m.w.random.Float64() < m.Feedback.Late {
		m.w.after(500*time.Millisecond, m, mediaReportArrives, p)
		return
	}
	m.w.send(p)
	if m.Feedback.Twice > 0 && m.w.random.Float64() < m.Feedback.Twice {
		again := *p
		m.w.send(&again)
	}
}

func (m *media) tellOfPackets(f *adapt.Feedback) {
	slices.Sort(m.arrivals)
	late := m.arrivals
	for len(late) > 0 && uint64(late[len(late)-1]) > m.reported {
		late = late[:len(late)-1]
	}
	one := func(id uint64) {
		h := &m.history[id-1]
		p := adapt.Packet{ID: id, Size: h.size, Sent: epoch.Add(h.sent), Padding: h.padding, ProbeID: h.probe, Lost: !h.received}
		if h.received {
			if h.told {
				return
			}
			h.told = true
			p.Arrived = m.theirs(h.arrived)
			if m.Feedback.Hostile && id%7 == 0 {
				p.Arrived = p.Arrived.Add(time.Duration(m.w.random.Int64N(int64(time.Hour))) - 30*time.Minute)
			}
		}
		f.Packets = append(f.Packets, p)
	}
	for _, id := range late {
		one(uint64(id))
	}
	for id := m.reported + 1; id <= m.highest; id++ {
		one(id)
	}
	m.reported = max(m.reported, m.highest)
	m.arrivals = m.arrivals[:0]
	if m.Feedback.Hostile {
		f.Packets = append(f.Packets, adapt.Packet{ID: m.id + 1000, Size: 1200, Sent: m.w.clock(), Arrived: m.w.clock()})
	}
}

func (m *media) tellOfLoss(f *adapt.Feedback) {
	f.Kind = adapt.RR
	lost := uint64(0)
	for id := m.rrHigh + 1; id <= m.highest; id++ {
		if !m.history[id-1].received {
			lost++
		}
	}
	if n := m.highest - m.rrHigh; n > 0 {
		f.Loss = float64(lost) / float64(n)
	}
	m.rrHigh = m.highest
	if m.highest > 0 {
		f.Packets = append(f.Packets, m.packet(m.highest))
	}
	if m.lsr > 0 {
		f.RTT = m.lsr + m.w.now - m.lsrAt // what the sender subtracts from the moment at which it comes
	}
}

// packet is what a report says of a packet.
func (m *media) packet(id uint64) adapt.Packet {
	h := m.history[id-1]
	return adapt.Packet{ID: id, Size: h.size, Sent: epoch.Add(h.sent), Padding: h.padding}
}

// asked is when a request for packets again arrives: of those between the one that had come and the one that came.
func (m *media) asked(p *packet) {
	f := adapt.Feedback{At: m.w.clock(), Kind: adapt.NACK}
	for id := max(m.asksFrom, uint64(p.frame)-min(uint64(p.frame), 64)) + 1; id <= p.id; id++ {
		one := m.packet(id)
		one.Lost = !m.history[id-1].received
		f.Packets = append(f.Packets, one)
	}
	m.asksFrom = p.id
	m.controller.OnFeedback(f)
}

// heard is when a report arrives.
func (m *media) heard(p *packet) {
	f := p.report.feedback
	f.At = m.w.clock()
	if f.Kind == adapt.RR {
		if f.RTT > 0 {
			f.RTT = m.w.now - f.RTT
		}
		if len(f.Packets) == 1 && f.Packets[0].ID < m.id {
			next := m.packet(f.Packets[0].ID + 1)
			next.Lost = true
			f.Packets = append(f.Packets, next)
		}
	} else {
		for _, reported := range slices.Backward(f.Packets) {
			if !reported.Lost {
				f.RTT = f.At.Sub(reported.Sent)
				break
			}
		}
	}
	m.controller.OnFeedback(f)
}
