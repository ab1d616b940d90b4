package session

import (
	"slices"

	"wavryhost/adapt"
	"wavryhost/session/admission"
	"wavryhost/session/codec"
	"wavryhost/session/floor"
	"wavryhost/session/hoststate"
	"wavryhost/session/pipeline"
	"wavryhost/session/progress"
	"wavryhost/session/relay"
)

// EventShape says which fields of an EventRecord the events of a kind have, beside id, at and kind.
type EventShape struct {
	// Required are the fields that each event has, and Optional the others that it may have.
	Required, Optional []string
	// Reasons is the closed set of the field reason; nil if there is none.
	Reasons []string
}

// EventShapes returns the shape of each kind of event.
func EventShapes() map[EventKind]EventShape {
	ofSession := func(more ...string) []string { return append([]string{"session", "display"}, more...) }
	shapes := map[EventKind]EventShape{
		EventCreated:      {Required: ofSession()},
		EventConnected:    {Required: ofSession()},
		EventDisconnected: {Required: ofSession()},
		EventEnded: {
			Required: ofSession("reason"), Reasons: words(EndReasons()),
			Optional: []string{"note", "error", "totals"},
		},
		EventQuality: {Required: ofSession("reason", "transition"), Reasons: words(adapt.Reasons())},
		EventDisplayLost: {
			Required: []string{"display", "reason"}, Optional: []string{"error"}, Reasons: words(pipeline.LostReasons()),
		},
		EventDisplayBack:   {Required: []string{"display"}},
		EventDisplayPolled: {Required: []string{"display"}},
		EventDisplayResized: {
			Required: []string{"display", "from", "to"}, Optional: []string{"session"},
		},
		EventEncoderFallback: {
			Required: []string{"display", "reason"}, Optional: []string{"from", "to", "error"},
			Reasons: words(pipeline.FallbackReasons()),
		},
		EventEncoding:        {Required: ofSession("reason", "from", "to"), Reasons: encodingMoves},
		EventCodec:           {Required: ofSession("reason", "from", "to"), Reasons: codec.Reasons()},
		EventChanged:         {Required: ofSession()},
		EventMove:            {Required: ofSession()},
		EventEnding:          {Required: ofSession("reason", "to"), Reasons: hoststate.EndingReasons()},
		EventHandshakeFailed: {Required: ofSession("reason"), Optional: []string{"error"}, Reasons: handshakeResults},
		EventReserved:        {Required: []string{"display", "reservation"}},
		EventReservationEnded: {
			Required: []string{"display", "reservation", "reason"}, Optional: []string{"session"}, Reasons: admission.Ends(),
		},
		EventRefused:  {Required: []string{"reason"}, Optional: []string{"display", "error"}, Reasons: refusedReasons},
		EventEncoders: {Optional: []string{"to"}},
		EventConfiguration: {
			Required: []string{"reason"}, Optional: []string{"error"}, Reasons: configOutcomes,
		},
		EventShed: {Required: []string{"display", "reason", "from", "to"}, Reasons: []string{string(admission.CPU)}},
		EventDrain: {
			Required: []string{"reason"}, Optional: []string{"owner", "note"}, Reasons: words(hoststate.DrainPolicies()),
		},
		EventCordon:   {Optional: []string{"owner", "note"}},
		EventUncordon: {Required: []string{"reason"}, Reasons: hoststate.CordonEnds()},
		EventDrained:  {},
		EventResume:   {},
		EventState: {
			Required: []string{"from", "to", "reason"},
			Reasons:  slices.Concat(hoststate.Reasons(), words(pipeline.Healths()[1:])),
		},
		EventRelayDown: {Required: []string{"server", "reason"}, Optional: []string{"error"}, Reasons: relay.Reasons()},
		EventRelayUp:   {Required: []string{"server"}},
		EventPath:      {Required: ofSession("from", "to")},
		EventUndelivered: {
			Required: ofSession("reason"), Reasons: undeliveredReasons,
		},
		EventControl: {
			Required: []string{"display", "reason"}, Optional: []string{"session", "from", "to"}, Reasons: floor.Reasons(),
		},
		EventInputRefused: {Required: ofSession("reason"), Reasons: floor.ChannelRefusals()},
		EventPacketSize:   {Required: ofSession("to")},
		EventLoopStalled:  {Required: []string{"reason"}, Optional: []string{"error"}, Reasons: progress.Kinds()},
		EventLoopResumed:  {Required: []string{"reason"}, Reasons: progress.Kinds()},
		EventStarted:      {Required: []string{"reason"}, Reasons: Exits()},
		EventDefault:      {Required: []string{"display"}, Optional: []string{"from", "to"}},
	}
	// Events of sessions and reservations have their names.
	for kind, s := range shapes {
		all := slices.Concat(s.Required, s.Optional)
		if slices.Contains(all, "session") || slices.Contains(all, "reservation") {
			s.Optional = append(s.Optional, "subject", "external_id", "labels")
			shapes[kind] = s
		}
	}
	return shapes
}
