package session

import (
	"time"

	"github.com/pion/webrtc/v4"
)

// life is the state machine of a session's transport. Every state has a deadline.
//
//	connecting ──▶ connected ◀──▶ disconnected
//	    │              │               │
//	    └──────────────┴───────────────┴──▶ end
//
// A viewer that vanishes without a word (killed, out of power, its network gone) is told from one whose path is away for a moment by
// nothing but time. It is disconnected when ICE has heard nothing for iceSilence; media to it stops then, and its place is kept until nothing was heard for the whole of the disconnect timeout. So no session outlives its
// viewer by more than that, and an outage that is shorter costs a keyframe. After a longer one the viewer opens another session, as the
// viewer page does by itself.
type life struct {
	connect, disconnect, silence time.Duration // the deadlines

	state   string
	since   time.Time // when the state was entered
	quiet   time.Time // nothing was heard from the viewer since then
	reached bool      // ICE has connected at least once
	judged  bool      // the handshake has a result
}

// iceSilence is how long ICE hears nothing from a viewer, whom it asks each iceAsks, until it counts as disconnected. It looks as often as
// it asks, so that the viewer may have been silent for both.
const (
	iceSilence = 5 * time.Second
	iceAsks    = time.Second
)

// facts is what pion tells of a session's transport at one moment. Its callbacks come in no particular order, so they are taken
// as hints to look.
type facts struct {
	conn webrtc.PeerConnectionState
	ice  webrtc.ICEConnectionState
	dtls webrtc.DTLSTransportState
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
	if f.ice == webrtc.ICEConnectionStateConnected || f.ice == webrtc.ICEConnectionStateCompleted {
		l.reached = true
	}
	gone := f.conn == webrtc.PeerConnectionStateClosed || f.dtls == webrtc.DTLSTransportStateClosed
	if l.state == stateConnecting {
		v := l.connecting(now, f, gone)
		if l.judged {
			v.handshake = ""
		}
		l.judged = l.judged || v.handshake != ""
		return v
	}
	if gone || f.dtls == webrtc.DTLSTransportStateFailed {
		return verdict{end: true, why: EndViewerGone}
	}
	up := f.conn == webrtc.PeerConnectionStateConnected
	switch {
	case l.state == stateConnected && !up:
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
	case up:
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
func (l *life) grace() time.Duration { return max(0, l.disconnect-iceSilence-iceAsks) }

func (l *life) connecting(now time.Time, f facts, gone bool) verdict {
	switch {
	case f.conn == webrtc.PeerConnectionStateConnected:
		l.enter(stateConnected, now)
		return verdict{changed: true, handshake: handshakeOK}
	case gone && !l.reached:
		return verdict{end: true, why: EndViewerGone, handshake: handshakeAborted}
	case gone, f.dtls == webrtc.DTLSTransportStateFailed: // either side gave the handshake up
		return verdict{end: true, why: EndHandshakeFailed, handshake: handshakeDTLSFailed}
	case f.conn == webrtc.PeerConnectionStateFailed:
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
