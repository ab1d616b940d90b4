package simulate

import (
	"math"
	"slices"
	"time"

	"wavryhost/adapt"
)

// What libwebrtc does at the receiving end: it looks for gaps each 20 ms, asks again after its default round trip,
// since an end that only receives measures none, gives a packet up after ten requests, and asks for a keyframe when
// nothing could be decoded for 3 s.
const (
	nackEvery   = 20 * time.Millisecond
	nackAgain   = 100 * time.Millisecond
	nackTries   = 10
	nackSpan    = 1000 // packets behind the newest
	frozenAfter = 3 * time.Second
	muteAfter   = 500 * time.Millisecond // what receivers that ask for no retransmission wait for instead
	// arrivalGrain is the unit of arrival times in transport-wide feedback.
	arrivalGrain = 250 * time.Microsecond
	// mostAsked is session/wire's bound on the packets that one request tells the controller of.
	mostAsked  = 256
	lateReport = 500 * time.Millisecond
)

// Bytes of reports on the wire: UDP, IPv4 and SRTCP take 42.
const (
	reportHeaders       = 42
	transportReportSize = reportHeaders + 20
	receiverReportSize  = reportHeaders + 32
	nackSize            = reportHeaders + 16
	echoSize            = 120
)

// report is a report under way.
type report struct {
	feedback     adapt.Feedback
	senderReport time.Duration // when the newest sender report that arrived left, 0 for none,
	held         time.Duration // and for how long it was there when the report left
	newest       int64         // number of media that had arrived
}

// receiver is the receiving end of a flow.
type receiver struct {
	reported uint64  // all up to here have been reported
	highest  uint64  // the highest id that arrived
	arrivals []int64 // received, not reported: ids

	top      int64  // the highest number of media that arrived
	got      []bool // by number less 1, retransmissions among them
	received int    // packets of media that arrived, without retransmissions
	missing  []gap

	topBefore      int64 // at the receiver report before
	receivedBefore int
	transit        time.Duration
	jitter         float64 // ns
	lsr, lsrAt     time.Duration

	next    int           // frame to show
	begun   int           // newest frame of which a packet arrived
	shownAt time.Duration // when the newest frame was shown, or a keyframe asked for
}

// gap is a packet that did not come.
type gap struct {
	number int64
	asked  time.Duration
	tries  int
}

// listen begins what a receiver does.
func (m *media) listen() {
	every := m.Feedback.Every
	if every == 0 {
		every = 100 * time.Millisecond
		if (m.w.seed+uint64(m.index))%2 == 1 {
			every = 50 * time.Millisecond
		}
	}
	m.Feedback.Every = every
	if m.Feedback.ReportEvery == 0 {
		m.Feedback.ReportEvery = time.Second
	}
	m.shownAt = m.w.now
	if m.Feedback.Reports != ReceiverReports {
		m.w.after(every, m, mediaReport, nil)
	}
	if m.Feedback.Reports != TransportReports {
		m.w.after(m.untilReceiverReport(), m, mediaReceiverReport, nil)
		m.w.after(senderReport/10, m, mediaSenderReport, nil)
	}
	if m.Feedback.Echo > 0 {
		m.w.after(m.Feedback.Echo, m, mediaEcho, nil)
	}
	m.w.after(nackEvery, m, mediaNackTimer, nil)
}

func (m *media) untilReceiverReport() time.Duration {
	mean := m.Feedback.ReportEvery
	return mean/2 + time.Duration(m.w.random.Float64()*float64(mean))
}

// receive is what happens at the receiving end.
func (m *media) receive(what int, p *packet) {
	alive := m.w.now < m.Stop+time.Second
	switch what {
	case mediaArrive:
		m.arrive(p)
	case mediaReport:
		if alive {
			m.tellOfPackets()
			m.w.after(m.Feedback.Every, m, mediaReport, nil)
		}
	case mediaReceiverReport:
		if alive {
			m.tellOfLoss()
			m.w.after(m.untilReceiverReport(), m, mediaReceiverReport, nil)
		}
	case mediaNackTimer:
		if alive {
			m.ask()
			m.w.after(nackEvery, m, mediaNackTimer, nil)
		}
	case mediaSenderReportArrives:
		m.lsr, m.lsrAt = p.sent, m.w.now
	case mediaEchoArrives:
		p.route, p.what = m.back, mediaEchoReturns
		m.w.send(p)
	}
}

func (m *media) arrive(p *packet) {
	h := &m.history[p.id-1]
	h.arrived, h.received = m.w.now, true
	r := &m.result.Packets[p.id-1]
	r.Arrived, r.Queue = m.w.now, p.queue
	m.arrivals = append(m.arrivals, int64(p.id))
	m.highest = max(m.highest, p.id)
	if p.padding {
		return
	}
	if !p.again {
		m.received++
		transit := m.w.now - p.sent
		if m.received > 1 {
			m.jitter += (math.Abs(float64(transit-m.transit)) - m.jitter) / 16 // RFC 3550, section 6.4.1
		}
		m.transit = transit
		for n := m.top + 1; n < p.number && !m.Feedback.Mute; n++ {
			m.missing = append(m.missing, gap{number: n})
		}
		m.top = max(m.top, p.number)
	}
	for int64(len(m.got)) < p.number {
		m.got = append(m.got, false)
	}
	if m.got[p.number-1] {
		r.Spare = true
		return
	}
	m.got[p.number-1] = true
	m.begun = max(m.begun, p.frame)
	f := &m.result.Frames[p.frame]
	if f.missing--; f.missing == 0 {
		f.Done = m.w.now
		m.show(p.frame)
	}
}

// show shows frames in their order from the newest keyframe on.
func (m *media) show(complete int) {
	if m.result.Frames[complete].Key {
		m.next = max(m.next, complete)
	}
	for ; m.next < len(m.result.Frames) && m.result.Frames[m.next].Done > 0; m.next++ {
		m.result.Frames[m.next].Shown = m.w.now
		m.shownAt = m.w.now
	}
}

// ask asks for what is missing again, and for a keyframe when that did not help.
func (m *media) ask() {
	var asks []int64
	m.missing = slices.DeleteFunc(m.missing, func(g gap) bool {
		return m.got[g.number-1] || g.tries >= nackTries || g.number+nackSpan < m.top
	})
	for i := range m.missing {
		if g := &m.missing[i]; g.tries == 0 || m.w.now-g.asked >= nackAgain {
			g.tries++
			g.asked = m.w.now
			asks = append(asks, g.number)
		}
	}
	if len(asks) > 0 {
		m.w.send(&packet{size: nackSize, flow: m.flow, route: m.back, to: m, what: mediaNack, asks: asks})
	}
	patience := frozenAfter
	if m.Feedback.Mute {
		patience = muteAfter
	}
	if m.w.now-m.shownAt >= patience && m.next < m.begun {
		m.shownAt = m.w.now
		m.w.send(&packet{size: nackSize, flow: m.flow, route: m.back, to: m, what: mediaKeyAsked})
	}
}

// theirs translates to the receiver's clock.
func (m *media) theirs(at time.Duration) time.Time {
	t := at + time.Duration(float64(at)*m.Feedback.Skew/1e6)
	if m.Feedback.Step > 0 && at >= m.Feedback.Step {
		t += m.Feedback.StepBy
	}
	return epoch.Add(time.Hour + t.Truncate(arrivalGrain))
}

// tell sends a report.
func (m *media) tell(r report, size int) {
	if m.w.random.Float64() < m.Feedback.Loss {
		return
	}
	p := &packet{size: size, flow: m.flow, route: m.back, to: m, what: mediaReportArrives, report: &r}
	if m.Feedback.Late > 0 && m.w.random.Float64() < m.Feedback.Late {
		m.w.after(lateReport, m, mediaReportArrives, p)
		return
	}
	m.w.send(p)
	if m.Feedback.Twice > 0 && m.w.random.Float64() < m.Feedback.Twice {
		again := *p
		m.w.send(&again)
	}
}

// tellOfPackets sends transport-wide feedback: all packets since the one before, and late arrivals.
func (m *media) tellOfPackets() {
	f := adapt.Feedback{Kind: adapt.TWCC}
	slices.Sort(m.arrivals)
	late := m.arrivals
	for len(late) > 0 && uint64(late[len(late)-1]) > m.reported {
		late = late[:len(late)-1]
	}
	one := func(id uint64) {
		h := &m.history[id-1]
		p := m.packet(id)
		if p.Lost = !h.received; h.received {
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
	if len(f.Packets) > 0 {
		m.tell(report{feedback: f}, transportReportSize+5*len(f.Packets)/4)
	}
}

// tellOfLoss sends a receiver report: what is missing of the media's stream (RFC 3550, section 6.4.1).
func (m *media) tellOfLoss() {
	if m.top == 0 {
		return
	}
	r := report{feedback: adapt.Feedback{Kind: adapt.RR, Jitter: time.Duration(m.jitter)}, newest: m.top}
	if expected := m.top - m.topBefore; expected > 0 {
		lost := max(0, expected-int64(m.received-m.receivedBefore))
		r.feedback.Loss = float64(lost*256/expected) / 256
	}
	m.topBefore, m.receivedBefore = m.top, m.received
	if m.lsr > 0 {
		r.senderReport, r.held = m.lsr, m.w.now-m.lsrAt
	}
	m.tell(r, receiverReportSize)
}
