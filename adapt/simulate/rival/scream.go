package rival

import (
	"math"
	"time"

	"wavryhost/adapt"
)

// The constants of draft-johansson-ccwg-rfc8298bis-screamv2, sections 4.1 and 4.2.
const (
	screamTargetLow  = 60 * time.Millisecond
	screamTargetHigh = 400 * time.Millisecond
	screamLeast      = 3000.0 // bytes
	screamPacket     = 1000.0 // bytes
	screamBetaLoss   = 0.7
	screamHeadroom   = 1.5
	screamVirtualRTT = 25 * time.Millisecond
	screamMultiply   = 0.02
	screamRelaxed    = 100 // round trips after congestion
	screamDelayGain  = 0.25
	screamJitterNorm = 25 * time.Millisecond
	screamJitterGain = 1. / 64
	screamLeastScale = 0.1
	screamPacing     = 1.5
	screamOverhead   = 3.0 // of what may be in flight over the window, and 1.5 at least
	screamBaseFor    = 10  // minutes of which the base delay is the least, as in RFC 6817
	screamHistory    = 200
)

// scream is a stand-in for SCReAM version 2 without ECN: a window that grows with what is acknowledged and shrinks
// with loss and with the delay of the queue, and a rate that follows it.
type scream struct {
	plain
	window, inflection float64 // bytes
	inFlight           float64
	mostBefore, most   float64 // in flight in the round trip before, and in this one
	roundAt            time.Time
	rate               float64
	srtt               time.Duration

	base        [screamBaseFor]time.Duration
	baseAt      time.Time
	delay, mean time.Duration // of the queue
	meanAt      time.Time
	jitter      float64
	goal        time.Duration
	history     []float64 // delays over the low target
	historyAt   time.Time
	losses      float64 // share of round trips with loss

	lost         bool
	congestedAt  time.Time
	reactedAt    time.Time
	inflectionAt time.Time
	flying       map[uint64]adapt.Packet // sent and not reported
}

// NewSCReAM makes a stand-in for SCReAM version 2.
func NewSCReAM(cfg adapt.Config) (adapt.Controller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	return &scream{
		plain: plain{cfg: cfg}, rate: float64(cfg.Start), goal: screamTargetLow, srtt: 100 * time.Millisecond,
		window: max(float64(cfg.Start)/8*.1*1.2, screamLeast), inflection: 1, flying: map[uint64]adapt.Packet{},
	}, nil
}

var _ adapt.Controller = (*scream)(nil)

// OnSent implements adapt.Controller.
func (s *scream) OnSent(p adapt.Packet) {
	s.flying[p.ID] = p
	s.inFlight += float64(p.Size)
	s.most = max(s.most, s.inFlight)
}

// OnFeedback implements adapt.Controller.
func (s *scream) OnFeedback(f adapt.Feedback) {
	if f.Kind != adapt.TWCC && f.Kind != adapt.CCFB {
		return
	}
	newly := 0.0
	delay := time.Duration(-1)
	for i := range f.Packets {
		p := &f.Packets[i]
		if sent, ok := s.flying[p.ID]; ok {
			delete(s.flying, p.ID)
			s.inFlight -= float64(sent.Size)
			if !p.Lost {
				newly += float64(sent.Size)
			}
		}
		if p.Lost {
			s.lost = true
			continue
		}
		delay = s.queued(p)
	}
	if delay < 0 {
		return
	}
	s.delay = delay
	s.srtt += (f.RTT - s.srtt) / 8
	s.average(f.At)
	s.compete(f.At)
	scale := s.nearInflection()
	s.reduce(f.At)
	s.increase(f.At, newly, scale)
	if f.At.Sub(s.roundAt) >= s.srtt {
		s.forget(f.At)
		s.mostBefore, s.most, s.roundAt = s.most, s.inFlight, f.At
	}
	s.adjust()
}

// forget removes packets that no report covered.
func (s *scream) forget(now time.Time) {
	for id, p := range s.flying {
		if now.Sub(p.Sent) > time.Second+s.srtt {
			delete(s.flying, id)
			s.inFlight -= float64(p.Size)
		}
	}
}

// queued is how long a packet waited, by the least delay of the last minutes (RFC 6817).
func (s *scream) queued(p *adapt.Packet) time.Duration {
	d := p.Arrived.Sub(p.Sent)
	if s.baseAt.IsZero() {
		for i := range s.base {
			s.base[i] = d
		}
		s.baseAt = p.Sent
	}
	if p.Sent.Sub(s.baseAt) > time.Minute {
		copy(s.base[1:], s.base[:])
		s.base[0], s.baseAt = d, p.Sent
	}
	s.base[0] = min(s.base[0], d)
	least := s.base[0]
	for _, b := range s.base {
		least = min(least, b)
	}
	return d - least
}

// average follows the queue: up slowly, down at once (section 4.1.2).
func (s *scream) average(now time.Time) {
	if now.Sub(s.meanAt) < min(screamVirtualRTT, s.srtt) {
		return
	}
	s.meanAt = now
	if s.delay < s.mean {
		s.mean = s.delay
	} else {
		s.mean += time.Duration(screamDelayGain * float64(s.delay-s.mean))
	}
	x := (s.delay - screamJitterNorm/4).Seconds() / screamJitterNorm.Seconds()
	s.jitter += screamJitterGain * (min(max(x, 0), 1.5*s.jitterLimit()) - s.jitter)
}

func (s *scream) ratio() float64 { return screamPacket / s.window }

func (s *scream) jitterLimit() float64 { return max(.05, .1*(1-s.ratio()/.1)) }

func (s *scream) steady() float64 { return (s.jitterLimit() - s.jitter) / s.jitterLimit() }

// compete raises the queue that is aimed at beside flows that fill it (section 4.1.2.1).
func (s *scream) compete(now time.Time) {
	if now.Sub(s.historyAt) < 50*time.Millisecond {
		return
	}
	s.historyAt = now
	s.history = append(s.history, s.delay.Seconds()/screamTargetLow.Seconds())
	if len(s.history) > screamHistory {
		s.history = s.history[1:]
	}
	mean, _ := moments(s.history[max(0, len(s.history)-50):])
	_, variance := moments(s.history)
	low := screamTargetLow.Seconds()
	next := (mean + math.Sqrt(variance)) * low
	goal := s.goal.Seconds()
	switch {
	case s.losses > .002:
		goal = 1.5 * next
	case variance < .2:
		goal = next
	case next < low:
		goal = max(goal/2, next)
	default:
		goal *= .9
	}
	s.goal = time.Duration(min(max(goal, low), screamTargetHigh.Seconds()) * float64(time.Second))
}

func moments(list []float64) (mean, variance float64) {
	for _, x := range list {
		mean += x / float64(len(list))
	}
	for _, x := range list {
		variance += (x - mean) * (x - mean) / float64(len(list))
	}
	return mean, variance
}

// nearInflection is small where the window is near where congestion was met last.
func (s *scream) nearInflection() float64 {
	x := 8 * (s.window - s.inflection) / s.inflection
	return min(max(x*x, .1), 1)
}

// reduce answers loss and delay, once in a round trip at most (section 4.2.1).
func (s *scream) reduce(now time.Time) {
	if s.lost {
		s.congestedAt = now
	}
	if now.Sub(s.reactedAt) < min(screamVirtualRTT, s.srtt) {
		return
	}
	half := s.goal / 2
	late := !s.lost && s.mean > half
	if now.Sub(s.reactedAt) >= s.srtt { // the share of round trips with loss
		hit := 0.0
		if s.lost {
			hit = 1
		}
		s.losses += (hit - s.losses) / 100
	}
	if !s.lost && !late {
		return
	}
	if now.Sub(s.inflectionAt) > 10*s.srtt {
		s.inflectionAt, s.inflection = now, s.window
	}
	if s.lost {
		if now.Sub(s.reactedAt) < s.srtt {
			return // losses of one round trip are one event
		}
		s.window *= screamBetaLoss
	} else {
		alpha := min((s.mean-half).Seconds()/half.Seconds(), 1)
		s.window *= 1 - alpha/2/max(1, s.srtt.Seconds()/screamVirtualRTT.Seconds())
	}
	s.window = max(s.window, screamLeast)
	s.lost, s.reactedAt = false, now
}

// increase lets the window grow with what was acknowledged (section 4.2.2).
func (s *scream) increase(now time.Time, newly, scale float64) {
	since := 1.0
	if !s.congestedAt.IsZero() {
		since = min(now.Sub(s.congestedAt).Seconds()/(screamRelaxed*max(screamVirtualRTT, s.srtt).Seconds()), 1)
	}
	more := newly * s.ratio() * min(1, s.srtt.Seconds()/screamVirtualRTT.Seconds())
	more *= max(.25, scale) * max(screamLeastScale, s.steady())
	more *= 1 + screamMultiply*s.window/screamPacket*since*scale
	if next := s.window + more; next <= screamPacket+max(s.most, s.mostBefore)*screamHeadroom &&
		s.rate < float64(s.cfg.Max) {
		s.window = next
	}
}

// adjust derives the rate (section 4.4).
func (s *scream) adjust() {
	rate := 8 * s.window / s.srtt.Seconds() / 1.2
	rate *= 1 - min(.2, max(0, s.ratio()-.1))
	s.rate = min(max(rate, float64(s.cfg.Min)), float64(s.cfg.Max))
}

// Tick implements adapt.Controller.
func (s *scream) Tick(time.Time) adapt.Targets {
	t := s.targets(s.rate, screamPacing)
	over := 1.5 + (screamOverhead-1.5)*max(0, s.steady())
	t.Skip = s.inFlight > over*s.window
	return t
}

// Estimate implements adapt.Controller.
func (s *scream) Estimate(time.Time) adapt.Estimate {
	return adapt.Estimate{Target: int(s.rate), RTT: s.srtt, QueueDelay: s.delay}
}
