package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session/gateway/gatewaytest"
	"wavryhost/session/progress"
)

// inBubble runs a test in a bubble, where time is faked and a goroutine that is left fails it.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestLinkBindsAndAnswersOffers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{Origins: []string{"http://localhost:3000"}}, nil)
		defer r.close()
		r.state(StateBound, "")
		want := []State{StateDisconnected, StateLoggingIn, StateConnecting, StateBinding, StateBound}
		if !slices.Equal(r.counts.states, want) {
			t.Errorf("states %v; want %v", r.counts.states, want)
		}
		if s := r.link.Status(); s.Username != "host" || s.Route != routeProven ||
			s.Gateway != "127.0.0.1:3000" || s.Dialect != "wavry" {
			t.Errorf("status %+v", s)
		}
		alice := r.join("alice")
		defer alice.close()
		if m := alice.offer("offer 1"); m.Kind != KindAnswer || m.SDP != "answer s1" || m.Peer != "host" {
			t.Errorf("got %+v; want the answer", m)
		}
		alice.raw(`{"type":"REQUEST_RELAY","payload":{"target_username":"host"}}`)
		bare := "candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host"
		alice.send(Wavry{}, Message{Kind: KindCandidate, Peer: "host", Candidate: bare})
		alice.send(Wavry{}, Message{
			Kind: KindCandidate, Peer: "host",
			Candidate: `{"candidate":"` + bare + `","sdpMid":"0","sdpMLineIndex":0}`,
		})
		alice.send(Wavry{}, Message{Kind: KindCandidate, Peer: "host", Candidate: "nonsense"})
		alice.send(Wavry{}, Message{Kind: KindCandidate, Peer: "host", Candidate: `{"candidate":""}`})
		synctest.Wait()
		offers, patches, ended := r.mgr.got()
		if len(offers) != 1 || offers[0].Display != "default" || offers[0].SDP != "offer 1" ||
			offers[0].RemoteAddr != "gateway:alice" {
			t.Errorf("offers %+v", offers)
		}
		line := "a=" + bare + "\r\n"
		if len(patches) != 3 || !strings.HasSuffix(patches[0], line) || patches[0] != patches[1] ||
			!strings.HasSuffix(patches[2], "a=end-of-candidates\r\n") {
			t.Errorf("patches %q; want two candidates and their end", patches)
		}
		if len(ended) != 0 || r.counts.of("offer answered") != 1 || r.counts.of("dropped malformed") != 1 ||
			r.counts.of("received relay") != 1 {
			t.Errorf("ended %v, counted %v", ended, r.counts.counts)
		}
	})
}

func TestRefusalsOfTheGatewayAreClassified(t *testing.T) {
	token := func(r *rig, c *Config) {
		r.files.write("token", r.Token("host")+"\n")
		c.AccountFile, c.TokenFile = "", "token"
	}
	for name, c := range map[string]struct {
		setup  gatewaytest.Config
		change func(*rig, *Config)
		state  State
		class  Class
		after  time.Duration
	}{
		"origin": {
			gatewaytest.Config{Origins: []string{"tauri://localhost"}},
			nil, StateBlocked,
			ClassOrigin, 0,
		},
		"no room": {gatewaytest.Config{PerIP: -1}, nil, StateDisconnected, ClassCapacity, 0},
		"down": {gatewaytest.Config{}, func(r *rig,
			_ *Config,
		) {
			r.Fault(func(f *gatewaytest.Faults) { f.Down = true })
		}, StateDisconnected, ClassServer, 0},
		"bind rate": {gatewaytest.Config{Binds: -1}, token, StateDisconnected, ClassRate, 0},
		"wrong password": {gatewaytest.Config{}, func(r *rig, _ *Config) {
			r.files.write("account",
				accountFile("wrong"))
		}, StateBlocked, ClassCredentials, 0},
		"no account": {
			gatewaytest.Config{},
			func(_ *rig, c *Config) { c.AccountFile = "none" },
			StateBlocked, ClassCredentials, 0,
		},
		"bad account": {gatewaytest.Config{}, func(r *rig, _ *Config) {
			r.files.write("account",
				"email: x")
		}, StateBlocked, ClassCredentials, 0},
		"bad token": {gatewaytest.Config{}, func(r *rig, c *Config) {
			token(r, c)
			r.files.write("token", "1234")
		}, StateBlocked, ClassCredentials, 0},
		"suspended": {
			gatewaytest.Config{},
			func(r *rig, _ *Config) { r.Ban(email) }, StateBlocked,
			ClassSuspended, 0,
		},
		"second factor": {
			gatewaytest.Config{},
			func(r *rig, _ *Config) { r.AskTOTP(email) }, StateBlocked,
			ClassCredentials, 0,
		},
		"other dialect": {gatewaytest.Config{}, func(r *rig, c *Config) {
			token(r, c)
			c.Dialect = Master{}
		}, StateBlocked, ClassProtocol, 0},
		"gateway is the master": {gatewaytest.Config{Master: true}, token, StateBlocked, ClassProtocol, 0},
		"no gateway": {gatewaytest.Config{}, func(r *rig, c *Config) {
			token(r,
				c)
			c.URL += "/elsewhere"
		}, StateBlocked, ClassProtocol, 0},
		"no login here": {gatewaytest.Config{}, func(_ *rig,
			c *Config,
		) {
			c.URL = "ws://127.0.0.1/x/ws"
		}, StateBlocked, ClassProtocol, 0},
		"bind timeout": {gatewaytest.Config{}, func(r *rig, _ *Config) {
			r.Fault(func(f *gatewaytest.Faults) { f.NoBound = true })
		}, StateDisconnected, ClassTimeout, boundTimeout},
		"server fault": {gatewaytest.Config{}, func(r *rig, _ *Config) {
			r.Fault(func(f *gatewaytest.Faults) { f.Reply = `{"type":"Error","payload":{"message":"Token lookup failed"}}` })
		}, StateDisconnected, ClassServer, 0},
		"stalled": {gatewaytest.Config{}, func(r *rig, _ *Config) {
			r.Fault(func(f *gatewaytest.Faults) { f.Stalled = true })
		}, StateDisconnected, ClassTimeout, boundTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				r := open(t, c.setup, c.change)
				defer r.close()
				r.within(c.after+closeTimeout+time.Second, "failure",
					func() bool { return r.link.Status().Class != "" })
				s := r.link.Status()
				if s.State != c.state.String() || s.Class != c.class.String() || s.Reason == "" ||
					r.counts.of("failure "+c.class.String()) != 1 {
					t.Fatalf("link is %+v; want %v, class %v", s, c.state, c.class)
				}
				wait := time.Until(s.NextTry)
				if c.state == StateBlocked && (wait < blockedWait-time.Minute || wait > 2*blockedWait) {
					t.Errorf("blocked for %v; want %v to twice that", wait, blockedWait)
				}
				if c.state != StateBlocked && wait > 2*rateWait {
					t.Errorf("waits for %v; want a minute or two at most", wait)
				}
			})
		})
	}
}

func TestABlockedLinkHeedsNewCredentials(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, func(r *rig, _ *Config) { r.files.write("account", accountFile("wrong")) })
		defer r.close()
		r.state(StateBlocked, "credentials")
		time.Sleep(10 * time.Minute)
		if n := r.Seen().Logins; n != 1 {
			t.Errorf("%d logins with a password that is known to be wrong; want 1", n)
		}
		r.files.write("account", accountFile(password))
		r.within(fileInterval+time.Second, "bound", r.bound)
	})
}

func TestAnExpiredTokenIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		r.state(StateBound, "")
		time.Sleep(time.Hour)
		r.Expire("host")
		r.state(StateBound, "") // the connection stays
		r.Restart()
		r.within(20*time.Second, "bound", func() bool { return r.Seen().Bound == 2 && r.bound() })
		if n := r.Seen().Logins; n != 2 || r.counts.of("failure token") != 1 {
			t.Errorf("%d logins, counted %v; want 2, one for the rejected token", n, r.counts.counts)
		}
	})
}

func TestAHeldTokenIsUsedUntilItsEndIsNear(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		time.Sleep(2 * time.Hour)
		r.Restart()
		r.within(20*time.Second, "bound", r.bound)
		if n := r.Seen().Logins; n != 1 {
			t.Errorf("%d logins; want 1", n)
		}
		time.Sleep(22*time.Hour - 3*time.Minute)
		r.Restart()
		r.within(20*time.Second, "bound", func() bool { return r.Seen().Bound == 3 && r.bound() })
		if n := r.Seen().Logins; n != 2 || r.counts.of("failure token") != 0 {
			t.Errorf("%d logins, counted %v; want 2, before the token was void", n, r.counts.counts)
		}
	})
}

func TestATokenFileIsReadAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, func(r *rig, c *Config) {
			r.files.write("token", r.Token("host"))
			c.AccountFile, c.TokenFile, c.Username = "", "token", "Host"
		})
		defer r.close()
		r.state(StateBound, "")
		if s := r.link.Status(); s.Route != routeProven {
			t.Errorf("route %s; want proven", s.Route)
		}
		r.Expire("host")
		r.Restart()
		r.within(time.Minute, "blocked", func() bool { return r.link.Status().State == StateBlocked.String() })
		if n := r.counts.of("failure token"); n != 2 {
			t.Errorf("the token was tried %d times; want twice", n)
		}
		r.files.write("token", r.Token("host"))
		r.within(fileInterval+time.Second, "bound", r.bound)
	})
}

func TestASlowBoundIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, func(r *rig, _ *Config) {
			r.Fault(func(f *gatewaytest.Faults) { f.BoundDelay = 15 * time.Second })
		})
		defer r.close()
		r.state(StateBinding, "")
		time.Sleep(16 * time.Second)
		r.state(StateBound, "")
	})
}

func TestARestartOfTheGatewayIsFollowedByANewBind(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		time.Sleep(2 * time.Minute)
		r.Restart()
		r.state(StateDisconnected, "network")
		if took := r.within(firstWait+time.Second, "bound", r.bound); took < leastWait {
			t.Errorf("bound after %v; want at least %v", took, leastWait)
		}
		if s := r.link.Status(); s.Route != routeProven || !s.NextTry.IsZero() || s.Failures != 1 {
			t.Errorf("status %+v", s)
		}
		time.Sleep(steadyAfter)
		if s := r.link.Status(); s.Failures != 0 {
			t.Errorf("status %+v after a minute", s)
		}
	})
}

func TestAHalfOpenConnectionIsFoundOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		r.HalfOpen("host")
		r.within(pingInterval+pingTimeout+time.Second, "failure",
			func() bool { return r.counts.of("failure timeout") == 1 })
		r.within(firstWait+closeTimeout+time.Second, "bound", r.bound)
	})
}

// The gateway deletes a user's route when an older connection of the user ends, though a newer one is bound.
func TestALostRouteIsFoundOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{ForgetsRoutes: true}, nil)
		defer r.close()
		r.HalfOpen("host")
		r.within(time.Minute, "bound again", func() bool { return r.Seen().Bound == 2 && r.bound() })
		r.Notice()
		synctest.Wait()
		if r.Routed("host") {
			t.Fatal("the fake has not deleted the route")
		}
		r.state(StateBound, "timeout") // it cannot know yet
		r.within(probeInterval+probeTimeout+time.Second, "failure",
			func() bool { return r.counts.of("failure unrouted") == 1 })
		r.within(2*firstWait+closeTimeout, "bound", func() bool { return r.bound() && r.Routed("host") })
		if s := r.link.Status(); s.Route != routeProven {
			t.Errorf("route %s; want proven", s.Route)
		}
	})
}

func TestAGatewayThatReturnsNothingIsBoundNevertheless(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{KeepsOwn: true}, nil)
		defer r.close()
		r.within(2*time.Minute, "the third probe",
			func() bool { return r.counts.of("failure unrouted") == probesInVain-1 && r.bound() })
		time.Sleep(time.Hour)
		r.state(StateBound, "unrouted")
		if s := r.link.Status(); s.Route != routeUnproven || r.counts.of("failure unrouted") != probesInVain-1 {
			t.Errorf("status %+v after %v", s, r.counts.counts)
		}
	})
}

func TestAReplacedLinkDoesNotFight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		other := r.join("host")
		defer other.close()
		r.state(StateBlocked, "replaced")
		time.Sleep(blockedWait - time.Second)
		if s := r.Seen(); s.Bound != 2 || r.Open() != 1 || !r.Routed("host") {
			t.Errorf("%d binds, %d connections; want the other's left alone", s.Bound, r.Open())
		}
	})
}

func TestAFlappingGatewayIsLeftInPeace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, func(r *rig, _ *Config) {
			r.Fault(func(f *gatewaytest.Faults) { f.EndAfterBound = true })
		})
		defer r.close()
		time.Sleep(time.Hour)
		binds := r.Seen().BindTimes
		for i := range binds {
			n := 0
			for _, at := range binds[i:] {
				if at.Sub(binds[i]) < time.Minute {
					n++
				}
			}
			// Waits are random. More than eight binds happen in one of 2,700 such hours, more than ten in none of
			// millions.
			if n > 10 {
				t.Fatalf("%d binds in a minute; the gateway takes ten from an address", n)
			}
		}
		// Waits of up to two minutes have a mean of one.
		if n := len(binds); n < 30 || n > 100 {
			t.Errorf("%d binds in an hour", n)
		}
		r.Fault(func(f *gatewaytest.Faults) { f.EndAfterBound = false })
		r.within(longestWait+time.Second, "bound", func() bool {
			return r.bound() &&
				r.link.Status().Route == routeProven
		})
	})
}

func TestAStalledGatewayDelaysNoStop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		r.state(StateBound, "")
		r.HalfOpen("host")
		begin := time.Now()
		r.stop()
		if took := time.Since(begin); took > closeTimeout {
			t.Errorf("the link took %v to end; want %v at most", took, closeTimeout)
		}
		if s := r.link.Status(); s.State != StateDisconnected.String() {
			t.Errorf("status %+v", s)
		}
		r.shut()
	})
}

func TestTheLinkStaysWithinTheGatewaysLimits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			r.link.out.put(Message{Kind: KindAnswer, Peer: "nobody", SDP: "x"})
		}
		r.state(StateBound, "")
		if n := r.Seen().WorstMinute; n > 600 || n < 400 {
			t.Errorf("%d frames in a minute; want less than 600, and most of them used", n)
		}
		if r.counts.of("dropped outbox") == 0 {
			t.Error("nothing was dropped though more was to be sent than may be")
		}
	})
}

func TestTheMastersDialect(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{Master: true}, func(r *rig, c *Config) {
			r.files.write("token", "0123456789abcdef")
			c.AccountFile, c.TokenFile, c.Dialect, c.Allow = "", "token", Master{}, []string{"user_alicealice"[:13]}
		})
		defer r.close()
		r.state(StateBound, "")
		if s := r.link.Status(); s.Username != "user_01234567" || s.Route != routeProven {
			t.Errorf("status %+v", s)
		}
		client := r.client()
		alice := join(t, "ws://127.0.0.1:3000/ws", r.Gateway, client, "user_alicealice", Master{})
		defer alice.close()
		alice.send(Master{}, Message{Kind: KindOffer, Peer: "user_01234567", SDP: "offer"})
		if m := alice.next(Master{}); m.Kind != KindAnswer || m.SDP != "answer s1" {
			t.Errorf("got %+v; want the answer", m)
		}
	})
}

// A pool behind one address gets ten binds a minute together, and comes back without help.
func TestAPoolComesBackAfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const hosts = 30
		r := open(t, gatewaytest.Config{PerIP: hosts + 1}, func(r *rig,
			_ *Config,
		) {
			r.Fault(func(f *gatewaytest.Faults) { f.Down = true })
		})
		defer r.close()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		links := []*Link{r.link}
		for i := range hosts - 1 {
			name := fmt.Sprintf("host%d", i)
			r.files.write(name, r.Token(name))
			link, err := New(Config{
				URL: "ws://127.0.0.1:3000/ws", TokenFile: name, Username: name, ReadFile: r.files.read,
				Allow: []string{"*"},
			}, r.mgr, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			link.dial = r.net.dial
			links = append(links, link)
			wg.Go(func() { _ = link.Run(ctx) }) // nil
		}
		all := func() bool {
			return !slices.ContainsFunc(links, func(l *Link) bool { return l.Status().Route != routeProven })
		}
		time.Sleep(time.Minute)
		r.Fault(func(f *gatewaytest.Faults) { f.Down = false })
		// Of 60 runs the slowest took ten minutes, and each two more are half as likely: waits are random.
		first := r.within(time.Hour, "all bound", all)
		time.Sleep(10 * time.Minute)
		r.Restart()
		again := r.within(time.Hour, "all bound again", all)
		t.Logf("%d hosts behind one address were bound after %v, and after a restart of the gateway after %v",
			hosts, first, again)
	})
}

// broken is a dialect that panics at what some gateway sends.
type broken struct {
	Dialect
	panics *atomic.Int32 // how often
}

func (b broken) Decode(frame []byte) (Message, error) {
	if b.panics.Add(-1) >= 0 {
		panic("planted in a frame")
	}
	return b.Dialect.Decode(frame)
}

// A panic of what reads the gateway's messages costs the connection, which is made anew.
func TestPanicCostsTheConnectionAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var panics atomic.Int32
		panics.Store(2)
		r := open(t, gatewaytest.Config{}, func(_ *rig, c *Config) { c.Dialect = broken{Wavry{}, &panics} })
		defer r.close()
		r.within(5*time.Minute, "bound", r.bound)
		if n := r.counts.of("failure network"); n != 2 || !strings.Contains(r.logged.String(), "planted in a frame") {
			t.Errorf("%d failures, log:\n%s", n, &r.logged)
		}
	})
}

// heldTally is a tally that blocks the loop that counts, while it hangs.
type heldTally struct {
	*tally
	hangs atomic.Bool
	held  chan struct{}
}

func (h *heldTally) Received(k Kind) {
	if h.hangs.Load() {
		<-h.held
	}
	h.tally.Received(k)
}

// A loop that hangs in a message of the gateway is seen. Waiting for messages is no fault.
func TestHungGatewayLoopIsSeen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		board, counts := progress.New(), &heldTally{held: make(chan struct{})}
		r := open(t, gatewaytest.Config{}, func(r *rig, c *Config) {
			counts.tally = r.counts
			c.Counters, c.Progress = counts, board
		})
		defer r.close()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("without a fault: %v", got)
		}
		alice := r.join("alice")
		defer alice.close()
		counts.hangs.Store(true)
		alice.send(Wavry{}, Message{Kind: KindCandidate, Peer: "host", Candidate: "nonsense"})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := board.Longest(time.Now())[progress.Gateway]; got < progress.Limit {
			t.Errorf("the longest step is %v; want over %v", got, progress.Limit)
		}
		counts.hangs.Store(false)
		close(counts.held)
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("after the fault: %v", got)
		}
	})
}
