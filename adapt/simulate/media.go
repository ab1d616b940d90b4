package simulate

import (
	"math"
	"slices"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
)

// Flow is one media session: a screen, an encoder, a pacer and a controller at one end, a receiver that reports at the
// other.
type Flow struct {
	Start, Stop time.Duration
	// Pauses are times without a frame, in pairs of from and to.
	Pauses  []time.Duration
	Config  adapt.Config
	Forward []int // links, by index
	Back    []int
	// Screen is what the screen's content could use, in bits per second: nil and +Inf for all there is.
	Screen func(at time.Duration) float64
	// Content is the kind of it.
	Content adapt.ContentClass
	// Noise is the scale of the deviation of frame sizes, which has a Laplace distribution (RFC 8593, section 5.3).
	// Default: 0.15, that RFC's. Below 0 frames have the size asked for.
	Noise float64
	// Transients makes the encoder follow a bitrate as RFC 8593 has it: after a change by more than a half it makes a
	// burst and smaller frames after it (section 5.2), and the time between frames varies as their size does (5.3).
	Transients bool
	// Lag is how long the encoder takes to follow a new bitrate; 0 is from the next frame on.
	Lag time.Duration
	// Overshoot is how much larger than asked for the encoder's frames are: 1.2 is a fifth. 0 means not at all.
	Overshoot float64
	// KeyEvery asks for a keyframe now and then; KeySize is how many times larger than others they are, 6 when 0. The
	// encoder keeps to the largest frame that the controller allows.
	KeyEvery time.Duration
	KeySize  float64
	// SceneEvery makes a picture of another scene now and then, SceneSize times larger than others. Encoders do not
	// foresee it, and exceed the largest frame allowed.
	SceneEvery time.Duration
	SceneSize  float64
	Feedback   Feedback
}

// Reports are the kinds of reports that a receiver sends.
type Reports uint8

const (
	// BrowserReports are transport-wide feedback and receiver reports side by side, as Chromium and Firefox send them.
	BrowserReports Reports = iota
	// TransportReports are transport-wide feedback alone.
	TransportReports
	// ReceiverReports are sent alone, with requests for retransmissions.
	ReceiverReports
)

// Feedback is how a receiver reports.
type Feedback struct {
	Reports Reports
	// Every is the time between reports of transport-wide feedback. It defaults to 50 ms for every other flow and seed
	// and 100 ms for the rest: libwebrtc begins at 100 ms and goes to 50 ms where that takes under 5 % of the rate.
	Every time.Duration
	// ReportEvery is the mean time between receiver reports, which come at random from a half to one and a half of it
	// apart (RFC 3550, section 6.3.1). Default: 1 s.
	ReportEvery time.Duration
	// Echo is the time between round trips measured apart from the media, 0 for none.
	Echo time.Duration
	// Mute receivers ask for no retransmission.
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
	tickEvery                      = 25 * time.Millisecond
	keepAlive                      = time.Second
	frameNoise, leastFrame         = 0.15, 0.2
	retryFrame                     = 5 * time.Millisecond
	longestWait                    = 50 * time.Millisecond // of the pacer, until it looks at its rate again
	audioSize                      = 50
	senderReport, senderReportSize = time.Second, 80
)

const (
	mediaStart = iota
	mediaFrame
	mediaTick
	mediaPace
	mediaArrive
	mediaReport
	mediaReportArrives
	mediaReceiverReport
	mediaNackTimer
	mediaNack
	mediaKey
	mediaKeyAsked
	mediaSenderReport
	mediaSenderReportArrives
	mediaEcho
	mediaEchoArrives
	mediaEchoReturns
)

// media is a Flow at work.
type media struct {
	Flow
	index, flow   int
	w             *world
	controller    adapt.Controller
	forward, back []*link
	result        *FlowResult

	targets   adapt.Targets
	seq       uint64
	rate      float64 // the encoder's
	rateNext  []rateChange
	transient transient
	frameAt   time.Duration // when the newest frame was due
	frameWait bool          // a frame waits for the pacer
	keyDue    bool
	sceneAt   time.Duration // when the newest scene began
	lastFrame time.Duration

	queue   []*packet // the pacer's: media
	resends []*packet
	bytes   int // in queue
	newestN int // packets of the newest frame
	bucket  pacing.Bucket
	shares  pacing.Shares
	repeats pacing.Repeats
	pacing  bool // an event of the pacer is under way
	pad     adapt.PadRequest
	padLeft int
	probing int // the probe that the newest packet counted towards

	id      uint64
	history []sentPacket // by id-1
	numbers []uint64     // ids of the packets of media, by their number in the stream less 1
	rtt     time.Duration
	newest  int64 // number that receiver reports and NACKs show to have arrived
	receiver
}

type rateChange struct {
	at   time.Duration
	rate float64
}

// sentPacket is the fate of a packet.
type sentPacket struct {
	sent, arrived time.Duration
	size          int
	frame         int
	probe         int
	number        int64 // of media: its number in the stream, or that of the packet it repeats; from 1
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
		m.listen()
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
	case mediaReportArrives:
		m.heard(p.report)
	case mediaNack:
		m.asked(p.asks)
	case mediaKey:
		m.controller.OnKeyframeRequest(m.w.clock(), adapt.KeyframePLI)
		m.w.after(m.KeyEvery, m, mediaKey, nil)
	case mediaKeyAsked:
		m.controller.OnKeyframeRequest(m.w.clock(), adapt.KeyframePLI)
	case mediaSenderReport:
		if m.w.now < m.Stop {
			m.w.send(&packet{
				size: senderReportSize, flow: m.flow, sent: m.w.now, route: m.forward, to: m,
				what: mediaSenderReportArrives,
			})
			m.w.after(senderReport, m, mediaSenderReport, nil)
		}
	case mediaEcho:
		if m.w.now < m.Stop {
			m.w.send(&packet{size: echoSize, flow: m.flow, sent: m.w.now, route: m.forward, to: m, what: mediaEchoArrives})
			m.w.after(m.Feedback.Echo, m, mediaEcho, nil)
		}
	case mediaEchoReturns:
		m.controller.OnFeedback(adapt.Feedback{At: m.w.clock(), Kind: adapt.Echo, RTT: m.w.now - p.sent})
	default:
		m.receive(what, p)
	}
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
	if m.targets.Skip || !pacing.Room(len(m.queue), m.bytes, m.newestN, m.targets.PacingRate, m.targets.FPS) {
		if m.w.now-m.frameAt >= interval {
			m.frameAt = m.w.now
			m.result.Skipped = append(m.result.Skipped, m.w.now)
		}
		m.frameWait = true
		m.w.after(retryFrame, m, mediaFrame, nil)
		return
	}
	m.encode(want, interval)
	if m.Transients {
		interval = time.Duration(float64(interval) * m.noise())
	}
	m.w.after(max(retryFrame, m.frameAt+interval-m.w.now), m, mediaFrame, nil)
}

// noise returns a factor with the deviation of RFC 8593, section 5.3.
func (m *media) noise() float64 {
	scale := m.Noise
	if scale == 0 {
		scale = frameNoise
	}
	if scale < 0 {
		return 1
	}
	u := m.w.random.Float64() - 0.5
	return max(leastFrame, 1-scale*math.Copysign(math.Log(1-2*math.Abs(u)), u))
}

// transient is the time in which an encoder settles after a large change of its bitrate.
type transient struct {
	rate float64 // before
	left int     // frames
}

const (
	// transientFrames is how many frames the encoder takes to settle (K_d), of which the first has transientBurst bytes
	// (K_B), or the mean where that is larger. Both are the example values of RFC 8593, section 5, which its
	// implementation github.com/mengelbart/syncodec has, too.
	transientFrames = 8
	transientBurst  = 13_500
	// transientChange is the change of the rate that unsettles the encoder, and transientLeast the least part of the
	// mean that the frames after the first have. Both are ours.
	transientChange = 0.5
	transientLeast  = 0.2
)

// frame returns the size of the next frame, in bytes, where the mean is size.
func (t *transient) frame(rate, size float64) float64 {
	if t.rate > 0 && math.Abs(rate-t.rate) > transientChange*t.rate {
		t.left = transientFrames
	}
	if t.left == 0 || t.rate == 0 {
		t.rate = rate
		return size
	}
	t.left--
	t.rate = rate
	burst := max(transientBurst, size)
	if t.left == transientFrames-1 {
		return burst
	}
	return max(transientLeast*size, (transientFrames*size-burst)/(transientFrames-1))
}

func (m *media) encode(want float64, interval time.Duration) {
	use := min(m.rate, max(want, 2000))
	size := use / 8 * interval.Seconds()
	if m.Overshoot > 0 {
		size *= m.Overshoot
	}
	if m.Transients {
		size = m.transient.frame(m.rate, size)
	}
	if m.Noise >= 0 {
		size *= m.noise()
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
		At: m.w.clock(), FrameBytes: bytes, Keyframe: key, QP: min(qp, 51), EncodeTime: 3 * time.Millisecond, Dirty: dirty,
		Class: m.Content,
	})
	packets := (bytes + fullMedia - 1) / fullMedia
	m.newestN = packets
	m.result.Frames = append(m.result.Frames, FrameRecord{Captured: now, Bytes: bytes, Key: key, missing: packets})
	for left := bytes; left > 0; left -= fullMedia {
		p := &packet{size: min(left, fullMedia) + overhead, frame: frame, key: key && left == bytes}
		m.queue = append(m.queue, p)
		m.bytes += p.size
	}
	m.pace()
}

// pace sends what may go.
func (m *media) pace() {
	if m.pacing {
		return
	}
	for {
		now, rate := m.w.clock(), m.targets.PacingRate
		probing := m.padLeft > 0 && now.Before(m.pad.Until) && len(m.result.Frames) > 0
		if probing {
			rate = max(rate, m.pad.BitsPerSecond)
		}
		who := m.shares.Turn(len(m.resends) > 0, len(m.queue) > 0, probing)
		if who == pacing.None {
			return
		}
		if probing && m.probing != m.pad.ProbeID {
			m.bucket.Empty(now)
		}
		m.probing = 0
		if probing {
			m.probing = m.pad.ProbeID
		}
		if wait := m.bucket.Wait(now, rate); wait > 0 {
			m.pacing = true
			m.w.after(min(wait, longestWait), m, mediaPace, nil)
			return
		}
		p := m.take(who)
		if p == nil {
			continue
		}
		if probing {
			p.probe = m.pad.ProbeID
			m.padLeft -= p.size
		}
		m.bucket.Spend(p.size)
		m.transmit(p)
	}
}

// take returns the next packet of those whose turn it is, nil for a retransmission that is of no use any more.
func (m *media) take(who pacing.Turn) *packet {
	switch who {
	case pacing.Retransmission:
		p := m.resends[0]
		m.resends = m.resends[1:]
		if why, useless := m.repeats.Useless(uint16(p.number), false); useless {
			m.refused(p.number, why)
			return nil
		}
		m.repeats.Again(uint16(p.number), m.w.clock())
		m.shares.Retransmitted(p.size)
		return p
	case pacing.Media:
		p := m.queue[0]
		m.queue = m.queue[1:]
		m.bytes -= p.size
		m.shares.Sent(p.size, m.targets.PacingRate)
		return p
	default:
		return &packet{size: padSize, padding: true, frame: -1}
	}
}

func (m *media) transmit(p *packet) {
	m.id++
	p.id, p.flow, p.sent, p.route, p.to, p.what = m.id, m.flow, m.w.now, m.forward, m, mediaArrive
	if !p.padding && !p.again {
		m.numbers = append(m.numbers, p.id)
		p.number = int64(len(m.numbers))
		if m.repeats.Sent(uint16(p.number), m.w.clock()); p.key {
			m.repeats.Keyframe(uint16(p.number))
		}
	}
	m.history = append(m.history, sentPacket{
		sent: m.w.now, size: p.size, frame: p.frame, probe: p.probe, number: p.number, padding: p.padding, again: p.again,
	})
	m.controller.OnSent(adapt.Packet{ID: p.id, Size: p.size, Sent: m.w.clock(), Padding: p.padding, ProbeID: p.probe})
	m.result.Packets = append(m.result.Packets, PacketRecord{
		Sent: m.w.now, Size: p.size, Padding: p.padding, Again: p.again,
	})
	m.w.send(p)
}

// packet is what a report says of a packet.
func (m *media) packet(id uint64) adapt.Packet {
	h := &m.history[id-1]
	return adapt.Packet{ID: id, Size: h.size, Sent: epoch.Add(h.sent), Padding: h.padding, ProbeID: h.probe}
}

// heard is when a report arrives.
func (m *media) heard(r *report) {
	f := r.feedback
	f.At = m.w.clock()
	if f.Kind == adapt.RR {
		if r.senderReport > 0 {
			f.RTT = m.w.now - r.senderReport - r.held
			m.rtt = f.RTT
		}
		if m.Feedback.Reports == ReceiverReports && r.newest > 0 {
			m.newest = max(m.newest, r.newest)
			f.Packets = append(f.Packets, m.packet(m.numbers[r.newest-1]))
			if int(r.newest) < len(m.numbers) {
				next := m.packet(m.numbers[r.newest])
				next.Lost = true
				f.Packets = append(f.Packets, next)
			}
		}
	} else {
		for _, reported := range f.Packets { // in the order they were sent
			if reported.Lost || reported.ID > m.id {
				continue
			}
			f.RTT = f.At.Sub(reported.Sent)
			if n := m.history[reported.ID-1].number; n > 0 {
				m.repeats.Arrived(uint16(n))
			}
		}
		m.rtt = f.RTT
	}
	m.controller.OnFeedback(f)
}

// asked is when a request for retransmissions arrives.
func (m *media) asked(numbers []int64) {
	for _, n := range numbers {
		m.resend(n)
	}
	m.pace()
	last := slices.Max(numbers)
	if m.Feedback.Reports != ReceiverReports || last < m.newest || int(last) >= len(m.numbers) {
		return // reports on packets tell more, or it repeats an older one
	}
	f := adapt.Feedback{At: m.w.clock(), Kind: adapt.NACK}
	for n := max(m.newest+1, last+2-mostAsked); n <= last+1; n++ {
		one := m.packet(m.numbers[n-1])
		one.Lost = slices.Contains(numbers, n)
		f.Packets = append(f.Packets, one)
	}
	m.newest = last + 1
	if len(f.Packets) > 1 {
		m.controller.OnFeedback(f)
	}
}

// refused makes a keyframe due where a refused retransmission leaves the receiver without a picture.
func (m *media) refused(number int64, why pacing.Refusal) {
	if m.repeats.Broken(uint16(number), why, m.w.clock(), min(m.rtt, time.Second)) {
		m.controller.OnKeyframeRequest(m.w.clock(), adapt.KeyframeRecovery)
	}
}

// resend answers a request for one packet.
func (m *media) resend(number int64) {
	h := &m.history[m.numbers[number-1]-1]
	if slices.ContainsFunc(m.resends, func(p *packet) bool { return p.number == number }) {
		return
	}
	if why, refused := m.repeats.Refuse(uint16(number), m.w.clock(), min(m.rtt, time.Second), false); refused {
		m.refused(number, why)
		return
	}
	if _, taken := m.shares.Admit(h.size, len(m.resends)); taken {
		m.resends = append(m.resends, &packet{size: h.size, frame: h.frame, number: number, again: true})
	}
}
