package session

import (
	"context"

	"wavryhost/session/enum"
	"wavryhost/session/rift"
)

// Injector passes mouse and keyboard input to a display. All methods except Run and Wait return without waiting for the
// display, and may be called by several goroutines. Numbers are the numbers of rift.Event.
type Injector interface {
	// Wait waits until there is room for what is given next, or ctx ends, whose error it returns then.
	Wait(ctx context.Context) error
	// Losses returns how often what had been given was given up, as the display was out of reach. It grows.
	Losses() uint64
	Move(x, y float64)
	Button(number uint32, pressed bool)
	Key(code uint32, pressed bool)
	Scroll(dx, dy float64)
	// Release releases everything that is held, after what came before.
	Release()
	// Holding reports whether anything is held.
	Holding() bool
	// Err tells why input does not reach the display; nil when it does.
	Err() error
	// Run works until ctx ends, and leaves nothing held.
	Run(ctx context.Context) error
}

// Role is what a session's viewer may do. The set is closed.
type Role uint8

// The roles.
const (
	// RoleViewer may watch.
	RoleViewer Role = iota
	// RoleController may control the display as well.
	RoleController
	// RoleOperator may do everything.
	RoleOperator
)

var roles = [...]string{
	RoleViewer:     "viewer",
	RoleController: "controller",
	RoleOperator:   "operator",
}

// Roles lists all roles.
func Roles() []Role { return enum.All[Role](roles[:]) }

func (r Role) String() string { return enum.Name(roles[:], r) }

// InputPolicy is whose input a host takes. The set is closed.
type InputPolicy uint8

// The policies.
const (
	// InputControllers takes that of controllers and operators.
	InputControllers InputPolicy = iota
	// InputOperators takes that of operators alone.
	InputOperators
	// InputOff takes none.
	InputOff
)

var inputPolicies = [...]string{
	InputControllers: "controllers",
	InputOperators:   "operators",
	InputOff:         "off",
}

// InputPolicies lists all policies.
func InputPolicies() []InputPolicy { return enum.All[InputPolicy](inputPolicies[:]) }

func (p InputPolicy) String() string { return enum.Name(inputPolicies[:], p) }

// lets reports whether a role's input is accepted.
func (p InputPolicy) lets(r Role) bool {
	return p == InputControllers && r == RoleController || p != InputOff && r == RoleOperator
}

// Why a data channel is closed at once.
const (
	channelLabel   = "label"
	channelRole    = "role"
	channelOff     = "off"
	channelDisplay = "display"
	channelSecond  = "second"
)

var channelRefusals = []string{channelLabel, channelRole, channelOff, channelDisplay, channelSecond}

// Why input is dropped, beside rift's faults.
const (
	inputRate        = "rate"
	inputLost        = "lost"
	inputNoControl   = "no_control"
	inputNotAllowed  = "not_allowed"
	inputUnsupported = "unsupported"
)

var inputDrops = append([]string{inputRate, inputLost, inputNoControl, inputNotAllowed, inputUnsupported},
	words(rift.Faults())...)

// SetControl gives control of its display to a session, and takes it from any other session; or withdraws it. After a
// withdrawal the session gets no control until it is given some.
func (m *Manager) SetControl(id string, on bool) (Snapshot, error) {
	h, err := m.registry.find(id)
	if err != nil {
		return Snapshot{}, err
	}
	if err := m.floor.give(h.input, on); err != nil {
		return Snapshot{}, err
	}
	return h.snapshot(), nil
}

// TakesInput reports whether a session of a display could control it.
func (m *Manager) TakesInput(ctx context.Context, display string, r Role) bool {
	d, err := m.catalog.find(ctx, display)
	return err == nil && d.Input != nil && m.cfg().Input.lets(r)
}
