package floor

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"wavryhost/platform/guard"
	"wavryhost/session/peer"
)

const (
	// inputEvery and inputBurst bound the messages of a session that are taken: a mouse of 1000 Hz, every position of
	// it, and as many keys. What comes faster waits, in the end at the viewer.
	inputEvery = 500 * time.Microsecond
	inputBurst = 200
	// reportEvery and reportBurst bound the reports of what is held; pages send one each 100 ms, and at each change.
	reportEvery = 5 * time.Millisecond
	reportBurst = 100
)

// Participant is a session at the floor: the input of its viewer arrives here.
type Participant struct {
	session string
	role    Role
	log     *slog.Logger
	guard   *guard.Guard
	viewer  Viewer
	control *Control

	inputs, reportsIn *rate.Limiter
	// busy: a message is being handled, or waits for its turn.
	busy atomic.Bool

	// The mutex of control guards the rest.
	input       *peer.Channel // nil without one
	messages    uint64        // on it
	lastMessage time.Time     // when it was handled
	reports     *peer.Channel // carries reports of what is held, nil without one
	confirms    bool          // a report has arrived
	confirmed   time.Time     // when the last one did
	lossMuted   bool          // the display has lost some input, and what follows is dropped until there is a pause
	mutedAt     time.Time     // when something was dropped last
	opened      int           // data channels so far
	refusalTold bool          // the event of a refused data channel was emitted
	barred      bool          // an operator has withdrawn control
	over        bool          // the session ends
}
