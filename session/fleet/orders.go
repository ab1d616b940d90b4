package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"wavryhost/session/api/durable"
	"wavryhost/session/api/problem"
	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// ordersSpread spreads the hosts that read the list of orders at the same time, as after an outage of NATS.
	ordersSpread = time.Second
	// ordersInterval is how often the list is read without a reason: a message about a new order may be lost.
	ordersInterval = 5 * time.Minute
	// ordersPause is the pause after a failure to read the list.
	ordersPause = 10 * time.Second
	// orderTries is how often an order is tried that fails on the host; orderPause is between two attempts.
	orderTries, orderPause = 3, time.Second
	// readTimeout bounds the reading of one order.
	readTimeout = 5 * time.Second
	// maxDone bounds the orders that are remembered.
	maxDone = 4096
)

// obeyed is the file of the orders that the host has answered, each with its time of expiry.
type obeyed struct {
	path string
	done map[string]time.Time
	// next is the next order of the list, of the stream that was made then.
	next uint64
	made time.Time
}

// obeyedFile is the content of the file.
type obeyedFile struct {
	Version int                  `json:"version"`
	Orders  map[string]time.Time `json:"orders"`
}

const obeyedVersion = 1

// read reads the file. A file that is missing has no orders.
func (o *obeyed) read() error {
	o.done = make(map[string]time.Time)
	if o.path == "" {
		return nil
	}
	text, err := os.ReadFile(o.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f obeyedFile
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && f.Version != obeyedVersion {
		err = fmt.Errorf("%s is of version %d, not %d", o.path, f.Version, obeyedVersion)
	}
	if err == nil && f.Orders != nil {
		o.done = f.Orders
	}
	return err
}

// note remembers that an order was answered, and forgets the expired ones.
func (o *obeyed) note(id string, until, now time.Time) error {
	for one, end := range o.done {
		if end.Before(now) {
			delete(o.done, one)
		}
	}
	if len(o.done) < maxDone {
		o.done[id] = until
	}
	if o.path == "" {
		return nil
	}
	return durable.Replace(o.path, bus.Encode(obeyedFile{obeyedVersion, o.done}))
}

// announced notes that there is a new order, or that the list may have changed.
func (a *Agent) announced() {
	select {
	case a.orders <- struct{}{}:
	default:
	}
}

// orderTaker is the part of an agent that carries out standing orders.
type orderTaker struct{ *Agent }

// obey carries out standing orders until ctx ends: the present ones and all new ones, once each.
func (a orderTaker) obey(ctx context.Context, nc *nats.Conn) {
	js, err := jetstream.New(nc)
	if err != nil {
		a.log.Error("standing orders cannot be read", "err", err)
		return
	}
	o := &obeyed{path: a.cfg.OrdersFile}
	if err := o.read(); err != nil {
		a.log.Error("file of answered orders is not understood; orders in force are carried out again", "err", err)
	}
	wait := time.NewTimer(ordersInterval)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.orders:
		case <-wait.C:
		}
		pause(ctx, rand.N(ordersSpread))
		if a.joined.Swap(false) {
			o.next = 0 // the list may be another one, or the host may have been away for long
		}
		next := ordersInterval
		if err := a.readOrders(ctx, js, o); err != nil && ctx.Err() == nil {
			a.log.Debug("standing orders not read", "err", err)
			next = ordersPause
		}
		wait.Reset(next)
	}
}

// readOrders carries out the orders of the list that the host has not answered. A fleet without a list is no error.
func (a orderTaker) readOrders(ctx context.Context, js jetstream.JetStream, o *obeyed) error {
	ask, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s, err := js.Stream(ask, bus.StreamOrders)
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return nil
	}
	if err != nil {
		return err
	}
	info := s.CachedInfo()
	if !info.Created.Equal(o.made) {
		o.next, o.made = 0, info.Created
	}
	for o.next = max(o.next, info.State.FirstSeq, 1); o.next <= info.State.LastSeq; {
		one, cancel := context.WithTimeout(ctx, readTimeout)
		m, err := s.GetMsg(one, o.next, jetstream.WithGetMsgSubject(bus.SubjectOrders))
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		order, err := bus.ParseOrder(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
		if err != nil {
			a.cfg.Counters.Dropped(DropMalformed)
		} else if err := a.carryOut(ctx, js, o, order); err != nil {
			return err
		}
		o.next = m.Sequence + 1
	}
	return nil
}

// carryOut carries out an order that is for this host, unless the host has answered it.
func (a orderTaker) carryOut(ctx context.Context, js jetstream.JetStream, o *obeyed, order bus.Order) error {
	now, own := time.Now(), a.rivals.record()
	own.ID = a.id
	if _, done := o.done[order.ID]; done || order.Until.Before(now) || a.rivals.silent(now) ||
		!order.Selector.Matches(own) {
		return nil
	}
	r := bus.Result{Order: order.ID, Name: own.Name, At: now}
	for try := range orderTries {
		if try > 0 {
			pause(ctx, orderPause)
		}
		r.Status, r.Detail = a.request(ctx, order)
		if ctx.Err() != nil {
			return ctx.Err() // it is done at the next start
		}
		if r.Status < http.StatusInternalServerError && r.Status != http.StatusTooManyRequests {
			break
		}
	}
	a.log.Info("standing order carried out", "order", order.ID, "who", order.Caller.Name, "method", order.Method,
		"path", order.Path, "status", r.Status)
	if err := o.note(order.ID, order.Until, time.Now()); err != nil {
		a.log.Error("answered orders cannot be kept; orders in force are carried out again after a restart", "err", err)
	}
	m, err := r.Message(a.cfg.Bus.Identity)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := js.PublishMsg(ctx, m); err != nil {
		a.log.Warn("result of a standing order is not stored", "order", order.ID, "err", err)
	}
	return nil
}

// request passes an order to the control API, and returns the status and why it was refused.
func (a orderTaker) request(ctx context.Context, order bus.Order) (status int, detail string) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := order.HTTP(ctx)
	if err != nil {
		return http.StatusBadRequest, strings.TrimPrefix(err.Error(), "fleet: ")
	}
	w := &answered{header: http.Header{}, status: http.StatusInternalServerError}
	if a.cfg.Guard.Run(part, func() {
		w.status = 0
		a.cfg.Serve(w, r, order.Caller)
	}) != nil {
		return http.StatusInternalServerError, "the host failed"
	}
	a.rooms.forget()
	a.cfg.Counters.Request(w.code())
	if w.code() >= http.StatusBadRequest {
		var p problem.Document
		_ = json.Unmarshal(w.body, &p) // a status says enough
		detail = p.Detail
	}
	return w.code(), detail
}

// pause waits, or returns when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
