package adapt

import (
	"math"
	"time"
)

const (
	// holdLoss stops the rate from rising; GoogCC's threshold, below which radio links lose on their own.
	holdLoss = 0.02
	// cutLoss makes it fall. The cut is an experiment, so that it may come earlier than GoogCC's at 10 %.
	cutLoss = 0.06
	// judgeAfter, and a round trip, is how long the cut is given to show in lossWindow.
	judgeAfter  = 1500 * time.Millisecond
	judgeJitter = 500 * time.Millisecond
	// judgeMost is how much longer it is given where less than lossSample is sent: 20 packets take 1.6 s at 150 kbit/s.
	judgeMost = 3 * time.Second
	// cured is the share of the loss that must have gone for sending less to have helped where some is left: after heavy loss, or at
	// a policer, a second cut then tells more. Lesser loss of 20 packets is half of what it was by chance alone.
	cured = 0.5
	// straysMost is how many lost packets make loss: fewer are strays, unless they are more than strayLoss of all.
	straysMost, strayLoss = 3, 0.05
	// Loss of the link itself raises the threshold to ownFactor times it plus ownMargin, at most ownMost. The threshold fades by
	// ownFades once the loss is gone, and expires after ownFor: then the link must prove its loss again.
	ownFactor, ownMargin, ownMost = 1.5, 0.02, 0.15
	ownFades                      = 10 * time.Second
	ownFor                        = 60 * time.Second
	// Congestion is the default explanation. The link loses by itself only where the loss outlasts ownTrials cuts, each by
	// trialLeast to trialMost of the rate, and the rate has come down to trialDeep of what it was: flows that share a
	// bottleneck all cut, and cure it together.
	ownTrials             = 3
	trialLeast, trialMost = 0.15, 0.35
	trialDeep             = 0.6
	// Loss that exceeds the believed loss by excessLoss bounds the target by what arrives, and excessRate on top of it.
	excessLoss, excessRate = 0.12, 1.1
	// smoothFor is how long frames leave more evenly after loss without a queue.
	smoothFor = 60 * time.Second
	// chanceDeviations is how many standard deviations of a sample are chance.
	chanceDeviations = 2
	// breakLoss over breakAfter opens the circuit (RFC 8083) whatever is believed: the rate falls to breakShare of what
	// arrives, and nothing is believed for ownFor.
	breakLoss, breakAfter, breakShare = 0.20, 2 * time.Second, 0.8
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
	policedShare = 0.9
	policedRest  = 3 * time.Second
	policedFor   = 60 * time.Second
	policedRise  = 0.005  // per second
	policedStep  = 50_000 // bits per second, each second: the same for all, so that flows that share a policer come together
	// heavyLoss is acted upon as soon as a cut could have shown.
	heavyLoss = 0.15
)

// losses judges loss.
type losses struct {
	cutAt, judgeAt time.Time // judgeAt is zero when nothing is to be judged
	before, at     float64   // the target before the cut, and the loss
	trying         bool      // cuts are being made to tell what loses
	trials         int       // cuts that the loss has outlasted
	believedAt     time.Time // when limit was proved
	excessive      since     // loss beyond breakLoss
	brokenUntil    time.Time // nothing is believed until then
	smoothUntil    time.Time // frames leave more evenly until then
	renewing       bool      // what was believed is being proved again
	random         uint64
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
	l.judge(now, p, loss)
	if now.Sub(s.cutAt) > p.rtt+2*(reaction+p.interval) {
		s.after.packets += p.last.packets
		s.after.lost += p.last.lost
		s.after.runs += p.last.runs
	} else if !s.judgeAt.IsZero() { // what was lost before the cut is still being reported
		s.at, s.events = max(s.at, loss), max(s.events, lately.events)
	}
	own := s.tolerated(lately.packets)
	hold := loss > max(holdLoss, own)
	if hold && s.queueless(now) {
		s.smoothUntil = now.Add(smoothFor)
	}
	if !hold {
		s.heldSince = now
	}
	limit := max(cutLoss, own)
	if now.Sub(s.heldSince) > heldLong {
		limit = max(holdLoss, own) // it is time to know
	}
	policed := now.Before(s.policed)
	if policed && received > 0 && received < policedHolds*s.policedAt && loss > holdLoss {
		policed, s.policed, s.rest = false, time.Time{}, time.Time{} // no policer loses anything that far below its rate
	}
	if policed && s.queueless(now) {
		limit = policedLoss
	}
	// At the floor no further cut can help, and would only put off the judgement for ever.
	again := loss > heavyLoss+deviations(heavyLoss, lately.packets) && s.limit == 0 && s.trials == 0 && !s.renewing && l.target > float64(l.min)
	if loss > limit && lately.lost-lately.runs >= straysMost && now.Sub(s.cutAt) > rest && (s.judgeAt.IsZero() || again) {
		if !s.trying {
			s.trying, s.before, s.at, s.events, s.swift = true, l.target, loss, lately.events, framesSwift(now, p, received)
		}
		next := (1 - min(loss, 0.5)) * cutShare * min(l.target, max(sent, float64(l.min)))
		why := ReasonLoss
		if policed {
			// What is sent again counts too.
			next, why = policedShare*received*min(1, l.target/max(sent, 1)), ReasonPolicer
			s.rest, s.policed = now.Add(policedRest), now.Add(policedFor)
		}
		l.cutForLoss(now, p, next, received, why)
		return true
	}
	return !s.judgeAt.IsZero() || hold || now.Before(s.rest)
}

// outlast takes in that a cut left loss: the next cut follows, until the loss has outlasted enough of them to be the link's own.
func (l *law) outlast(now time.Time, p *path, left float64) {
	s := &l.losses
	if left+deviations(left, s.after.packets) > (1-cured)*s.at { // it did not help
		s.trials++
	}
	deep := s.renewing || l.target <= trialDeep*s.before
	if l.target > float64(l.min) && (s.trials < ownTrials || !deep) || now.Before(s.brokenUntil) {
		l.cutForLoss(now, p, l.target*(1-trialLeast-(trialMost-trialLeast)*l.chance()), s.rate, ReasonLoss)
		return
	}
	// Sending less did not help: the link loses by itself, and it is no policer either.
	l.target = max(l.target, s.before)
	s.limit = min(ownFactor*max(left, min(s.at, 2*left))+ownMargin, ownMost)
	s.believedAt, s.trying, s.trials, s.renewing = now, false, 0, false
	s.policed, s.rest = time.Time{}, time.Time{}
}

// cutForLoss lowers the target, and sets when it is judged whether that cured the loss.
func (l *law) cutForLoss(now time.Time, p *path, next, received float64, why Reason) {
	s := &l.losses
	s.rate, s.after = received, sample{}
	l.target, l.lastCause = min(l.target, next), why
	s.cutAt, l.cutAt, s.heldSince = now, now, now
	s.judgeAt = now.Add(p.rtt + max(judgeAfter, reaction+p.interval) + time.Duration(l.chance()*float64(judgeJitter)))
}

// chance returns a number from 0 to 1 that no other flow draws at the same time.
func (l *law) chance() float64 {
	s := &l.losses
	s.random = s.random*6364136223846793005 + uint64(l.target) + uint64(l.reported.UnixNano()) | 1
	return float64(s.random>>40) / (1 << 24)
}

// guard bounds the target by what arrives, whatever is believed of the loss.
func (l *law) guard(now time.Time, loss float64, packets int, received float64) {
	s := &l.losses
	if received == 0 || packets < lossSample {
		s.excessive.on = false
		return
	}
	if s.excessive.held(now, loss > breakLoss+deviations(breakLoss, packets), breakAfter) {
		s.excessive.on = false
		l.target, l.cutAt, l.lastCause = min(l.target, breakShare*received), now, ReasonLoss
		s.limit, s.trying, s.trials, s.judgeAt, s.brokenUntil = 0, false, 0, time.Time{}, now.Add(ownFor)
		return
	}
	if loss > s.tolerated(packets)+excessLoss {
		l.target = min(l.target, excessRate*received/(1-s.limit))
	}
}

// tolerated returns the loss among so many packets that is no more than what the link is believed to lose by itself.
func (s *losses) tolerated(packets int) float64 {
	return s.limit + deviations(s.limit, packets)
}

// deviations is what chance adds to a share of so many packets.
func deviations(share float64, packets int) float64 {
	return chanceDeviations * math.Sqrt(share*(1-share)/float64(max(packets, 1)))
}

// queueless tells that no queue stood for a while before a moment.
func (s *losses) queueless(at time.Time) bool { return at.Sub(s.queuedAt) > queuelessFor }

// framesSwift tells that frames arrive faster than what arrives in all. A policer lets through what it does as fast as it was sent; what
// arrives more slowly waits in a queue, if one so short that it overflows before it stands.
func framesSwift(now time.Time, p *path, received float64) bool {
	_, came, ok := p.trains(now)
	return ok && came >= roomy*received
}

// fade lets what is believed go: soon where the loss is gone, else after ownFor.
func (l *law) fade(now time.Time, loss float64) {
	s := &l.losses
	if s.limit > 0 && loss < s.limit/3 {
		s.limit *= 1 - min(1, max(0, now.Sub(l.reported).Seconds())/ownFades.Seconds())
		if s.limit < holdLoss {
			s.limit = 0
		}
	}
	if s.limit > 0 && now.Sub(s.believedAt) > ownFor {
		s.limit, s.renewing, s.trials = 0, true, ownTrials-1
	}
	if s.renewing && !s.trying && loss < holdLoss {
		s.renewing, s.trials = false, 0
	}
}

// judge looks whether a cut cured the loss that it was made for.
func (l *law) judge(now time.Time, p *path, loss float64) {
	s := &l.losses
	l.fade(now, loss)
	if s.judgeAt.IsZero() || now.Before(s.judgeAt) || s.after.packets < lossSample && now.Before(s.judgeAt.Add(judgeMost)) {
		return
	}
	s.judgeAt = time.Time{}
	left := loss
	if s.after.packets >= lossSample {
		left = s.after.apart()
	}
	strays := s.after.lost-s.after.runs < straysMost && left < strayLoss
	if left > holdLoss && !strays {
		l.outlast(now, p, left)
		return
	}
	s.trying, s.trials, s.renewing = false, 0, false
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
