package session

import (
	"errors"
	"time"
)

// Why a session that is connected shows nothing, as far as this host can tell. The set is closed.
const (
	// undeliveredNoPicture: no picture was sent.
	undeliveredNoPicture = "no_picture"
	// undeliveredUnpacked: pictures are made, and nothing of them can be put into packets; undeliveredUnsent: the
	// transport takes none of the packets.
	undeliveredUnpacked = "not_packetized"
	undeliveredUnsent   = "not_sent"
	// undeliveredNoFeedback: nothing was heard of the viewer since it connected.
	undeliveredNoFeedback = "no_feedback"
	// undeliveredRequests: the viewer asks for keyframes again and again, as one does who cannot decode what arrives.
	undeliveredRequests = "keyframe_requests"
)

var undeliveredReasons = []string{
	undeliveredNoPicture, undeliveredUnpacked, undeliveredUnsent,
	undeliveredNoFeedback, undeliveredRequests,
}

const (
	// deliverWithin is how long after the connection the first picture may take to be there.
	deliverWithin = 5 * time.Second
	// manyRequests within requestsWithin are more than a path makes that carries a picture: pages ask once a second at
	// most while they have none.
	manyRequests, requestsWithin = 5, 10 * time.Second
)

// errNoHandshake explains a handshake timeout: checks of ICE are small packets, and packets of DTLS are large.
var errNoHandshake = errors.New("ICE found a path that DTLS does not pass: it drops large packets (a small MTU, " +
	"and no ICMP), or a firewall drops DTLS")

// requests are the newest keyframe requests of a viewer.
type requests struct {
	at   [manyRequests]time.Time
	next int
}

func (r *requests) note(now time.Time) {
	r.at[r.next] = now
	r.next = (r.next + 1) % manyRequests
}

// many reports whether as many came lately.
func (r *requests) many(now time.Time) bool {
	oldest := r.at[r.next]
	return !oldest.IsZero() && now.Sub(oldest) < requestsWithin
}

// deliver looks once a second whether pictures reach the viewer, and makes it known when they begin not to.
func (v *viewer) deliver(now time.Time) {
	many := v.adaptation.manyRequests(now)
	frozen, heard := v.sub.feed().frozen(), v.heard.get()
	v.mu.Lock()
	reason := ""
	switch {
	case frozen || v.life.state != stateConnected:
	case v.mute != "":
		reason = v.mute
	case now.Sub(v.life.since) < deliverWithin:
	case v.keys == 0:
		reason = undeliveredNoPicture
	case heard.Before(v.life.since):
		reason = undeliveredNoFeedback
	case many:
		reason = undeliveredRequests
	}
	before := v.undelivered
	v.undelivered = reason
	v.mu.Unlock()
	if reason == "" || before != "" {
		return
	}
	v.met.undelivered.WithLabelValues(reason).Inc()
	event := v.emit(Event{Kind: EventUndelivered, Session: v.id, Display: v.sub.display(), Reason: reason})
	v.log.Warn("session is connected and shows nothing", "event", event, "reason", reason)
}
