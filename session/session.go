// Package session streams displays to viewers: a Stage captures and encodes one display while it has viewers, a Viewer is
// one peer connection with its adaptation, and the Manager owns their lives, admission and drain.
package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wavryhost/adapt"
	"wavryhost/capture"
)

// The errors that callers of the Manager branch on. Each comes wrapped with what was wrong.
var (
	// ErrUnknownDisplay: no display has that id.
	ErrUnknownDisplay = errors.New("session: unknown display")
	// ErrUnknownSession: no session has that id, or it has ended.
	ErrUnknownSession = errors.New("session: unknown session")
	// ErrBadOffer: what came is not a session description, or not a fragment of one.
	ErrBadOffer = errors.New("session: malformed session description")
	// ErrUnacceptable: the description is well formed, but nothing can be sent to such a peer (no H.264, not receiving
	// video, not an offer).
	ErrUnacceptable = errors.New("session: offer cannot be answered")
	// ErrNoPicture: the display exists, but cannot be captured at the moment.
	ErrNoPicture = errors.New("session: display has no picture")
	// ErrFull: the host has no room for another session at the moment.
	ErrFull = errors.New("session: host is full")
	// ErrDraining: the host takes no new sessions.
	ErrDraining = errors.New("session: host is draining")
	// ErrStale: the ETag named by the client is not the session's.
	ErrStale = errors.New("session: stale entity tag")
)

// Display is one picture that can be watched.
type Display struct {
	// ID is what clients ask for, unique on the host: "x11:0", "synthetic".
	ID string
	// Name is for people.
	Name string
	// Backend is the capture backend's name: "x11", "screenshot", "synthetic".
	Backend string
	// Width and Height are the size at the last look, in pixels.
	Width, Height int
	// Open begins to capture it.
	Open func(ctx context.Context) (capture.Source, error)
}

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
	// EndError: the host could not go on; the log says why.
	EndError
)

// EndReasons lists all reasons for an end.
func EndReasons() []EndReason {
	return []EndReason{
		EndDeleted, EndOperator, EndICEFailed, EndConnectTimeout, EndViewerGone, EndHandshakeFailed, EndShutdown,
		EndDrained, EndError,
	}
}

func (r EndReason) String() string {
	switch r {
	case EndDeleted:
		return "deleted"
	case EndOperator:
		return "operator"
	case EndICEFailed:
		return "ice_failed"
	case EndConnectTimeout:
		return "connect_timeout"
	case EndViewerGone:
		return "viewer_gone"
	case EndHandshakeFailed:
		return "handshake_failed"
	case EndShutdown:
		return "shutdown"
	case EndDrained:
		return "drained"
	case EndError:
		return "error"
	default:
		return fmt.Sprintf("end(%d)", uint8(r))
	}
}

// Offer is what a viewer comes with.
type Offer struct {
	// Display is a Display's ID, or "default" for the first one.
	Display string
	// SDP is the offer (RFC 8866), one receiving video section.
	SDP string
	// RemoteAddr and UserAgent are for the log.
	RemoteAddr, UserAgent string
}

// Answer is what the viewer gets.
type Answer struct {
	// ID names the session; it cannot be guessed.
	ID  string
	SDP string
	// ETag names the ICE session (draft-ietf-wish-whep, RFC 9725 section 4.3), quotes included.
	ETag string
}

// Patched is the answer to a trickle or a restart of ICE.
type Patched struct {
	// SDP is the fragment (RFC 8840) with the host's new credentials and candidates after a restart; empty after a trickle.
	SDP string
	// ETag is the new one after a restart, else the old one.
	ETag string
}

// Snapshot is what the control API shows of one session.
type Snapshot struct {
	ID        string    `json:"id"`
	Display   string    `json:"display"`
	State     string    `json:"state"` // "connecting", "connected", "disconnected"
	Created   time.Time `json:"created"`
	Connected time.Time `json:"connected,omitzero"`
	Remote    string    `json:"remote,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	// Path is "direct" or "relay" once a candidate pair is selected.
	Path string `json:"path,omitempty"`

	Encoder string `json:"encoder,omitempty"`
	// Rung is which of the display's encodes it gets, from 1.
	Rung   int     `json:"rung"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
	FPS    float64 `json:"fps"`

	// MaxBitrate is the session's own ceiling, 0 for none, and Weight its share where something is short.
	MaxBitrate int `json:"max_bitrate"`
	Weight     int `json:"weight"`

	Frozen           bool    `json:"frozen"` // the display is lost; the last picture stands
	TargetBitrate    int     `json:"target_bitrate"`
	AchievedBitrate  int     `json:"achieved_bitrate"`
	EstimatedReceive int     `json:"received_bitrate"`
	RTTSeconds       float64 `json:"rtt_seconds"`
	JitterSeconds    float64 `json:"jitter_seconds"`
	QueueSeconds     float64 `json:"queue_delay_seconds"`
	Loss             float64 `json:"loss"`

	Quality     string             `json:"quality"`
	Reason      string             `json:"reason"`
	Idle        bool               `json:"idle"`
	Transitions []TransitionRecord `json:"transitions"` // the newest 32, oldest first

	FramesSent      uint64 `json:"frames_sent"`
	FramesDropped   uint64 `json:"frames_dropped"`
	KeyframesSent   uint64 `json:"keyframes_sent"`
	PacketsSent     uint64 `json:"packets_sent"`
	Retransmissions uint64 `json:"retransmissions"`
	BytesSent       uint64 `json:"bytes_sent"`
}

// TransitionRecord is a quality transition as the control API and the log show it.
type TransitionRecord struct {
	Seq          uint64    `json:"seq"`
	At           time.Time `json:"at"`
	From         string    `json:"from"`
	To           string    `json:"to"`
	Reason       string    `json:"reason"`
	DwellSeconds float64   `json:"dwell_seconds"`
	Target       int       `json:"target_bitrate"`
	Received     int       `json:"received_bitrate"`
	RTTSeconds   float64   `json:"rtt_seconds"`
	QueueSeconds float64   `json:"queue_delay_seconds"`
	Loss         float64   `json:"loss"`
}

// RecordOf returns t for people and machines to read.
func RecordOf(t adapt.Transition) TransitionRecord {
	return TransitionRecord{
		Seq: t.Seq, At: t.At, From: t.From.String(), To: t.To.String(), Reason: t.Reason.String(),
		DwellSeconds: t.Dwell.Seconds(), Target: t.Target, Received: t.Received, RTTSeconds: t.RTT.Seconds(),
		QueueSeconds: t.QueueDelay.Seconds(), Loss: t.Loss,
	}
}

// Host is what the control API shows of the machine.
type Host struct {
	State string `json:"state"` // "active", "draining", "degraded", "probation"
	// StateReason tells why, where that does not go without saying; StateSince since when.
	StateReason string        `json:"state_reason,omitempty"`
	StateSince  time.Time     `json:"state_since"`
	Started     time.Time     `json:"started"`
	Sessions    int           `json:"sessions"`
	Limit       int           `json:"session_limit"`
	Displays    []DisplayInfo `json:"displays"`
	Encoders    []EncoderInfo `json:"encoders"`
	// DrainDeadline is when a drain ends the sessions that are left.
	DrainDeadline time.Time `json:"drain_deadline,omitzero"`
}

// DisplayInfo is what the control API shows of a display.
type DisplayInfo struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Viewers int    `json:"viewers"`
	// Encodes is how many encodes of it run: viewers on equal paths share one.
	Encodes int `json:"encodes"`
	// State is "idle" (no viewer), "live" or "lost".
	State string `json:"state"`
}

// EncoderInfo is what the control API shows of an encoder candidate.
type EncoderInfo struct {
	Name     string `json:"name"`
	Codec    string `json:"codec"`
	Hardware bool   `json:"hardware"`
	Price    string `json:"price"`
	Usable   bool   `json:"usable"`
	// Why tells what is missing where it is not usable.
	Why string `json:"why,omitempty"`
	// InUse marks the one that new stages are opened with.
	InUse bool `json:"in_use"`
}
