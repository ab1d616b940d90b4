package gateway

import (
	"errors"
	"fmt"

	"wavryhost/session"
	"wavryhost/session/peer"
)

// Counters counts what the link does. Several goroutines call it at the same time, and it must not block.
type Counters interface {
	// State is called for each state that the link enters.
	State(s State)
	// Failure is called for each failed attempt and each ended connection.
	Failure(c Class)
	// Received and Sent are called for each message.
	Received(k Kind)
	Sent(k Kind)
	// Offer is called with the result of each offer.
	Offer(r Result)
	// Dropped is called for each message that was not used.
	Dropped(d Drop)
}

// uncounted counts nothing.
type uncounted struct{}

var _ Counters = uncounted{}

func (uncounted) State(State)   {}
func (uncounted) Failure(Class) {}
func (uncounted) Received(Kind) {}
func (uncounted) Sent(Kind)     {}
func (uncounted) Offer(Result)  {}
func (uncounted) Dropped(Drop)  {}

// Result is the result of an offer. The set is closed: it labels a metric.
type Result uint8

// The results of offers.
const (
	// ResultAnswered: a session was created, and its answer was queued.
	ResultAnswered Result = iota
	// ResultNotAllowed: the user is not on the list.
	ResultNotAllowed
	// ResultRate: the user sends offers too often.
	ResultRate
	// ResultTooMany: the user has the maximum number of sessions.
	ResultTooMany
	// ResultFull and ResultDraining: the host accepts no session.
	ResultFull
	ResultDraining
	// ResultMalformed and ResultUnacceptable: the offer is not a session description, or cannot be answered.
	ResultMalformed
	ResultUnacceptable
	// ResultNoPicture: there is no display, or it has no picture.
	ResultNoPicture
	// ResultUndelivered: the answer could not be queued; the session was ended.
	ResultUndelivered
	// ResultError: another error, which the log has.
	ResultError
)

// Results lists all results of offers.
func Results() []Result {
	return []Result{
		ResultAnswered, ResultNotAllowed, ResultRate, ResultTooMany, ResultFull, ResultDraining, ResultMalformed,
		ResultUnacceptable, ResultNoPicture, ResultUndelivered, ResultError,
	}
}

func (r Result) String() string {
	switch r {
	case ResultAnswered:
		return "answered"
	case ResultNotAllowed:
		return "not_allowed"
	case ResultRate:
		return "rate"
	case ResultTooMany:
		return "too_many"
	case ResultFull:
		return "full"
	case ResultDraining:
		return "draining"
	case ResultMalformed:
		return "malformed"
	case ResultUnacceptable:
		return "unacceptable"
	case ResultNoPicture:
		return "no_picture"
	case ResultUndelivered:
		return "undelivered"
	case ResultError:
		return "error"
	default:
		return fmt.Sprintf("result(%d)", uint8(r))
	}
}

// resultOf returns the result of an offer that the session manager refused.
func resultOf(err error) Result {
	switch {
	case errors.Is(err, session.ErrFull):
		if r, ok := errors.AsType[*session.RefusalError](err); ok && r.Resource == session.ResourceOwner {
			return ResultTooMany
		}
		return ResultFull
	case errors.Is(err, session.ErrDraining):
		return ResultDraining
	case errors.Is(err, peer.ErrBadOffer):
		return ResultMalformed
	case errors.Is(err, peer.ErrUnacceptable):
		return ResultUnacceptable
	case errors.Is(err, session.ErrNoPicture), errors.Is(err, session.ErrUnknownDisplay):
		return ResultNoPicture
	default:
		return ResultError
	}
}

// Drop is the reason for dropping a message. The set is closed: it labels a metric.
type Drop uint8

// The reasons to drop a message.
const (
	// DropMalformed: it cannot be parsed, or has invalid content.
	DropMalformed Drop = iota
	// DropBinary: it is a binary frame, which Wavry's own input protocol uses.
	DropBinary
	// DropNotAllowed: it is a candidate of a user who is not on the list.
	DropNotAllowed
	// DropUnexpected: a host does not expect it, or its session does not exist.
	DropUnexpected
	// DropCallers: the maximum number of users is reached.
	DropCallers
	// DropBusy: its user sends faster than the host handles messages.
	DropBusy
	// DropOutbox: the outbox is full.
	DropOutbox
	// DropStale: it has waited too long for a connection.
	DropStale
)

// Drops lists all reasons to drop a message.
func Drops() []Drop {
	return []Drop{
		DropMalformed, DropBinary, DropNotAllowed, DropUnexpected, DropCallers, DropBusy, DropOutbox, DropStale,
	}
}

func (d Drop) String() string {
	switch d {
	case DropMalformed:
		return "malformed"
	case DropBinary:
		return "binary"
	case DropNotAllowed:
		return "not_allowed"
	case DropUnexpected:
		return "unexpected"
	case DropCallers:
		return "callers"
	case DropBusy:
		return "busy"
	case DropOutbox:
		return "outbox"
	case DropStale:
		return "stale"
	default:
		return fmt.Sprintf("drop(%d)", uint8(d))
	}
}
