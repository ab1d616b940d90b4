package gatewaytest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// conn is one WebSocket.
type conn struct {
	g  *Gateway
	ws *websocket.Conn
	ip string
	// out has the frames to send. If it is full, frames are silently dropped.
	out chan outgoing

	username string // guarded by g.mu, as is the rest
	dead     bool
	since    time.Time // the begin of the window
	frames   int
}

type outgoing struct {
	frame  string
	binary bool
	// last reports whether the connection ends after it, without a Close frame.
	last bool
}

func (g *Gateway) allowed(origin string) bool {
	return len(g.cfg.Origins) == 0 || slices.Contains(g.cfg.Origins, strings.TrimSuffix(strings.ToLower(origin), "/"))
}

func (g *Gateway) socket(w http.ResponseWriter, r *http.Request) {
	ip := address(r)
	g.mu.Lock()
	g.seen.Upgrades++
	status := 0
	switch {
	case !g.allowed(r.Header.Get("Origin")):
		status = http.StatusForbidden
	case g.perIP[ip] >= g.cfg.PerIP:
		status = http.StatusTooManyRequests
	default:
		g.perIP[ip]++
	}
	if status != 0 {
		g.seen.Refused++
	}
	g.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	c := &conn{g: g, ip: ip, out: make(chan outgoing, outboxSize), since: time.Now()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the origin was checked
		OnPingReceived: func(context.Context, []byte) bool {
			g.mu.Lock()
			g.seen.Pings++
			alive := !c.dead && !g.faults.Stalled
			g.mu.Unlock()
			return alive && c.frame()
		},
		OnPongReceived: func(context.Context, []byte) { c.frame() },
	})
	if err != nil {
		return
	}
	ws.SetReadLimit(maxFrame)
	c.ws = ws
	g.mu.Lock()
	g.conns[c] = struct{}{}
	g.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { c.write(ctx) })
	c.read(ctx)
	cancel()
	c.cut()
	wg.Wait()
	c.gone()
}

// gone removes the connection, and with the fault ForgetsRoutes also the route of its user.
func (c *conn) gone() {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	delete(c.g.conns, c)
	c.g.perIP[c.ip]--
	if c.username != "" && (c.g.cfg.ForgetsRoutes || c.g.routes[c.username] == c) {
		delete(c.g.routes, c.username)
	}
}

// cut ends the connection without a Close frame.
func (c *conn) cut() { _ = c.ws.CloseNow() } // it may be closed

// put queues a frame. The caller holds g.mu.
func (c *conn) put(o outgoing) bool {
	select {
	case c.out <- o:
		return true
	default:
		return false
	}
}

// still waits while the connection is stalled, and reports whether the connection continues.
func (c *conn) still(ctx context.Context) bool {
	for {
		c.g.mu.Lock()
		stalled, changed := c.dead || c.g.faults.Stalled, c.g.changed
		c.g.mu.Unlock()
		if !stalled {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// frame counts a frame and reports whether it was within the limit.
func (c *conn) frame() bool {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if now := time.Now(); now.Sub(c.since) >= window {
		c.since, c.frames = now, 0
	}
	c.frames++
	c.g.seen.WorstMinute = max(c.g.seen.WorstMinute, c.frames)
	if c.frames <= c.g.cfg.Frames {
		return true
	}
	c.fatal("Rate limit exceeded")
	return false
}

// fatal sends an error and ends the connection. The caller holds g.mu.
func (c *conn) fatal(text string) {
	o := c.complaint(text)
	o.last = true
	c.put(o)
}

func (c *conn) complaint(text string) outgoing {
	if !c.g.cfg.Master {
		return outgoing{frame: encode("Error", map[string]string{"message": text})}
	}
	b, err := json.Marshal(map[string]any{"type": "ERROR", "code": nil, "message": text})
	if err != nil {
		panic(err) // texts can always be encoded
	}
	return outgoing{frame: string(b)}
}

func (c *conn) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-c.out:
			if !c.still(ctx) {
				return
			}
			kind := websocket.MessageText
			if o.binary {
				kind = websocket.MessageBinary
			}
			if err := c.ws.Write(ctx, kind, []byte(o.frame)); err != nil || o.last {
				c.cut()
				return
			}
		}
	}
}

func (c *conn) read(ctx context.Context) {
	opened := time.Now()
	for c.still(ctx) {
		kind, data, err := c.ws.Read(ctx)
		if alive := c.still(ctx); err != nil || !alive { // the end of a dead connection is not noticed either
			return
		}
		if !c.frame() {
			continue
		}
		c.g.mu.Lock()
		c.g.seen.Frames = append(c.g.seen.Frames, string(data))
		switch {
		case c.username == "" && time.Since(opened) > bindTimeout:
			c.fatal("Bind timeout")
		case kind == websocket.MessageBinary:
			c.fatal("Binary messages are not supported")
		default:
			c.take(data)
		}
		c.g.mu.Unlock()
	}
}
