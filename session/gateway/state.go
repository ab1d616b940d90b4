package gateway

import (
	"fmt"
	"time"
)

// State is the state of the link. The set is closed: it labels a metric.
type State uint8

// The states of a link.
const (
	// StateDisconnected: it waits for its next attempt.
	StateDisconnected State = iota
	// StateLoggingIn: it reads its credentials, or exchanges an account for a token.
	StateLoggingIn
	// StateConnecting: it opens the WebSocket.
	StateConnecting
	// StateBinding: it waits for the gateway to accept the token.
	StateBinding
	// StateBound: offers can arrive.
	StateBound
	// StateBlocked: an operator must act. The link rarely tries again, and at once when the file of refused credentials
	// changes.
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

// What is known of the route of a message to this host's account.
const (
	routeUnknown  = "unknown"  // not bound, or the user name is not known
	routeUnproven = "unproven" // no message to the own account has come back
	routeProven   = "proven"
)

// Status is the link as the control API shows it.
type Status struct {
	// Gateway is the host and port of the gateway, and Dialect the name of its dialect.
	Gateway string `json:"gateway"`
	Dialect string `json:"dialect"`
	// Username is the name of this host's account, once it is known.
	Username string    `json:"username,omitempty"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	// Class and Reason describe the current error, or the last one.
	Class  string `json:"class,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Failures counts the attempts since the link was last steadily bound.
	Failures int `json:"failures"`
	// NextTry is the time of the next attempt, while the link waits for one.
	NextTry time.Time `json:"next_try,omitzero"`
	// Route is "proven" after a message to the own account came back, "unproven" if none did, and "unknown" if that
	// cannot be tested.
	Route string `json:"route"`
}
