package session

import (
	"errors"
	"log/slog"
	"time"

	"wavryhost/session/lockorder"
	"wavryhost/session/peer"
)

// refusedBecause returns the reason of the closed set for an error.
func refusedBecause(err error) string {
	switch {
	case errors.Is(err, ErrFull):
		return refusedFull
	case errors.Is(err, ErrDraining):
		return refusedDraining
	case errors.Is(err, peer.ErrBadOffer), errors.Is(err, ErrBadChange): // a ceiling or weight out of its range
		return refusedMalformed
	case errors.Is(err, peer.ErrUnacceptable):
		return refusedUnacceptable
	case errors.Is(err, ErrUnknownDisplay):
		return refusedUnknownDisplay
	case errors.Is(err, ErrNoPicture):
		return refusedNoPicture
	case errors.Is(err, peer.ErrNoNetwork):
		return refusedNoNetwork
	case errors.Is(err, ErrUnknownReservation), errors.Is(err, ErrBadReservation):
		return refusedReservation
	default:
		return refusedError
	}
}

// refusal returns the trace of a refused offer.
func refusal(now time.Time, o Offer, display string, err error) Span {
	reason := refusedBecause(err)
	root := Span{
		Name: spanSetup, Start: o.begun, End: now, Reason: reason, Err: err, Parent: o.TraceParent,
		Parts: []Span{{Name: stageOffer, Start: o.begun, End: now, Reason: reason, Err: err}},
	}
	if display != "" {
		root.Attrs = []slog.Attr{slog.String(attrDisplay, display)}
	}
	return root
}

// refusals makes refused offers known. It lets one event of each reason through in a second: a flood of requests must
// not push all others out of the journal.
type refusals struct {
	log  *slog.Logger
	met  *Metrics
	emit func(Event) uint64
	// open reports whether a display is captured.
	open func(display string) bool

	mu   lockorder.Mutex[refusalsLock]
	last map[string]time.Time
}

// tell makes known that a session, or a place for one, was refused. It returns whether it emitted an event.
func (r *refusals) tell(err error, display string) bool {
	reason := refusedBecause(err)
	r.met.refused.WithLabelValues(reason).Inc()
	resource := ""
	if one, ok := errors.AsType[*RefusalError](err); ok {
		resource = one.Resource
		r.met.refusals.WithLabelValues(resource).Inc()
	}
	if !r.due(time.Now(), reason) {
		return false
	}
	detail := reason
	if resource != "" {
		detail = resource
	}
	event := r.emit(Event{Kind: EventRefused, Display: r.known(display), Reason: reason, Err: err})
	r.log.Info("session refused", "event", event, "reason", detail, "err", err)
	return true
}

// due reports whether an event of a reason may be emitted.
func (r *refusals) due(now time.Time, reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last[reason]) < time.Second {
		return false
	}
	r.last[reason] = now
	return true
}

// known returns the display's ID where there is such a display: what a client sent is not repeated.
func (r *refusals) known(display string) string {
	if r.open(display) {
		return display
	}
	return ""
}
