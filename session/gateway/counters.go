package gateway

import (
	"errors"
	"fmt"

	"wavryhost/session"
	"wavryhost/session/peer"
)

// Counters are told what the link does. They are called by several goroutines at a time and must not block.
type Counters interface {
	// State is told each state that the link enters.
	State(s State)
	// Failure is told why an attempt failed or a connection ended.
	Failure(c Class)
	// Received and Sent are called for each message.
	Received(k Kind)
	Sent(k Kind)
	// Offer is told what became of an offer.
	Offer(r Result)
	// Dropped is called for each unused message, with the reason.
	Dropped(d Drop)
}

// uncounted is for links that nobody counts.
type uncounted struct{}

var _ Counters = uncounted{}

func (uncounted) State(State)   {}
func (uncounted) Failure(Class) {}
func (uncounted) Received(Kind) {}
func (uncounted) Sent(Kind)     {}
func (uncounted) Offer(Result)  {}
func (uncounted) Dropped(Drop)  {}

// Result is what became of an offer. The set is closed: it labels a metric.
type Result uint8

// The results of offers.
const (
	// ResultAnswered: a session was created and its answer is on its way.
	ResultAnswered Result = iota
	// ResultNotAllowed: the user is not on the list.
	ResultNotAllowed
	// ResultRate: the user offers too often.
	ResultRate
	// ResultTooMany: the user has as many running sessions as one may have.
	ResultTooMany
	// ResultFull and ResultDraining: the host takes no session.
	ResultFull
	ResultDraining
	// ResultMalformed and ResultUnacceptable: the description is not one, or nothing can be sent to who made it.
	ResultMalformed
	ResultUnacceptable
	// ResultNoPicture: there is no display, or it has no picture.
	ResultNoPicture
	// ResultUndelivered: the answer could not be handed on; the session was ended.
	ResultUndelivered
	// ResultError: something else is wrong; the log has it.
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

// resultOf returns what became of an offer that the session manager refused.
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

// Drop is why a message was not used. The set is closed: it labels a metric.
type Drop uint8

// The reasons to drop a message.
const (
	// DropMalformed: it cannot be read, or says what cannot be.
	DropMalformed Drop = iota
	// DropBinary: it is a binary frame, which carries Wavry's own input protocol.
	DropBinary
	// DropNotAllowed: it is a candidate of a user who is not on the list.
	DropNotAllowed
	// DropUnexpected: a host has no use for it, or there is no session that it could belong to.
	DropUnexpected
	// DropCallers: as many users call as are taken at a time.
	DropCallers
	// DropBusy: its user sends faster than the host works.
	DropBusy
	// DropOutbox: as many messages wait to be sent as may wait.
	DropOutbox
	// DropStale: it waited for a connection until it was of no use.
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
