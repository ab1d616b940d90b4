package gateway

import (
	"fmt"
	"time"
)

// State is how far the link has come. The set is closed: it labels a metric.
type State uint8

// The states of a link.
const (
	// StateDisconnected: it waits for its next attempt.
	StateDisconnected State = iota
	// StateLoggingIn: it reads its credentials and trades an account for a token.
	StateLoggingIn
	// StateConnecting: it opens the WebSocket.
	StateConnecting
	// StateBinding: it waits for the gateway to accept the token.
	StateBinding
	// StateBound: offers can arrive.
	StateBound
	// StateBlocked: an operator is needed. It tries again seldom, and when a file of credentials changes that was to blame.
	StateBlocked
)

// States lists all states of a link.
func States() []State {
	return []State{StateDisconnected, StateLoggingIn, StateConnecting, StateBinding, StateBound, StateBlocked}
}

func (s State) String() string {
	switch s {
	case StateDisconnected:
		return "disconnected"
	case StateLoggingIn:
		return "logging_in"
	case StateConnecting:
		return "connecting"
	case StateBinding:
		return "binding"
	case StateBound:
		return "bound"
	case StateBlocked:
		return "blocked"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// What is known of the way of a message to this host's account.
const (
	routeUnknown  = "unknown"  // not bound, or the user name is not known, so nothing can be sent to it
	routeUnproven = "unproven" // a message to the own account has not come back
	routeProven   = "proven"
)

// Status is what the control API shows of the link.
type Status struct {
	// Gateway is the host and port that is called, and Dialect the name of the dialect.
	Gateway string `json:"gateway"`
	Dialect string `json:"dialect"`
	// Username is what viewers call this host, when it is known.
	Username string    `json:"username,omitempty"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	// Class and Reason say why the link is not bound, or why it was not the last time.
	Class  string `json:"class,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Failures counts the attempts since the link was last steadily bound.
	Failures int `json:"failures"`
	// NextTry is when a link that waits tries again.
	NextTry time.Time `json:"next_try,omitzero"`
	// Route is "proven" when a message to the own account came back, "unproven" when none did, and "unknown" where that cannot be
	// found out.
	Route string `json:"route"`
}
