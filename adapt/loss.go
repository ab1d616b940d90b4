package adapt

import "time"

const (
	// holdLoss stops the rate from rising; GoogCC's threshold, below which radio links lose on their own.
	holdLoss = 0.02
	// cutLoss makes it fall. The cut is an experiment, so that it may come earlier than GoogCC's at 10 %.
	cutLoss = 0.06
	// judgeAfter, and a round trip, is how long the cut is given to show in lossWindow.
	judgeAfter = 1500 * time.Millisecond
	// judgeMost is how much longer it is given where less than lossSample is sent: 20 packets take 1.6 s at 150 kbit/s.
	judgeMost = 3 * time.Second
	// cured is the share of the loss that must have gone for sending less to have helped where some is left: after heavy loss, or at
	// a policer, a second cut then tells more. Lesser loss of 20 packets is half of what it was by chance alone.
	cured = 0.5
	// straysMost is how many lost packets make loss: fewer are strays, unless they are more than strayLoss of all.
	straysMost, strayLoss = 3, 0.05
	// Loss of the link's own raises the threshold to ownFactor times it and ownMargin, ownMost at most; ownFades is how fast
	// the threshold comes back once the loss is gone.
	ownFactor, ownMargin, ownMost = 1.5, 0.02, 0.45
	ownFades                      = 10 * time.Second
	// heldLong is how long loss below cutLoss may hold the rate without anybody knowing why.
	heldLong = 3 * time.Second
	// A policer drops what is above its rate without a queue that would warn: policedLoss is what shows it, policedShare
	// how far below it the rate then stays, policedRest for how long, and policedFor how long it is remembered.
	policedLoss = 0.02
	// It loses all the time that too much is sent, so in policedEvents runs of lost packets at least: a single burst is a radio's. And
	// that nothing is lost after the cut must be no chance: policedMissing packets would have been, where chance takes them.
	policedEvents, policedMissing = 4, 4
	// Below policedHolds of its rate a policer loses nothing. Where packets are lost all the same, it was none.
	policedHolds = 0.8
	queuelessFor = 2 * time.Second
	policedShare = 0.95
	policedRest  = 10 * time.Second
	policedFor   = 60 * time.Second
	policedRise  = 0.005 // per second
	// heavyLoss is acted upon as soon as a cut could have shown.
	heavyLoss = 0.15
)

// losses judges loss.
type losses struct {
	cutAt, judgeAt time.Time // judgeAt is zero when nothing is to be judged
	before, at     float64   // the target before the cut, and the loss
	again          bool      // the cut before helped in part
	events         int       // that the loss came in
	swift          bool      // frames arrived faster than everything did
	after          sample    // what was reported since the cut could show
	heldSince      time.Time // since when loss holds the rate
	rate           float64   // that arrived then
	queuedAt       time.Time // when there was a queue last
	limit          float64   // what is tolerated beyond cutLoss, for the link's own loss
	policedAt      float64   // what arrived when it was found
	policed        time.Time // until when a policer is known
	rest           time.Time // until when the rate does not rise
}

// onLoss reacts to loss and tells whether the rate must not rise.
func (l *law) onLoss(now time.Time, p *path, received, sent float64) bool {
	s := &l.losses
	loss := p.lossApart(now)
	lately, _ := p.reported.sum(now, lossWindow)
	rest := p.rtt + lossWindow
	if recent := p.lossNow(now); recent > heavyLoss {
		loss, rest = max(loss, recent), p.rtt+2*reaction+p.interval
	}
	l.judge(now, loss)
	if now.Sub(s.cutAt) > p.rtt+2*(reaction+p.interval) {
		s.after.packets += p.last.packets
		s.after.lost += p.last.lost
		s.after.runs += p.last.runs
	} else if !s.judgeAt.IsZero() { // what was lost before the cut is still being reported
		s.at, s.events = max(s.at, loss), max(s.events, lately.events)
	}
	hold := loss > max(holdLoss, s.limit)
	if !hold {
		s.heldSince = now
	}
	limit := max(cutLoss, s.limit)
	if now.Sub(s.heldSince) > heldLong {
		limit = max(holdLoss, s.limit) // it is time to know
	}
	policed := now.Before(s.policed)
	if policed && received > 0 && received < policedHolds*s.policedAt && loss > holdLoss {
		policed, s.policed, s.rest = false, time.Time{}, time.Time{} // no policer loses anything that far below its rate
	}
	if policed && s.queueless(now) {
		limit = policedLoss
	}
	// At the floor no further cut can help, and would only put off the judgement for ever.
	again := loss > heavyLoss && s.limit == 0 && l.target > float64(l.min)
	if loss > limit && lately.lost-lately.runs >= straysMost && now.Sub(s.cutAt) > rest && (s.judgeAt.IsZero() || again) {
		if s.judgeAt.IsZero() {
			s.before, s.at, s.events, s.swift = l.target, loss, lately.events, framesSwift(now, p, received)
		}
		s.rate, s.after = received, sample{}
		next := (1 - min(loss, 0.5)) * cutShare * min(l.target, max(sent, float64(l.min)))
		l.lastCause = ReasonLoss
		if policed {
			// What is sent again counts too.
			next, l.lastCause = policedShare*received*min(1, l.target/max(sent, 1)), ReasonPolicer
			s.rest, s.policed = now.Add(policedRest), now.Add(policedFor)
		}
		l.target = min(l.target, next)
		s.cutAt, s.judgeAt, l.cutAt, s.heldSince = now, now.Add(p.rtt+judgeAfter), now, now
		return true
	}
	return !s.judgeAt.IsZero() || hold || now.Before(s.rest)
}

// queueless tells that no queue stood for a while before a moment.
func (s *losses) queueless(at time.Time) bool { return at.Sub(s.queuedAt) > queuelessFor }

// framesSwift tells that frames arrive faster than what arrives in all. A policer lets through what it does as fast as it was sent; what
// arrives more slowly waits in a queue, if one so short that it overflows before it stands.
func framesSwift(now time.Time, p *path, received float64) bool {
	_, came, ok := p.trains(now)
	return ok && came >= roomy*received
}

// judge looks whether a cut cured the loss that it was made for.
func (l *law) judge(now time.Time, loss float64) {
	s := &l.losses
	if s.limit > 0 && loss < s.limit/3 {
		s.limit *= 1 - min(1, max(0, now.Sub(l.reported).Seconds())/ownFades.Seconds())
		if s.limit < holdLoss {
			s.limit = 0
		}
	}
	if s.judgeAt.IsZero() || now.Before(s.judgeAt) || s.after.packets < lossSample && now.Before(s.judgeAt.Add(judgeMost)) {
		return
	}
	s.judgeAt = time.Time{}
	left := loss
	if s.after.packets >= lossSample {
		left = s.after.apart()
	}
	strays := s.after.lost-s.after.runs < straysMost && left < strayLoss
	if left > holdLoss && left <= (1-cured)*s.at && !strays && !s.again && (s.at >= 2*heavyLoss || now.Before(s.policed)) {
		s.again = true
		return // it helped, and not enough: another cut will tell
	}
	s.again = false
	if left > holdLoss && !strays {
		// Sending less did not help: the link loses by itself, and it is no policer either.
		l.target = max(l.target, s.before)
		s.limit = min(ownFactor*max(left, min(s.at, 2*left))+ownMargin, ownMost)
		s.policed, s.rest = time.Time{}, time.Time{}
		return
	}
	if s.rate > 0 && l.capacityAt.Before(s.cutAt) { // else a queue has told more since
		l.learn(now, s.rate)
	}
	if s.queueless(s.cutAt) && s.queuedAt.Before(s.cutAt) && s.events >= policedEvents && s.swift &&
		float64(s.after.packets)*s.at >= policedMissing {
		if !now.Before(s.policed) {
			s.policedAt = s.rate
		}
		s.policed, s.rest, l.lastCause = now.Add(policedFor), now.Add(policedRest), ReasonPolicer
		if s.rate > 0 {
			l.target = min(max(l.target, policedShare*s.rate), s.before)
		}
	}
}
