package session

import (
	"time"

	"wavryhost/session/admission"
	"wavryhost/session/enum"
)

// EventKind is what happened. The set is closed.
type EventKind uint8

// The kinds of events.
const (
	// EventCreated: a session was created and waits for its viewer to connect.
	EventCreated EventKind = iota
	// EventConnected: media can flow.
	EventConnected
	// EventDisconnected: the path was lost; the session waits for it.
	EventDisconnected
	// EventEnded: the session is gone and everything it held is released.
	EventEnded
	// EventQuality: the quality state changed.
	EventQuality
	// EventDisplayLost: a display with viewers went away, or does not answer any more.
	EventDisplayLost
	// EventDisplayBack: it came back.
	EventDisplayBack
	// EventDisplayPolled: a display does not report all that changes, so it is polled.
	EventDisplayPolled
	// EventDisplayResized: a viewer or an operator changed the size of a display.
	EventDisplayResized
	// EventEncoderFallback: an encoder erred or hung and is replaced.
	EventEncoderFallback
	// EventEncoding: a session moved to another encoding.
	EventEncoding
	// EventCodec: a session gets another codec.
	EventCodec
	// EventChanged: a session's ceiling, weight or display was changed from outside.
	EventChanged
	// EventMove: a session should be moved to another host, because this one drains.
	EventMove
	// EventEnding: the end of a session is planned, because the host drains, or was postponed.
	EventEnding
	// EventHandshakeFailed: a session's viewer could not connect.
	EventHandshakeFailed
	// EventReserved: a place is kept for a session to come.
	EventReserved
	// EventReservationEnded: it was used, given back, or has expired.
	EventReservationEnded
	// EventRefused: a session or a reservation was refused. There is at most one event a second for each reason.
	EventRefused
	// EventEncoders: the encoders were tried anew.
	EventEncoders
	// EventConfiguration: the configuration was changed, or a change was refused, taken back or confirmed.
	EventConfiguration
	// EventShed: the sessions of a display were lowered because the host is saturated, or raised again.
	EventShed
	// EventDrain: the host takes no new sessions.
	EventDrain
	// EventCordon: an operator has made the host take no new sessions.
	EventCordon
	// EventUncordon: a cordon was ended, or its time is over.
	EventUncordon
	// EventDrained: the last session of a host that drains is gone.
	EventDrained
	// EventResume: the host takes sessions again.
	EventResume
	// EventState: the host's state changed.
	EventState
	// EventRelayDown: a STUN or TURN server does not work, and sessions to come use another.
	EventRelayDown
	// EventRelayUp: it works again.
	EventRelayUp
	// EventPath: a session's media takes another path.
	EventPath
	// EventUndelivered: a session is connected, and its viewer shows nothing.
	EventUndelivered
	// EventControl: another session controls a display, or none does.
	EventControl
	// EventInputRefused: a session's data channel was closed at once. There is one event a session at most.
	EventInputRefused
	// EventPacketSize: a session's large packets do not arrive, and smaller ones are sent.
	EventPacketSize
	// EventLoopStalled: a loop of the daemon makes no progress.
	EventLoopStalled
	// EventLoopResumed: it progresses again.
	EventLoopResumed
	// EventStarted: the daemon has started.
	EventStarted
	// EventDefault: viewers who ask for no display get another one from here on.
	EventDefault
)

var eventKinds = [...]string{
	EventCreated:          "session_created",
	EventConnected:        "session_connected",
	EventDisconnected:     "session_disconnected",
	EventEnded:            "session_ended",
	EventQuality:          "quality_changed",
	EventDisplayLost:      "display_lost",
	EventDisplayBack:      "display_back",
	EventDisplayPolled:    "display_polled",
	EventDisplayResized:   "display_resized",
	EventEncoderFallback:  "encoder_fallback",
	EventEncoding:         "encoding_changed",
	EventCodec:            "codec_changed",
	EventChanged:          "session_changed",
	EventMove:             "session_move",
	EventEnding:           "session_ending",
	EventHandshakeFailed:  "handshake_failed",
	EventReserved:         "reserved",
	EventReservationEnded: "reservation_ended",
	EventRefused:          "refused",
	EventEncoders:         "encoders_tried",
	EventConfiguration:    "configuration",
	EventShed:             "load_shedding",
	EventDrain:            "drain",
	EventCordon:           "cordon",
	EventUncordon:         "uncordon",
	EventDrained:          "drained",
	EventResume:           "resume",
	EventState:            "host_state",
	EventRelayDown:        "relay_down",
	EventRelayUp:          "relay_up",
	EventPath:             "path_changed",
	EventUndelivered:      "session_undelivered",
	EventControl:          "control_changed",
	EventInputRefused:     "input_refused",
	EventPacketSize:       "packet_size",
	EventLoopStalled:      "loop_stalled",
	EventLoopResumed:      "loop_resumed",
	EventStarted:          "started",
	EventDefault:          "default_display",
}

// EventKinds lists all kinds of events.
func EventKinds() []EventKind { return enum.All[EventKind](eventKinds[:]) }

func (k EventKind) String() string { return enum.Name(eventKinds[:], k) }

// Names are what clients call a session or reservation: its subject, and the client's own ID and labels of it.
type Names struct {
	Subject    string
	ExternalID string
	Labels     admission.Labels
}

// namesOf returns the names of a reservation.
func namesOf(l admission.Reservation) Names {
	labels, _ := admission.ParseLabels(l.Labels) // they were valid when the place was reserved
	return Names{Subject: l.Subject, ExternalID: l.ExternalID, Labels: labels}
}

// Event is one change of state. Its log record carries the same ID.
type Event struct {
	// ID grows by 1 with each event of a Manager; see journal.begin.
	ID   uint64
	At   time.Time
	Kind EventKind
	// Server is the URL of the STUN or TURN server that it is about.
	Server string
	// Session, Display and Reservation are what it is about, empty where that has no meaning.
	Session, Display, Reservation string
	// Reason is one of the closed set that goes with Kind: an EndReason, an adapt.Reason, why an encoder was replaced,
	// whether the other encoding is faster or slower, whether a display has gone or hangs, why control changed hands
	// or a data channel was refused, a DrainPolicy, why the host is degraded, the
	// kind of a loop, or how the previous daemon ended.
	Reason string
	// Note is what the operator said who ended the session, cordoned the host or drained it. Owner is that operator's
	// name, for a cordon or drain.
	Note, Owner string
	// From and To are the encoders of EventEncoderFallback, To being empty when none is left, the encodings of
	// EventEncoding, the codecs of EventCodec, the states of EventState, the paths of EventPath, the displays of
	// EventDefault, the sizes of EventDisplayResized, the size in bytes (To) of EventPacketSize, the time (To) of
	// EventEnding, or the ids of the sessions of EventControl.
	From, To string
	// Err is what went wrong, where something did.
	Err error
	// Transition is set with EventQuality.
	Transition *TransitionRecord
	// Names are the client's names of the session or reservation.
	Names
	// Totals is set with EventEnded.
	Totals *Totals
}
