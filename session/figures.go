package session

import (
	"cmp"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
	"wavryhost/session/lockorder"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/wire"
)

// figures are what is shown of a viewer.
type figures struct {
	met   *Metrics
	tally tally // of the session's labels; it does not change

	mu          lockorder.Mutex[viewerLock] // guards the rest
	life        life
	setup       setup
	freeze      freeze
	reported    ViewerReport // what the viewer has counted itself
	connected   time.Time
	route       peer.Route
	announced   peer.Route // in the last event
	transitions []TransitionRecord
	undelivered string // why the viewer shows nothing, empty where it does
	over        bool   // its end is told, and nothing after that
	frames      uint64
	dropped     uint64
	keys        uint64
	sample      sample
	delivered   sample // the last one with which a picture left
	usage       usage  // of the loop of the session, and of its end after that; mu does not guard it
	fps         float64
	achieved    int
	// Why no packet left of the pictures since the last look, empty where some did or there were none.
	mute string
}

// sample is what was counted at the last look, once a second.
type sample struct {
	at     time.Time
	stats  wire.Stats
	frames uint64
}

// flush adds what was sent since the last look to the metrics. took is the time since then, 0 for the last flush.
// waiting says whether packets wait for the pacer, or need not leave yet.
func (f *figures) flush(now time.Time, took time.Duration, stats wire.Stats, waiting bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.sample
	f.sample = sample{at: now, stats: stats, frames: f.frames}
	bytes := stats.Bytes - before.stats.Bytes
	if took > 0 {
		f.achieved = int(float64(bytes*8) / took.Seconds())
		f.fps = float64(f.frames-before.frames) / took.Seconds()
	}
	f.met.packets.Add(float64(stats.Packets - before.stats.Packets))
	path := cmp.Or(f.route.Path, f.announced.Path, peer.PathDirect)
	f.met.bytes.WithLabelValues(path).Add(float64(bytes))
	f.tally.sent(bytes)
	f.met.retransmissions.Add(float64(stats.Retransmissions - before.stats.Retransmissions))
	f.met.unsent.Add(float64(stats.Unsent - before.stats.Unsent))
	for range stats.Superseded - before.stats.Superseded {
		f.met.pipeline.Drop(pipeline.DropSuperseded)
	}
	for _, fault := range wire.FeedbackFaults() {
		added := stats.Feedback[fault] - before.stats.Feedback[fault]
		f.met.feedbackFaults.WithLabelValues(fault.String()).Add(float64(added))
	}
	for _, r := range pacing.Refusals() {
		f.met.refusedRepeats.WithLabelValues(r.String()).Add(float64(stats.Refused[r] - before.stats.Refused[r]))
	}
	switch {
	case waiting || stats.Packets != before.stats.Packets:
		f.mute, f.delivered = "", f.sample
	case before.frames == f.delivered.frames: // a picture since the last look may still be on its way
	case stats.Unsent > f.delivered.stats.Unsent:
		f.mute = undeliveredUnsent
	default:
		f.mute = undeliveredUnpacked
	}
}

// sessionLoad is what the owner of a session sees of its load.
type sessionLoad struct {
	state     string
	connected time.Time // the first time, zero before
	sent      int       // bits per second
	path      string    // that media takes
}

// load returns it.
func (f *figures) load() sessionLoad {
	f.mu.Lock()
	defer f.mu.Unlock()
	return sessionLoad{state: f.life.state, connected: f.connected, sent: f.achieved, path: f.route.Path}
}

// away reports whether the path is lost.
func (f *figures) away() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.life.state == stateDisconnected
}

// missed counts a picture that went to other viewers only.
func (f *figures) missed() {
	f.mu.Lock()
	f.dropped++
	f.mu.Unlock()
}

// setRoute notes the route of media.
func (f *figures) setRoute(r peer.Route) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.route.Path != "" {
		f.met.path.WithLabelValues(f.route.Path).Dec()
	}
	if r.Path != "" {
		f.met.path.WithLabelValues(r.Path).Inc()
	}
	f.route = r
}

// arrivedFirst takes a report of the viewer, and records the session's set-up when it shows the first picture. It
// returns whether it did.
func (f *figures) arrivedFirst(now time.Time, feedback []adapt.Feedback) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.setup.over {
		return false
	}
	for _, report := range feedback {
		if !f.setup.report(report) {
			continue
		}
		f.met.firstFrame.WithLabelValues(firstAcked).Observe(now.Sub(f.setup.begun).Seconds())
		for stage, took := range f.setup.stages(now) {
			f.met.setupStages.WithLabelValues(stage).Observe(took.Seconds())
		}
		return true
	}
	return false
}

// handedOver notes that the pacer has a picture of so many packets. The caller holds mu.
func (f *figures) handedOver(now time.Time, packets int) {
	f.freeze.sent(now)
	if f.setup.sent.IsZero() && packets > 0 {
		f.setup.sent, f.setup.packets = now, packets
		f.met.firstFrame.WithLabelValues(firstSent).Observe(now.Sub(f.setup.begun).Seconds())
	}
}

// steps returns the steps of the set-up so far.
func (f *figures) steps() setup {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.setup
}

// look counts whether the viewer's picture is frozen, and why. Before the first picture it is not: the time to the
// first picture covers that.
func (f *figures) look(now time.Time, d due) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.freeze.last.IsZero() {
		return
	}
	late := f.freeze.late(now, d.ready)
	cause := ""
	switch {
	case d.lost:
		cause = causeHost
	case f.life.state == stateDisconnected, d.stalled:
		cause = causePath
	case f.undelivered == undeliveredRequests:
		cause = causeViewer
	case late && d.crowded():
		cause = causeHost
	case late:
		cause = causePath
	}
	add, begins := f.freeze.step(now, cause)
	if begins {
		f.met.freezes.WithLabelValues(cause).Inc()
	}
	if add > 0 {
		f.met.freezeSeconds.WithLabelValues(cause).Add(add.Seconds())
		f.tally.froze(add)
	}
}

// shortestFreeze is the least duration of what counts as a freeze in the statistics of browsers.
const shortestFreeze = 150 * time.Millisecond

// ViewerReport is what a viewer's own player has counted since the session began.
type ViewerReport struct {
	// Freezes is how often the picture stood although another was due, and Frozen for how long.
	Freezes uint64
	Frozen  time.Duration
}

// report adds what a report has in addition to the reports before. Viewers are not trusted: a session of some age
// cannot have been frozen for longer, or more often.
func (f *figures) report(age time.Duration, r ViewerReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Frozen = min(r.Frozen, age)
	r.Freezes = min(r.Freezes, uint64(age/shortestFreeze))
	if r.Freezes > f.reported.Freezes {
		f.met.viewerFreezes.Add(float64(r.Freezes - f.reported.Freezes))
		f.reported.Freezes = r.Freezes
	}
	if r.Frozen > f.reported.Frozen {
		f.met.viewerFrozen.Add((r.Frozen - f.reported.Frozen).Seconds())
		f.reported.Frozen = r.Frozen
	}
}
