package session

import (
	"errors"

	"wavryhost/session/admission"
	"wavryhost/session/floor"
	"wavryhost/session/pipeline"
)

// The errors that callers of the Manager branch on. Each comes wrapped with what was wrong.
var (
	// ErrUnknownDisplay: no display has that id.
	ErrUnknownDisplay = errors.New("session: unknown display")
	// ErrUnknownSession: no session has that id, or it has ended.
	ErrUnknownSession = errors.New("session: unknown session")
	// ErrNoPicture: the display exists, but cannot be captured at the moment.
	ErrNoPicture = pipeline.ErrNoPicture
	// ErrFull: the host has no room for another session at the moment.
	ErrFull = admission.ErrFull
	// ErrNoControl: the session cannot control its display.
	ErrNoControl = floor.ErrNoControl
	// ErrDraining: the host takes no new sessions, because it drains, is cordoned or stops.
	ErrDraining = errors.New("session: host takes no new sessions")
)

// The errors and values of reservations, from package admission.
var (
	ErrUnknownReservation = admission.ErrUnknownReservation
	ErrBadReservation     = admission.ErrBadReservation
)

// ErrBadChange means that a session cannot be changed like that.
var ErrBadChange = errors.New("session: change not possible")

// RefusalError says why there is no room for a session. It is an ErrFull.
type RefusalError = admission.RefusalError

// ResourceOwner is the limit on the sessions of one owner, as a RefusalError names it.
const ResourceOwner = string(admission.PerOwner)
