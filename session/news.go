package session

import (
	"slices"

	"wavryhost/session/lockorder"
	"wavryhost/session/pipeline"
)

// news sums up the events that the state of the host depends on and has not seen yet: none is ever left out. Events
// are emitted with other locks held, so they cannot take the registry's.
type news struct {
	mu             lockorder.Mutex[newsLock]
	served, failed bool // since the last look; served: after the last failure
}

func (n *news) put(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case e.Kind == EventConnected:
		n.served = true
	case failure(e):
		n.served, n.failed = false, true
	}
}

func (n *news) take() (served, failed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	served, failed = n.served, n.failed
	n.served, n.failed = false, false
	return served, failed
}

// failure reports whether an event says that the host did not serve a viewer as it should.
func failure(e Event) bool {
	switch e.Kind {
	case EventEncoderFallback, EventDisplayLost:
		// What is full works.
		return e.Reason != pipeline.FallbackFull.String() && e.Reason != pipeline.FallbackSize.String()
	case EventEnded:
		return slices.Contains([]string{
			EndHandshakeFailed.String(), EndConnectTimeout.String(),
			EndICEFailed.String(), EndError.String(),
		}, e.Reason)
	default:
		return false
	}
}
