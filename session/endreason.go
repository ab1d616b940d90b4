package session

import "wavryhost/session/enum"

// EndReason is why a session ended. The set is closed: it labels a metric.
type EndReason uint8

// The reasons for an end.
const (
	// EndDeleted: the client asked for it (DELETE of the WHEP resource).
	EndDeleted EndReason = iota
	// EndOperator: the control API asked for it.
	EndOperator
	// EndICEFailed: the path was lost and did not come back in time.
	EndICEFailed
	// EndConnectTimeout: the client never connected.
	EndConnectTimeout
	// EndViewerGone: the transport was closed by the viewer, or nothing was heard from it for too long.
	EndViewerGone
	// EndHandshakeFailed: DTLS failed.
	EndHandshakeFailed
	// EndShutdown: the daemon stops.
	EndShutdown
	// EndDrained: the drain's deadline came.
	EndDrained
	// EndOverload: the host could not carry it any more, lowered as it was.
	EndOverload
	// EndRevoked: what it was opened by was revoked, and EndExpired: its time is over.
	EndRevoked
	EndExpired
	// EndError: the host could not go on; the log says why.
	EndError
	// EndMisbehaved: its viewer violated the protocol. The log has the details.
	EndMisbehaved
	// EndReplaced: it never connected, and its place was needed for another offer.
	EndReplaced
)

var endReasons = [...]string{
	EndDeleted:         "deleted",
	EndOperator:        "operator",
	EndICEFailed:       "ice_failed",
	EndConnectTimeout:  "connect_timeout",
	EndViewerGone:      "viewer_gone",
	EndHandshakeFailed: "handshake_failed",
	EndShutdown:        "shutdown",
	EndDrained:         "drained",
	EndOverload:        "overload",
	EndRevoked:         "revoked",
	EndExpired:         "expired",
	EndError:           "error",
	EndMisbehaved:      "misbehaved",
	EndReplaced:        "replaced",
}

// EndReasons lists all reasons for an end.
func EndReasons() []EndReason { return enum.All[EndReason](endReasons[:]) }

func (r EndReason) String() string { return enum.Name(endReasons[:], r) }
