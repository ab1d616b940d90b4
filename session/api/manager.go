package api

import (
	"context"
	"io"
	"time"

	"wavryhost/session"
	"wavryhost/session/admission"
	"wavryhost/session/hoststate"
	"wavryhost/session/relay"
)

// manager is what the API uses of session.Manager, by resource. Each handler gets only the interface of its resource.
type manager interface {
	hostManager
	sessionManager
	reservationManager
	eventManager

	// WHEP opens and restarts sessions; see package whep.
	Create(ctx context.Context, o session.Offer) (session.Answer, error)
	Patch(ctx context.Context, id, ifMatch, fragment string) (session.Patched, error)
	End(ctx context.Context, id string, why session.EndReason, note string) error
	TakesInput(ctx context.Context, display string, r session.Role) bool

	Revoke(issuer, grant, subject string) int
}

// hostManager is the host: its displays, capacity and state.
type hostManager interface {
	Host() session.Host
	Capacity(profiles ...admission.Profile) []admission.Capacity
	Resize(ctx context.Context, r session.Resize) error
	SetProbation(on bool)
	Drain(o hoststate.DrainOrder) hoststate.DrainStatus
	Draining() (hoststate.DrainStatus, bool)
	Resume()
	Cordon(o hoststate.CordonOrder) hoststate.CordonStatus
	Uncordon()
	RetryAfter() time.Duration
}

// sessionManager is the sessions that exist.
type sessionManager interface {
	Sessions() []session.Snapshot
	Session(id string) (session.Snapshot, error)
	End(ctx context.Context, id string, why session.EndReason, note string) error
	Change(ctx context.Context, id string, c session.Change) (session.Snapshot, error)
	RequestKeyframe(id string) error
	WriteRecording(id string, w io.Writer) error
	Postpone(id string, by time.Duration) error
	ReportViewer(id string, r session.ViewerReport) error
	SetControl(id string, on bool) (session.Snapshot, error)
	Resize(ctx context.Context, r session.Resize) error
}

// reservationManager is the reservations.
type reservationManager interface {
	Reserve(ctx context.Context, r admission.ReservationRequest) (admission.Reservation, error)
	List() []admission.Reservation
	Reservation(id string) (admission.Reservation, error)
	Renew(id string, hold time.Duration) (admission.Reservation, error)
	Release(id string) error
	Inherit(ctx context.Context, list []admission.Reservation) error
	ICEServers(region, user string, last time.Time) []relay.Server
}

// eventManager is the journal of events.
type eventManager interface {
	Events(after uint64) (list []session.EventRecord, lost bool, more <-chan struct{})
	LastEvent() uint64
	Session(id string) (session.Snapshot, error)
}

// Parts joins the parts of a session.Manager that the API serves.
type Parts struct {
	*session.Manager
	*session.HostState
	*session.Journal
	*session.Reservations
}

var _ manager = Parts{}

// PartsOf returns the parts of a Manager.
func PartsOf(m *session.Manager) Parts {
	return Parts{Manager: m, HostState: m.HostState(), Journal: m.Journal(), Reservations: m.Reservations()}
}
