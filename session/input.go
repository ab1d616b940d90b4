package session

import (
	"context"
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"wavryhost/session/rift"
)

// Injector gives a display what somebody does with mouse and keyboard. But for Run its methods must not wait for the display, and may be
// called by several goroutines. Numbers are those of rift.Event.
type Injector interface {
	Move(x, y float64)
	Button(number uint32, pressed bool)
	Key(code uint32, pressed bool)
	Scroll(dx, dy float64)
	// Release releases everything that is held, after what came before.
	Release()
	// Holding tells whether anything is held.
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

// Roles lists all roles.
func Roles() []Role { return []Role{RoleViewer, RoleController, RoleOperator} }

func (r Role) String() string {
	switch r {
	case RoleViewer:
		return "viewer"
	case RoleController:
		return "controller"
	case RoleOperator:
		return "operator"
	default:
		return fmt.Sprintf("role(%d)", uint8(r))
	}
}

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

// InputPolicies lists all policies.
func InputPolicies() []InputPolicy { return []InputPolicy{InputControllers, InputOperators, InputOff} }

func (p InputPolicy) String() string {
	switch p {
	case InputControllers:
		return "controllers"
	case InputOperators:
		return "operators"
	case InputOff:
		return "off"
	default:
		return fmt.Sprintf("policy(%d)", uint8(p))
	}
}

// lets tells whether a role's input is taken.
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
	inputNoControl   = "no_control"
	inputNotAllowed  = "not_allowed"
	inputUnsupported = "unsupported"
)

var inputDrops = append([]string{inputRate, inputNoControl, inputNotAllowed, inputUnsupported}, words(rift.Faults())...)

const (
	// inputEvery and inputBurst bound how many messages a session may send: a mouse of 1000 Hz, every position of it, and what a path delivers at
	// once after a pause of a fifth of a second.
	inputEvery = time.Millisecond
	inputBurst = 200
	// maxChannels is how many data channels a session may have opened in its life: each costs memory until the session ends, and a page
	// opens one.
	maxChannels = 32
	// sctpBuffer bounds what a viewer can make the host keep of messages that are not whole.
	sctpBuffer = 128 << 10
)

// inlet is where a viewer's input comes in.
type inlet struct {
	limit *rate.Limiter
	// The controls' mutex guards the rest.
	channel  *webrtc.DataChannel // nil without one
	channels int                 // opened so far
	told     bool                // that one was refused
	barred   bool                // an operator has withdrawn control
	over     bool                // the session ends
}

func newInlet() inlet {
	return inlet{limit: rate.NewLimiter(rate.Every(inputEvery), inputBurst)}
}

// offered takes a data channel of the viewer's, or closes it.
func (v *viewer) offered(d *webrtc.DataChannel) {
	defer v.guard.Recover(partInput)
	if err := v.peer.verified(); err != nil {
		_ = d.Close()
		return
	}
	why, many := v.controls.accept(v, d)
	if many {
		v.log.Warn("session opens data channels without end", "channels", maxChannels)
		v.want(EndMisbehaved)
	}
	if why != "" {
		// An error means that it is closed already.
		_ = d.Close()
		return
	}
	d.OnClose(func() {
		defer v.guard.Recover(partInput)
		v.controls.hangUp(v, d)
	})
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		defer v.guard.Recover(partInput)
		v.input(m.Data)
	})
}

// input takes a message of the viewer's. It is called by the goroutine that reads the channel, and waits for nothing.
func (v *viewer) input(b []byte) {
	now := time.Now()
	if !v.in.limit.AllowN(now, 1) {
		v.met.inputDropped.WithLabelValues(inputRate).Inc()
		// Nobody knows what was in it: it may be that a key came up.
		v.controls.letGo(v)
		return
	}
	e, fault := rift.Decode(b)
	if fault != rift.FaultNone {
		v.met.inputDropped.WithLabelValues(fault.String()).Inc()
		return
	}
	if e.Kind == rift.Gamepad {
		v.met.inputDropped.WithLabelValues(inputUnsupported).Inc()
		return
	}
	if why := v.controls.put(v, e, now); why != "" {
		v.met.inputDropped.WithLabelValues(why).Inc()
		return
	}
	v.met.input.WithLabelValues(e.Kind.String()).Inc()
}
