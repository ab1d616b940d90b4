package session

import (
	"errors"
	"time"
)

// deliverWithin is how long after the connection the first picture may take to be there.
const deliverWithin = 5 * time.Second

// errNoHandshake explains a handshake timeout: checks of ICE are small packets, and packets of DTLS are large.
var errNoHandshake = errors.New("ICE found a path that DTLS does not pass: it drops large packets (a small MTU, " +
	"and no ICMP), or a firewall drops DTLS")

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
