package relay

import "time"

// State says whether a server works. The set is closed.
type State string

// The states. A session uses servers in state unknown like working ones.
const (
	StateUnknown State = "unknown"
	StateUp      State = "up"
	StateDown    State = "down"
)

// States lists all states.
func States() []string { return []string{string(StateUnknown), string(StateUp), string(StateDown)} }

// How often a server is probed. One lost packet is not an outage, so a server counts as down after the third failure in
// a row, and as up after the second success. Between them the probes are frequent: an outage shows after three timeouts
// and two short pauses.
const (
	fallAfter, riseAfter = 3, 2
	whileUp              = 30 * time.Second
	whileDown            = 15 * time.Second
	whileDoubtful        = 2 * time.Second
)

// health is the state machine of one server.
//
//	unknown ──success──▶ up ──3 failures──▶ down
//	   │                  ▲                  │ ▲
//	   └────3 failures────┼──────────────────┼─┘
//	                      └────2 successes───┘
type health struct {
	state    State
	since    time.Time // when the state was entered
	checked  time.Time // end of the newest probe
	contrary int       // probes in a row that contradict the state
	reason   Reason    // why the newest probe failed; empty if it succeeded
	text     string    // the same, for people
	rtt      time.Duration
}

// step adds the result of a probe, and reports whether the state changed.
func (h *health) step(now time.Time, rtt time.Duration, reason Reason, text string) bool {
	h.checked, h.reason, h.text = now, reason, text
	ok := reason == ""
	if ok {
		h.rtt = rtt
	}
	if h.state == StateUp && ok || h.state == StateDown && !ok {
		h.contrary = 0
		return false
	}
	h.contrary++
	next, needed := StateUp, riseAfter
	switch {
	case !ok:
		next, needed = StateDown, fallAfter
	case h.state == StateUnknown:
		needed = 1
	}
	if h.contrary < needed {
		return false
	}
	h.state, h.since, h.contrary = next, now, 0
	return true
}

// pause returns the time until the next probe.
func (h *health) pause() time.Duration {
	switch {
	case h.contrary > 0:
		return whileDoubtful
	case h.state == StateDown:
		return whileDown
	default:
		return whileUp
	}
}
