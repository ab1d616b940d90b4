package fleet

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"time"

	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
)

// lookInterval is how often the Agent looks at the host: a change is visible in the fleet a second later.
const lookInterval = time.Second

// flushTimeout bounds the wait for the last message.
const flushTimeout = time.Second

// presence announces the host. The goroutine of the Agent owns it.
type presence struct {
	agent    *Agent
	nc       *nats.Conn
	sequence uint64
	revision uint64
	last     bus.Description
}

func newPresence(a *Agent, nc *nats.Conn) *presence {
	p := &presence{agent: a, nc: nc}
	p.look()
	return p
}

// look looks at the host, and sends its record when it has changed or others may lack it.
func (p *presence) look() {
	a := p.agent
	now := time.Now()
	next := a.host.Describe()
	fresh := a.rivals.takeAnnouncement()
	if p.revision == 0 {
		// A reload replaces the Agent, and the numbers must grow on.
		p.revision = uint64(max(1, now.Sub(next.Started).Milliseconds())) //nolint:gosec // positive
		p.sequence = p.revision
	}
	if !reflect.DeepEqual(next, p.last) {
		p.revision++
		p.last, fresh = next, true
		a.rivals.set(next, p.revision)
	}
	if a.rivals.silent(now) {
		a.enterIfConnected(StateDuplicate)
		return
	}
	a.enterIfConnected(StateConnected)
	if fresh {
		p.send(a.rivals.record(), bus.SubjectRecord(a.id))
		p.beat()
	}
}

// beat sends a heartbeat. A duplicate does as well, so that everybody sees that there are two.
func (p *presence) beat() {
	if !p.nc.IsConnected() || p.revision == 0 {
		return // it would be kept until the connection is made, when it is old
	}
	p.sequence++
	b := bus.Beat{
		Boot: p.last.Boot, Sequence: p.sequence, Revision: p.revision, Milliseconds: time.Now().UnixMilli(),
		Started: p.last.Started.UnixMilli(),
	}
	m, err := b.Message(p.agent.cfg.Bus.Identity)
	p.publish(m, err)
}

// send sends a record to a subject.
func (p *presence) send(r bus.Record, subject string) {
	m, err := r.Message(p.agent.cfg.Bus.Identity, subject)
	p.publish(m, err)
}

func (p *presence) publish(m *nats.Msg, err error) {
	if err == nil && p.nc.IsConnected() {
		err = p.nc.PublishMsg(m)
	}
	if err != nil {
		p.agent.log.Debug("fleet message not sent", "err", err)
	}
}

// stop says that the host stops.
func (p *presence) stop() {
	if p.agent.rivals.silent(time.Now()) || !p.nc.IsConnected() || p.revision == 0 {
		return
	}
	p.last.State, p.last.Reason, p.last.Since = bus.StateStopping, bus.StateStopping, time.Now()
	p.revision++
	p.agent.rivals.set(p.last, p.revision)
	p.send(p.agent.rivals.record(), bus.SubjectRecord(p.agent.id))
	_ = p.nc.FlushTimeout(flushTimeout) // it is a courtesy: the others notice the silence
}

// maxSpread bounds the delay of the answers to a request for all records.
const maxSpread = 2 * time.Second

// whoRequest is a request for all records. Answers come within the time, so that the asker can take them in.
type whoRequest struct {
	SpreadSeconds float64 `json:"spread_seconds"`
}

// presenter is the part of an agent that makes its host known.
type presenter struct{ *Agent }

// who answers with the record.
func (a presenter) who(nc *nats.Conn, m *nats.Msg) {
	var q whoRequest
	if m.Reply == "" || len(m.Data) > 1024 || len(m.Data) > 0 && json.Unmarshal(m.Data, &q) != nil {
		a.cfg.Counters.Dropped(DropMalformed)
		return
	}
	if a.rivals.silent(time.Now()) {
		return
	}
	spread := min(max(time.Duration(q.SpreadSeconds*float64(time.Second)), 0), maxSpread)
	a.delay(rand.N(spread+1), func() {
		r := a.rivals.record()
		if r.Revision == 0 {
			return // it is about to be announced
		}
		if answer, err := r.Message(a.cfg.Bus.Identity, m.Reply); err == nil {
			_ = nc.PublishMsg(answer)
		}
	})
}

// staleBeat is the age, by the clocks of both hosts, from which a beat is a repetition of an old one.
const staleBeat = 5 * time.Minute

// rival handles a heartbeat of another host with the ID of this one.
func (a presenter) rival(_ *nats.Conn, m *nats.Msg) {
	b, err := bus.ParseBeat(m)
	if err != nil {
		a.cfg.Counters.Dropped(DropMalformed)
		return
	}
	if err := bus.VerifyBeat(m, a.cfg.Bus.Identity.Public()); err != nil {
		a.cfg.Counters.Dropped(DropForged)
		return
	}
	own, now := a.rivals.record(), time.Now()
	if own.Boot == "" || b.Boot == own.Boot || now.Sub(b.Time()).Abs() > staleBeat {
		return
	}
	started := own.Started.UnixMilli()
	older := b.Started < started || b.Started == started && b.Boot < own.Boot
	a.rivals.mu.Lock()
	defer a.rivals.mu.Unlock()
	if older {
		if !now.Before(a.rivals.older) {
			a.Changed()
		}
		a.rivals.older = now.Add(a.cfg.Gone)
		return
	}
	if now.Sub(a.rivals.answered) > a.cfg.Beat/2 { // the other must learn of this one
		a.rivals.answered, a.rivals.unannounced = now, true
		a.Changed()
	}
	if now.Sub(a.rivals.warned) > time.Minute {
		a.rivals.warned = now
		a.log.Error("another host has the identity of this one, and is younger; it stays out of the fleet",
			"boot", b.Boot, "remedy",
			"remove fleet.key from the state folder of the copy and restart it: docs/operate/runbooks/fleet.md")
	}
}
