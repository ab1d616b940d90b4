package session

import (
	"testing"
	"time"

	"wavryhost/session/peer"
)

func TestEveryStateOfTheTransportHasADeadline(t *testing.T) {
	cfg := Config{}.withDefaults()
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	var (
		checking  = facts{}
		reached   = facts{State: peer.State{Reached: true}}
		up        = facts{State: peer.State{Reached: true, Connected: true}}
		down      = facts{}
		iceFailed = facts{State: peer.State{Failed: true}}
		badDTLS   = facts{State: peer.State{Reached: true, Failed: true, HandshakeFailed: true}}
		closed    = facts{State: peer.State{Closed: true}}
	)
	heard := func(f facts, s float64) facts { f.heard = at(s); return f }
	frozen := func(f facts) facts { f.frozen = true; return f }
	type step struct {
		at    float64
		facts facts
		want  verdict
		state string
	}
	connected := step{1, up, verdict{changed: true, handshake: handshakeOK}, stateConnected}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"never reached", []step{
			{9.9, checking, verdict{}, stateConnecting},
			{10, checking, verdict{end: true, why: EndConnectTimeout, handshake: handshakeICETimeout}, stateConnecting},
			{10.1, checking, verdict{end: true, why: EndConnectTimeout}, stateConnecting},
		}},
		{"reached, no handshake", []step{
			{5, reached, verdict{}, stateConnecting},
			{
				10, checking,
				verdict{end: true, why: EndConnectTimeout, handshake: handshakeDTLSTimeout},
				stateConnecting,
			},
		}},
		{"no pair works", []step{
			{3, iceFailed, verdict{end: true, why: EndICEFailed, handshake: handshakeICEFailed}, stateConnecting},
		}},
		{"handshake fails", []step{
			{3, badDTLS, verdict{end: true, why: EndHandshakeFailed, handshake: handshakeDTLSFailed}, stateConnecting},
		}},
		{"closed before it was reached", []step{
			{3, closed, verdict{end: true, why: EndViewerGone, handshake: handshakeAborted}, stateConnecting},
		}},
		{"closed during the handshake", []step{
			{2, reached, verdict{}, stateConnecting},
			{3, closed, verdict{end: true, why: EndHandshakeFailed, handshake: handshakeDTLSFailed}, stateConnecting},
		}},
		{"closed by the " +
			"viewer", []step{connected, {2, closed, verdict{end: true, why: EndViewerGone}, stateConnected}}},
		// ICE notices after 6 s at most, so that these began at 2 s, or earlier.
		{"path lost for good", []step{
			connected,
			{8, down, verdict{changed: true}, stateDisconnected},
			{11.9, down, verdict{}, stateDisconnected},
			{12, iceFailed, verdict{end: true, why: EndICEFailed}, stateDisconnected},
		}},
		{"path back in time", []step{
			connected,
			{8, down, verdict{changed: true}, stateDisconnected},
			{11.9, up, verdict{changed: true}, stateConnected},
			{30, down, verdict{changed: true}, stateDisconnected},
			{33.9, down, verdict{}, stateDisconnected},
		}},
		{"silent from the start", []step{
			connected,
			{30.9, up, verdict{}, stateConnected},
			{31, up, verdict{end: true, why: EndViewerGone}, stateConnected},
		}},
		{"silent after a while", []step{
			connected,
			{20, heard(up, 20), verdict{}, stateConnected},
			{49, heard(up, 20), verdict{}, stateConnected},
			{50, heard(up, 20), verdict{end: true, why: EndViewerGone}, stateConnected},
		}},
		{"silent while nothing is sent", []step{
			connected,
			{100, frozen(up), verdict{}, stateConnected},
			{129, up, verdict{}, stateConnected},
			{130, up, verdict{end: true, why: EndViewerGone}, stateConnected},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife(cfg, start)
			for _, s := range c.steps {
				if got := l.step(at(s.at), s.facts); got != s.want {
					t.Errorf("at %v s got %+v; want %+v", s.at, got, s.want)
				}
				if l.state != s.state {
					t.Errorf("at %v s state %q; want %q", s.at, l.state, s.state)
				}
			}
		})
	}
}
