package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"wavryhost/session/guard"
	"wavryhost/session/rift"
)

// ErrNoControl means that a session cannot have control: its role or the host's settings forbid it, or its display takes no input.
var ErrNoControl = errors.New("session: control is not possible")

// Why control of a display changed hands. The set is closed.
const (
	controlTaken        = "taken"         // it was free, and somebody gave input
	controlGiven        = "given"         // an operator gave it
	controlWithdrawn    = "withdrawn"     // an operator took it away
	controlIdle         = "idle"          // who had it gave no input for a while
	controlEnded        = "session_ended" // of who had it
	controlClosed       = "channel_closed"
	controlDisconnected = "disconnected"
	controlMoved        = "moved"    // who had it watches another display
	controlOff          = "disabled" // by the settings
)

var controlReasons = []string{
	controlTaken, controlGiven, controlWithdrawn, controlIdle, controlEnded, controlClosed, controlDisconnected, controlMoved, controlOff,
}

const (
	// heldSilence is how long a viewer who holds a key, and does not say so again and again, may not be heard of. A browser reports several times
	// a second while pictures come, and once a second at least.
	heldSilence = 3 * time.Second
	// confirmSilence is how long a viewer who says what is held may be silent. Pages say it each 100 ms, and X servers repeat a key from 660 ms
	// on: what is released within 400 ms, the janitor's round included, has typed one letter.
	confirmSilence = 300 * time.Millisecond
	// stalledAfter is how long nothing may come on the channel of input, though the viewer has sent something, until what it says is held counts
	// before that: the message that says so was lost, and takes its time to be sent again.
	stalledAfter = 150 * time.Millisecond
	// lossPause is how long nothing may be typed until a display takes input again that has given some up: of a text all that follows a hole
	// is left out.
	lossPause = time.Second
	// injectorLinger is how long a connection to a display's input stays open when nobody has control.
	injectorLinger = 30 * time.Second
)

// controls knows who controls which display: at most one session at a time does. The mutex is held for each message of input, and nothing
// is done with it that waits.
type controls struct {
	conf *live
	log  *slog.Logger
	met  *Metrics
	emit func(Event) uint64
	// guard catches panics of injectors.
	guard *guard.Guard

	mu     sync.Mutex
	desks  map[string]*desk
	closed bool
	wg     sync.WaitGroup // injectors; added to under mu while not closed
}

// desk is a display that is controlled, or was lately.
type desk struct {
	display  string
	holder   *viewer   // nil when it is free
	last     time.Time // of the holder's input, or when it got control; when it became free
	injector Injector
	cancel   context.CancelFunc
	losses   uint64 // the injector's, as far as they are known

	// down are the keys and buttons that the holder has pressed; lapsed are the modifiers among those that were released because nothing was
	// heard: they are pressed again with the next key or button.
	down   []rift.Event
	lapsed []uint32
}

// spare is an injector that was made for a display in case that it has none. It does nothing before it runs.
type spare struct {
	display  string
	injector Injector
}

// note keeps account of what is down.
func (d *desk) note(e rift.Event) {
	if e.Kind != rift.Key && e.Kind != rift.Button {
		return
	}
	d.down = slices.DeleteFunc(d.down, func(o rift.Event) bool { return o.Kind == e.Kind && o.Code == e.Code })
	d.lapsed = slices.DeleteFunc(d.lapsed, func(code uint32) bool { return e.Kind == rift.Key && code == e.Code })
	if e.Pressed {
		d.down = append(d.down, e)
	}
}

// release releases all that is held.
func (d *desk) release() {
	d.injector.Release()
	d.down, d.lapsed = nil, nil
}

// lapse releases all that is held because nothing is heard.
func (d *desk) lapse() {
	var lapsed []uint32
	for _, e := range d.down {
		if e.Kind == rift.Key && slices.Contains(modifiers, e.Code) {
			lapsed = append(lapsed, e.Code)
		}
	}
	d.release()
	d.lapsed = lapsed
}

// modifiers are the codes of Control, Shift, Alt and Meta, left and right.
var modifiers = []uint32{29, 97, 42, 54, 56, 100, 125, 126}

// agree releases the keys that are down and not held. Modifiers and buttons wait for their own messages: what is on its way may be meant to
// come before their release. Nothing is pressed: it would type a letter twice.
func (d *desk) agree(s rift.State) {
	for _, e := range slices.Clone(d.down) {
		if e.Kind == rift.Key && !slices.Contains(s.Keys, e.Code) && !slices.Contains(modifiers, e.Code) {
			e.Pressed = false
			d.note(e)
			d.do(e)
		}
	}
}

// resume presses the modifiers again that lapsed, before e: it was sent while they were held, or it says that they are not.
func (d *desk) resume(e rift.Event) {
	if e.Kind == rift.Move {
		return
	}
	for _, code := range slices.Clone(d.lapsed) {
		if e.Kind != rift.Key || e.Code != code {
			m := rift.Event{Kind: rift.Key, Code: code, Pressed: true}
			d.note(m)
			d.do(m)
		}
	}
}

func newControls(conf *live, log *slog.Logger, m *Metrics, emit func(Event) uint64) *controls {
	return &controls{conf: conf, log: log, met: m, emit: emit, guard: m.guard(log, nil), desks: make(map[string]*desk)}
}

// accept takes a data channel, or says why it is to be closed; many tells that there have been too many.
func (c *controls) accept(v *viewer, d *webrtc.DataChannel) (why string, many bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.in.channels++
	policy := c.conf.get().Input
	slot := &v.in.channel
	if d.Label() == rift.StateLabel {
		slot = &v.in.state
	}
	switch {
	case d.Label() != rift.Label && d.Label() != rift.StateLabel:
		why = channelLabel
	case policy == InputOff:
		why = channelOff
	case !policy.lets(v.offer.Role):
		why = channelRole
	case v.seat().stage.display.Input == nil:
		why = channelDisplay
	case *slot != nil:
		why = channelSecond
	default:
		*slot = d
		return "", v.in.channels > maxChannels
	}
	c.met.channelsRefused.WithLabelValues(why).Inc()
	if !v.in.told {
		v.in.told = true
		event := c.emit(Event{Kind: EventInputRefused, Session: v.id, Display: v.showing(), Reason: why})
		v.log.Info("data channel refused", "event", event, "reason", why, "role", v.offer.Role.String())
	}
	return why, v.in.channels > maxChannels
}

// hangUp notes that a viewer's channel is closed.
func (c *controls) hangUp(v *viewer, d *webrtc.DataChannel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch d {
	case v.in.state:
		v.in.state, v.in.confirms = nil, false
	case v.in.channel:
		v.in.channel = nil
		c.free(v, controlClosed)
	}
}

// leave frees what a session controls that ends.
func (c *controls) leave(v *viewer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.in.over = true
	c.free(v, controlEnded)
}

// free frees what v controls. The caller holds mu.
func (c *controls) free(v *viewer, why string) {
	for _, d := range c.desks {
		if d.holder == v {
			c.assign(d, nil, why, time.Now())
		}
	}
}

// skip counts a message of v's that says nothing.
func (c *controls) skip(v *viewer, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.in.count++
	v.in.at = now
}

// room waits until the display that v controls has room for input, or ctx ends.
func (c *controls) room(ctx context.Context, v *viewer) error {
	c.mu.Lock()
	d := c.desks[v.seat().stage.display.ID]
	if d == nil || d.holder != v {
		c.mu.Unlock()
		return nil
	}
	injector := d.injector
	c.mu.Unlock()
	return injector.Wait(ctx)
}

// put gives an event of v's to the display that v watches, or says why not. Who gives input to a display that nobody controls gets control.
func (c *controls) put(v *viewer, e rift.Event, now time.Time) (dropped string) {
	c.skip(v, now)
	var s spare
	for {
		dropped, missing := c.pass(v, e, now, s)
		if missing == nil {
			return dropped
		}
		s = spare{missing.ID, missing.Input()} // without the mutex: nobody knows how long it takes
	}
}

// pass is put with an injector at hand. It returns the display that lacks one.
func (c *controls) pass(v *viewer, e rift.Event, now time.Time, s spare) (dropped string, missing *Display) {
	c.mu.Lock()
	defer c.mu.Unlock()
	display := v.seat().stage.display
	d := c.desks[display.ID]
	switch {
	case !c.conf.get().Input.lets(v.offer.Role):
		return inputNotAllowed, nil
	case display.Input == nil:
		return inputUnsupported, nil
	case v.in.over, v.in.barred, c.closed:
		return inputNoControl, nil
	case d != nil && d.holder != nil && d.holder != v && !c.idle(d, now):
		return inputNoControl, nil
	case d == nil && s.display != display.ID:
		return "", &display
	}
	if d == nil || d.holder != v {
		c.free(v, controlMoved)
		d = c.desk(display, s)
		if d.holder != nil {
			c.assign(d, nil, controlIdle, now)
		}
		c.assign(d, v, controlTaken, now)
	}
	d.last = now
	if c.muted(d, e, now) {
		return inputLost, nil
	}
	d.resume(e)
	d.note(e)
	return d.do(e), nil
}

// muted tells whether an event is left out because the display has given up what came before it: the rest of a text does not follow a hole.
// After a pause the display takes input again.
func (c *controls) muted(d *desk, e rift.Event, now time.Time) bool {
	in := d.holder.in
	if n := d.injector.Losses(); n != d.losses {
		d.losses = n
		d.release()
		in.muted, in.mutedAt = true, now
	}
	if !in.muted || e.Kind == rift.Move {
		return false
	}
	in.muted = now.Sub(in.mutedAt) < lossPause || in.mutedAt.Equal(now)
	in.mutedAt = now
	return in.muted
}

// do has the display do what an event says, or says why not.
func (d *desk) do(e rift.Event) (dropped string) {
	switch e.Kind {
	case rift.Move:
		d.injector.Move(e.X, e.Y)
	case rift.Button:
		d.injector.Button(e.Code, e.Pressed)
	case rift.Key:
		d.injector.Key(e.Code, e.Pressed)
	case rift.Scroll:
		d.injector.Scroll(e.X, e.Y)
	default:
		return inputUnsupported
	}
	return ""
}

// idle tells whether whoever controls d has given no input for so long that others may. A key that is held down is input.
func (c *controls) idle(d *desk, now time.Time) bool {
	return now.Sub(d.last) >= c.conf.get().ControlIdle && !d.injector.Holding()
}

// confirm takes what v says that it holds.
func (c *controls) confirm(v *viewer, s rift.State, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.in.confirms, v.in.confirmed = true, now
	d := c.desks[v.showing()]
	switch {
	case d == nil || d.holder != v:
	case s.Count < v.in.count: // more has come since it was said
	case s.Count > v.in.count && (v.in.busy.Load() || now.Sub(v.in.at) < stalledAfter): // more is about to come, in its order
	default:
		d.agree(s)
	}
}

// desk returns the desk of a display, with an injector that runs: the spare one where it has none. The caller holds mu, and controls are not
// closed.
func (c *controls) desk(display Display, s spare) *desk {
	d := c.desks[display.ID]
	if d != nil {
		return d
	}
	d = &desk{display: display.ID, injector: s.injector, losses: s.injector.Losses()}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	c.desks[display.ID] = d
	injector := d.injector
	c.wg.Go(func() { c.inject(ctx, display.ID, injector) }) // unguarded: inject guards the injector
	return d
}

// inject runs an injector until ctx ends; after a panic again, after a while.
func (c *controls) inject(ctx context.Context, display string, injector Injector) {
	for {
		err := c.guard.Run(partInput, func() {
			if err := injector.Run(ctx); err != nil {
				c.log.Warn("input ended", "display", display, "err", err)
			}
		})
		if err == nil {
			return
		}
		again := time.NewTimer(time.Second)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return
		}
	}
}

// assign gives control of a display to a session, or to none. Nothing that the one before held stays held. The caller holds mu.
func (c *controls) assign(d *desk, to *viewer, why string, now time.Time) {
	from := d.holder
	if from == to {
		return
	}
	d.release()
	d.holder, d.last = to, now
	e := Event{Kind: EventControl, Display: d.display, Reason: why}
	about := from
	if from != nil {
		e.From = from.id
	}
	if to != nil {
		e.To = to.id
		about = to
	}
	e.Session = about.id
	c.met.controlChanges.WithLabelValues(why).Inc()
	c.count()
	about.log.Info("control changed", "event", c.emit(e), "display", d.display, "reason", why, "from", e.From, "to", e.To, "role", about.offer.Role.String())
}

// count sets the gauge of the displays that are controlled.
func (c *controls) count() {
	n := 0
	for _, d := range c.desks {
		if d.holder != nil {
			n++
		}
	}
	c.met.controlled.Set(float64(n))
}

// sweep takes control from who cannot have it any more, releases the keys of who is not heard of, and gives up injectors that are not used.
func (c *controls) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, d := range c.desks {
		h := d.holder
		switch {
		case h == nil && now.Sub(d.last) >= injectorLinger:
			d.cancel()
			delete(c.desks, id)
		case h == nil:
		case !c.conf.get().Input.lets(h.offer.Role):
			c.assign(d, nil, controlOff, now)
		case h.showing() != id:
			c.assign(d, nil, controlMoved, now)
		case h.away():
			c.assign(d, nil, controlDisconnected, now)
		case c.idle(d, now):
			c.assign(d, nil, controlIdle, now)
		case h.in.confirms && len(d.down) > 0:
			if !h.in.busy.Load() && now.Sub(later(h.in.confirmed, h.in.at)) >= confirmSilence {
				d.lapse()
			}
		case !h.in.confirms && d.injector.Holding() && h.silent(now, d.last) >= heldSilence:
			d.release()
		}
	}
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// close gives everything up, and waits until nothing is held any more.
func (c *controls) close() {
	c.mu.Lock()
	c.closed = true
	for id, d := range c.desks {
		d.cancel()
		delete(c.desks, id)
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// away tells whether the path to the viewer is lost. pion finds that out after five seconds without a sign of life, so that is the
// while after which nothing stays held.
func (v *viewer) away() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.life.state == stateDisconnected
}

// silent returns how long nothing was heard of the viewer, whose last input came at a time.
func (v *viewer) silent(now, last time.Time) time.Duration {
	return now.Sub(later(last, v.heard.get()))
}

// give gives control to a session, or withdraws it.
func (c *controls) give(v *viewer, on bool) error {
	if !on {
		c.mu.Lock()
		defer c.mu.Unlock()
		v.in.barred = true
		c.free(v, controlWithdrawn)
		return nil
	}
	var s spare
	for {
		missing, err := c.hand(v, s)
		if missing == nil {
			return err
		}
		s = spare{missing.ID, missing.Input()}
	}
}

// hand gives control to a session, with an injector at hand. It returns the display that lacks one.
func (c *controls) hand(v *viewer, s spare) (missing *Display, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	display := v.seat().stage.display
	switch {
	case c.closed, v.in.over:
		return nil, ErrUnknownSession
	case c.conf.get().Input == InputOff:
		return nil, fmt.Errorf("%w: the host takes no input (setting input)", ErrNoControl)
	case !c.conf.get().Input.lets(v.offer.Role):
		return nil, fmt.Errorf("%w: the session's role is %s", ErrNoControl, v.offer.Role)
	case display.Input == nil:
		return nil, fmt.Errorf("%w: %s takes no input", ErrNoControl, display.ID)
	case c.desks[display.ID] == nil && s.display != display.ID:
		return &display, nil
	}
	v.in.barred = false
	d := c.desk(display, s)
	now := time.Now()
	if d.holder != v {
		c.free(v, controlMoved)
		c.assign(d, v, controlGiven, now)
	}
	d.last = now
	return nil, nil
}

// controlView is what is shown of control to one session.
type controlView struct {
	may, has, taken, lost bool
}

func (c *controls) see(v *viewer) controlView {
	c.mu.Lock()
	defer c.mu.Unlock()
	display := v.seat().stage.display
	s := controlView{may: c.conf.get().Input.lets(v.offer.Role) && display.Input != nil && !v.in.barred}
	if d := c.desks[display.ID]; d != nil {
		s.has, s.taken, s.lost = d.holder == v, d.holder != nil, d.injector.Err() != nil || d.holder == v && v.in.muted
	}
	return s
}

// holder returns the id of the session that controls a display.
func (c *controls) holder(display string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.desks[display]; d != nil && d.holder != nil {
		return d.holder.id
	}
	return ""
}

// SetControl gives control of its display to a session, whoever had it, or withdraws it: then the session gets none until it is given some.
func (m *Manager) SetControl(id string, on bool) (Snapshot, error) {
	m.mu.Lock()
	h, err := m.find(id)
	m.mu.Unlock()
	if err != nil {
		return Snapshot{}, err
	}
	if err := m.controls.give(h.viewer, on); err != nil {
		return Snapshot{}, err
	}
	return h.snapshot(), nil
}

// TakesInput tells whether a session of a display could control it.
func (m *Manager) TakesInput(ctx context.Context, display string, r Role) bool {
	d, err := m.display(ctx, display)
	return err == nil && d.Input != nil && m.cfg().Input.lets(r)
}
