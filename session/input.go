package session

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"wavryhost/session/enum"
	"wavryhost/session/rift"
)

// Injector gives a display what somebody does with mouse and keyboard. But for Run and Wait its methods must not wait for the display, and may
// be called by several goroutines. Numbers are those of rift.Event.
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
	inputLost        = "lost"
	inputNoControl   = "no_control"
	inputNotAllowed  = "not_allowed"
	inputUnsupported = "unsupported"
)

var inputDrops = append([]string{inputRate, inputLost, inputNoControl, inputNotAllowed, inputUnsupported}, words(rift.Faults())...)

const (
	// inputEvery and inputBurst bound how many messages of a session are taken: a mouse of 1000 Hz, every position of it, and as many keys. What
	// comes faster waits, in the end at the viewer.
	inputEvery = 500 * time.Microsecond
	inputBurst = 200
	// stateEvery and stateBurst bound how many messages are read of what is held; pages send one each 100 ms, and at each change.
	stateEvery = 5 * time.Millisecond
	stateBurst = 100
	// maxChannels is how many data channels a session may have opened in its life: each costs memory until the session ends, and a page
	// opens one.
	maxChannels = 32
	// sctpBuffer bounds what a viewer can make the host keep of messages that are not whole, or that nobody has read: the viewer has to wait then.
	sctpBuffer = 128 << 10
)

// inlet is where a viewer's input comes in.
type inlet struct {
	limit, states *rate.Limiter
	// busy: a message is being dealt with, or waits for its turn.
	busy atomic.Bool
	// The controls' mutex guards the rest.
	channel   *webrtc.DataChannel // nil without one
	count     uint64              // of messages on it
	at        time.Time           // when the last one was dealt with
	state     *webrtc.DataChannel // that says what is held, nil without one
	confirms  bool                // it has said something
	confirmed time.Time           // when it did last
	muted     bool                // what it typed was given up, and what follows is left out
	mutedAt   time.Time           // the last that was left out
	channels  int                 // opened so far
	told      bool                // that one was refused
	barred    bool                // an operator has withdrawn control
	over      bool                // the session ends
}

func newInlet() *inlet {
	return &inlet{limit: rate.NewLimiter(rate.Every(inputEvery), inputBurst), states: rate.NewLimiter(rate.Every(stateEvery), stateBurst)}
}

// offered takes a data channel of the viewer's, which is read until ctx ends, or closes it.
func (v *viewer) offered(ctx context.Context, d *webrtc.DataChannel) {
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
		if d.Label() == rift.StateLabel {
			v.holds(m.Data)
		} else {
			v.input(ctx, m.Data)
		}
	})
}

// holds takes a message that says what the viewer holds. It waits for nothing: the next one says as much.
func (v *viewer) holds(b []byte) {
	now := time.Now()
	if !v.in.states.AllowN(now, 1) {
		v.met.inputDropped.WithLabelValues(inputRate).Inc()
		return
	}
	s, fault := rift.DecodeState(b)
	if fault != rift.FaultNone {
		v.met.inputDropped.WithLabelValues(fault.String()).Inc()
		return
	}
	v.controls.confirm(v, s, now)
}

// input takes a message of the viewer's, once it is its turn and the display has room. It is called by the goroutine that reads the channel: as
// long as it waits nothing else is read of that channel, SCTP's window closes, and the viewer waits. Nothing is thrown away but what is wrong,
// and what is under way when ctx ends.
func (v *viewer) input(ctx context.Context, b []byte) {
	v.in.busy.Store(true)
	defer v.in.busy.Store(false)
	if v.in.limit.Wait(ctx) != nil {
		return
	}
	e, fault := rift.Decode(b)
	if fault != rift.FaultNone {
		v.met.inputDropped.WithLabelValues(fault.String()).Inc()
		v.controls.skip(v, time.Now())
		return
	}
	if e.Kind == rift.Gamepad {
		v.met.inputDropped.WithLabelValues(inputUnsupported).Inc()
		v.controls.skip(v, time.Now())
		return
	}
	if v.controls.room(ctx, v) != nil {
		return
	}
	if why := v.controls.put(v, e, time.Now()); why != "" { //nolint:contextcheck // the display's input outlives the session that takes control first
		v.met.inputDropped.WithLabelValues(why).Inc()
		return
	}
	v.met.input.WithLabelValues(e.Kind.String()).Inc()
}
