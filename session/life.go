package session

import (
	"time"

	"wavryhost/session/peer"
)

// life is the state machine of a session's transport. Every state has a deadline.
//
//	connecting ──▶ connected ◀──▶ disconnected
//	    │              │               │
//	    └──────────────┴───────────────┴──▶ end
//
// A vanished viewer and a short outage look alike; only a timeout tells them apart. A session is disconnected when ICE
// has heard nothing for a while. Media stops then, and the session is kept until nothing was heard for the whole
// disconnect timeout. No session outlives its viewer by more than that. A shorter outage costs a keyframe. After a
// longer one the viewer opens another session, as the viewer page does.
type life struct {
	connect, disconnect, silence time.Duration // the deadlines

	state   string
	since   time.Time // when the state was entered
	quiet   time.Time // nothing was heard from the viewer since then
	reached bool      // ICE has connected at least once
	judged  bool      // the handshake has a result
}

// facts is the state of a session's transport at one moment.
type facts struct {
	peer.State
	// heard is when RTCP came last.
	heard time.Time
	// frozen: nothing is sent, so nothing can be expected back.
	frozen bool
}

// verdict is what follows from the facts.
type verdict struct {
	// changed: the state is another than before.
	changed bool
	// handshake is its result, when it is over with this step; else empty.
	handshake string
	// end: the session ends, with reason why.
	end bool
	why EndReason
}

func newLife(cfg Config, now time.Time) life {
	return life{
		connect: cfg.ConnectTimeout, disconnect: cfg.DisconnectTimeout, silence: cfg.SilenceTimeout,
		state: stateConnecting, since: now,
	}
}

func (l *life) step(now time.Time, f facts) verdict {
	l.reached = l.reached || f.Reached
	if l.state == stateConnecting {
		v := l.connecting(now, f)
		if l.judged {
			v.handshake = ""
		}
		l.judged = l.judged || v.handshake != ""
		return v
	}
	if f.Closed || f.HandshakeFailed {
		return verdict{end: true, why: EndViewerGone}
	}
	switch {
	case l.state == stateConnected && !f.Connected:
		l.enter(stateDisconnected, now)
		return verdict{changed: true}
	case l.state == stateConnected:
		if f.frozen || f.heard.After(l.quiet) {
			l.quiet = now
			if !f.frozen {
				l.quiet = f.heard
			}
		}
		if now.Sub(l.quiet) >= l.silence {
			return verdict{end: true, why: EndViewerGone}
		}
	case f.Connected:
		l.enter(stateConnected, now)
		return verdict{changed: true}
	case now.Sub(l.since) >= l.grace():
		return verdict{end: true, why: EndICEFailed}
	}
	return verdict{}
}

// renew begins the wait of a session that is disconnected anew: its viewer has shown itself, to restart ICE.
func (l *life) renew(now time.Time) {
	if l.state == stateDisconnected {
		l.since = now
	}
}

// grace is how long a session stays disconnected at most: what is left of the timeout when that is noticed.
func (l *life) grace() time.Duration { return max(0, l.disconnect-peer.DetectionTime) }

func (l *life) connecting(now time.Time, f facts) verdict {
	switch {
	case f.Connected:
		l.enter(stateConnected, now)
		return verdict{changed: true, handshake: handshakeOK}
	case f.Closed && !l.reached:
		return verdict{end: true, why: EndViewerGone, handshake: handshakeAborted}
	case f.Closed, f.HandshakeFailed: // either side gave the handshake up
		return verdict{end: true, why: EndHandshakeFailed, handshake: handshakeDTLSFailed}
	case f.Failed:
		return verdict{end: true, why: EndICEFailed, handshake: handshakeICEFailed}
	case now.Sub(l.since) < l.connect:
		return verdict{}
	case l.reached:
		return verdict{end: true, why: EndConnectTimeout, handshake: handshakeDTLSTimeout}
	default:
		return verdict{end: true, why: EndConnectTimeout, handshake: handshakeICETimeout}
	}
}

func (l *life) enter(state string, now time.Time) {
	l.state, l.since, l.quiet = state, now, now
}
