package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"wavryhost/session/api/problem"
	"wavryhost/session/fleet/bus"

	"github.com/nats-io/nats.go"
)

const (
	// requestTimeout bounds the time for an answer.
	requestTimeout = 20 * time.Second
)

// server is the part of an agent that answers requests of the control API.
type server struct{ *Agent }

// serve answers a request of the control API.
func (a server) serve(ctx context.Context, nc *nats.Conn, m *nats.Msg) {
	caller, all, err := bus.CallerOf(m.Subject)
	if err != nil || m.Reply == "" {
		a.cfg.Counters.Dropped(DropMalformed)
		return
	}
	if a.rivals.silent(time.Now()) {
		return
	}
	q, err := bus.ParseRequest(m)
	if all && err == nil {
		own := a.rivals.record()
		own.ID = a.id
		if !q.Selector.Matches(own) {
			return
		}
	}
	if err != nil {
		a.cfg.Counters.Dropped(DropMalformed)
		a.refuse(nc, m.Reply, problem.New(problem.BadRequest, "%s", strings.TrimPrefix(err.Error(), "fleet: ")))
		return
	}
	if p := a.replays.fresh(q, time.Now()); p != nil {
		a.cfg.Counters.Dropped(DropReplayed)
		a.refuse(nc, m.Reply, p)
		return
	}
	if strings.HasPrefix(q.Path, "/v1/events") {
		a.refuse(nc, m.Reply, problem.New(problem.BadRequest, "a stream has no end: follow the events of the fleet, with "+
			"\"wavry-host fleet watch --events\""))
		return
	}
	select {
	case a.busy <- struct{}{}:
	default:
		a.cfg.Counters.Dropped(DropFull)
		a.refuse(nc, m.Reply, problem.New(problem.TooManyRequests, "the host answers %d requests of the fleet already",
			maxRequests).RetryAfter(time.Second))
		return
	}
	a.begin(func() {
		defer func() { <-a.busy }()
		a.answer(ctx, nc, m, q, caller)
	})
}

// answer passes a request to the API, and sends its answer.
func (a server) answer(ctx context.Context, nc *nats.Conn, m *nats.Msg, q bus.Request, c bus.Caller) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := q.HTTP(ctx)
	if err != nil {
		a.refuse(nc, m.Reply, problem.New(problem.BadRequest, "%s", strings.TrimPrefix(err.Error(), "fleet: ")))
		return
	}
	w := &answered{header: http.Header{}}
	a.cfg.Serve(w, r, c)
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		a.rooms.forget()
	}
	if key := q.Header.Get("Idempotency-Key"); key != "" && w.code() == http.StatusCreated {
		var in struct {
			Display string `json:"display"`
		}
		_ = json.Unmarshal(q.Body, &in) // the API has understood it
		a.rooms.hold(key, in.Display, time.Now())
	}
	if w.long {
		a.refuse(nc, m.Reply, problem.New(problem.Internal, "the answer is larger than the %d bytes that the fleet allows",
			bus.MaxAnswer))
		return
	}
	a.cfg.Counters.Request(w.code())
	for _, part := range bus.Answers(m.Reply, a.id, w.code(), w.header, w.body) {
		if err := nc.PublishMsg(part); err != nil {
			a.log.Debug("fleet answer not sent", "err", err)
			return
		}
	}
}

// refuse answers with a problem document.
func (a server) refuse(nc *nats.Conn, reply string, p *problem.Error) {
	d := p.Document("")
	h := p.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", problem.Media)
	a.cfg.Counters.Request(d.Status)
	for _, part := range bus.Answers(reply, a.id, d.Status, h, bus.Encode(d)) {
		_ = nc.PublishMsg(part)
	}
}

// answered is the answer of the API.
type answered struct {
	header http.Header
	status int
	body   []byte
	long   bool
}

var _ http.ResponseWriter = (*answered)(nil)

func (w *answered) Header() http.Header { return w.header }

func (w *answered) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *answered) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if len(w.body)+len(p) > bus.MaxAnswer {
		w.long = true
		return 0, fmt.Errorf("fleet: the answer is larger than %d bytes", bus.MaxAnswer)
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

func (w *answered) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
