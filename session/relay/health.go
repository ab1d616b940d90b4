package relay

import "time"

// State is whether a server works. The set is closed.
type State string

// The states. One that is unknown is used like one that is up.
const (
	StateUnknown State = "unknown"
	StateUp      State = "up"
	StateDown    State = "down"
)

// States lists all states.
func States() []string { return []string{string(StateUnknown), string(StateUp), string(StateDown)} }

// How often a server is probed. One lost packet is not an outage, so a server falls at the third failure in a row, and one that
// flaps rises at the second success; in between it is probed soon, so that an outage shows after three timeouts and two short pauses.
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
	checked  time.Time // when the newest probe ended
	contrary int       // probes in a row that speak against the state
	reason   Reason    // what the newest probe failed by, empty when it did not
	text     string    // the same for people
	rtt      time.Duration
}

// step takes the result of a probe, and tells whether the state changed.
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

// pause is how long after a probe the next one is due.
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
