package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/session"
	"wavryhost/session/gateway/gatewaytest"
	"wavryhost/session/peer"
)

// desk is the part of a link that handles callers, alone.
type desk struct {
	*calls
	mgr    *fakeManager
	counts *tally
	deliv  func(Message)
	end    func()
}

func openDesk(t *testing.T, change func(*Config)) *desk {
	t.Helper()
	d := &desk{mgr: &fakeManager{}, counts: &tally{}}
	cfg := Config{Counters: d.counts, Allow: []string{"*"}}
	if change != nil {
		change(&cfg)
	}
	cfg = cfg.withDefaults()
	allow, err := newAllowList(cfg.Allow)
	if err != nil {
		t.Fatal(err)
	}
	d.calls = newCalls(cfg, "gateway.example", allow, d.mgr, newOutbox(d.counts), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	d.deliv = func(m Message) { d.deliver(ctx, m) }
	d.end = func() { cancel(); d.wg.Wait() }
	return d
}

func (d *desk) offer(peer string) {
	d.deliv(Message{Kind: KindOffer, Peer: peer, SDP: "offer"})
	synctest.Wait()
}

func (d *desk) candidate(peer, value string) {
	d.deliv(Message{Kind: KindCandidate, Peer: peer, Candidate: "candidate:" + value})
	synctest.Wait()
}

func TestOnlyWhoIsOnTheListMayOffer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, func(c *Config) { c.Allow = []string{"alice", "Bob"} })
		defer d.end()
		for _, peer := range []string{"mallory", "alice2", "alic", "*"} {
			d.offer(peer)
			d.candidate(peer, "1")
		}
		if offers, _, _ := d.mgr.got(); len(offers) != 0 || len(d.callers) != 0 {
			t.Errorf("%d offers came through, %d callers are kept", len(offers), len(d.callers))
		}
		if n, m := d.counts.of("offer not_allowed"), d.counts.of("dropped not_allowed"); n != 4 || m != 4 {
			t.Errorf("counted %d and %d; want 4 of each", n, m)
		}
		for _, peer := range []string{"ALICE", "bob"} {
			d.offer(peer)
		}
		if offers, _, _ := d.mgr.got(); len(offers) != 2 {
			t.Errorf("%d offers came through; want 2", len(offers))
		}
	})
}

func TestUsersAreWhatTheSettingSays(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"viewer": nil, "controller": func(c *Config) { c.Role = session.RoleController },
	} {
		inBubble(t, func(t *testing.T) {
			d := openDesk(t, change)
			defer d.end()
			d.offer("ann")
			if offers, _, _ := d.mgr.got(); len(offers) != 1 || offers[0].Role.String() != name {
				t.Errorf("offers %+v; want one of a %s", offers, name)
			}
		})
	}
}

func TestRefusedOffersAreCountedByReason(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Result
	}{
		{session.ErrFull, ResultFull},
		{session.ErrDraining, ResultDraining},
		{fmt.Errorf("%w: no ice-ufrag", peer.ErrBadOffer), ResultMalformed},
		{peer.ErrUnacceptable, ResultUnacceptable},
		{session.ErrUnknownDisplay, ResultNoPicture},
		{session.ErrNoPicture, ResultNoPicture},
		{errors.New("out of luck"), ResultError},
	} {
		inBubble(t, func(t *testing.T) {
			d := openDesk(t, nil)
			defer d.end()
			d.mgr.set(func(m *fakeManager) { m.createErr = c.err })
			d.offer("alice")
			if d.counts.of("offer "+c.want.String()) != 1 {
				t.Errorf("%v: counted %v; want one %v", c.err, d.counts.counts, c.want)
			}
			if m, ok := d.out.take(); ok {
				t.Errorf("%v: sent %+v", c.err, m)
			}
		})
	}
}

func TestCandidatesBeforeTheirOfferAreKeptForAWhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, nil)
		defer d.end()
		d.candidate("alice", "old")
		time.Sleep(earlyFor)
		d.candidate("alice", "new")
		for range 2 * maxCandidates {
			d.candidate("bob", "flood")
		}
		d.offer("alice")
		d.candidate("alice", "late")
		_, patches, _ := d.mgr.got()
		want := []string{"s1 " + fragmentOf("new"), "s1 " + fragmentOf("late")}
		if !slices.Equal(patches, want) {
			t.Errorf("patches %q; want %q", patches, want)
		}
		if n := d.counts.of("dropped busy"); n != maxCandidates {
			t.Errorf("%d candidates were dropped; want %d", n, maxCandidates)
		}
	})
}

func TestABadCandidateHarmsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, nil)
		defer d.end()
		d.offer("alice")
		d.mgr.set(func(m *fakeManager) { m.patchErr = peer.ErrBadOffer })
		d.candidate("alice", "bad")
		d.mgr.set(func(m *fakeManager) { m.patchErr = nil })
		for range 2 * maxCandidates {
			d.candidate("alice", "good")
		}
		_, patches, ended := d.mgr.got()
		if len(patches) != maxCandidates-1 || len(ended) != 0 || d.counts.of("dropped unexpected") != 1 {
			t.Errorf("%d patches, ended %v, counted %v", len(patches), ended, d.counts.counts)
		}
	})
}

// The session manager decides what a user may have, and gets the owner of each offer.
func TestOffersHaveAnOwner(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var opened []string
		d := openDesk(t, func(c *Config) {
			c.Role = session.RoleController
			c.Opened = func(o session.Owner, r session.Role, id string, err error) {
				opened = append(opened, fmt.Sprint(o.Credential, " ", o.Issuer, " ", o.Name, " ", r, " ", id,
					" ", err != nil))
			}
		})
		defer d.end()
		d.offer("Alice")
		d.mgr.set(func(m *fakeManager) { m.createErr = &session.RefusalError{Resource: session.ResourceOwner} })
		d.offer("alice")
		d.mgr.set(func(m *fakeManager) { m.createErr = &session.RefusalError{Resource: "sessions"} })
		d.offer("alice")
		offers, _, _ := d.mgr.got()
		want := session.Owner{Credential: session.CredentialGateway, Issuer: "gateway.example", Name: "alice"}
		for _, o := range offers {
			if o.Owner != want || !o.Guest || o.Role != session.RoleController {
				t.Errorf("offered %+v; want it of %+v, a guest", o, want)
			}
		}
		if d.counts.of("offer too_many") != 1 || d.counts.of("offer full") != 1 {
			t.Errorf("counted %v", d.counts.counts)
		}
		told := []string{
			"gateway gateway.example alice controller s1 false",
			"gateway gateway.example alice controller  true", "gateway gateway.example alice controller  true",
		}
		if !slices.Equal(opened, told) {
			t.Errorf("told %q; want %q", opened, told)
		}
	})
}

// A user who is removed from the list, or gets another role, loses the sessions.
func TestPolicyChanges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, func(c *Config) { c.Allow = []string{"alice", "bob", "cid"} })
		defer d.end()
		link := &Link{calls: d.calls}
		for _, name := range []string{"alice", "bob", "bob"} {
			d.offer(name)
		}
		if _, err := link.Prepare(nil, session.RoleViewer); err == nil {
			t.Error("an empty list is taken")
		}
		apply, err := link.Prepare([]string{"Alice", "dan"}, session.RoleViewer)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, _, ended := d.mgr.got(); len(ended) != 0 {
			t.Errorf("%v ended before it was applied", ended)
		}
		apply()
		synctest.Wait()
		if _, _, ended := d.mgr.got(); !slices.Equal(ended, []string{"s2", "s3"}) {
			t.Errorf("ended %v; want both of bob's", ended)
		}
		d.offer("bob")
		d.offer("dan")
		if offers, _, _ := d.mgr.got(); len(offers) != 4 || d.counts.of("offer not_allowed") != 1 {
			t.Errorf("%d offers, counted %v; want dan's taken and bob's not", len(offers), d.counts.counts)
		}
		if apply, err = link.Prepare([]string{"*"}, session.RoleController); err != nil {
			t.Fatal(err)
		}
		apply()
		synctest.Wait()
		if _, _, ended := d.mgr.got(); !slices.Equal(slices.Sorted(slices.Values(ended)), []string{
			"s1", "s2",
			"s3", "s4",
		}) {
			t.Errorf("ended %v; want all who were viewers", ended)
		}
	})
}

// A list that changes while a session is created applies to that session.
func TestPolicyChangesDuringAnOffer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, func(c *Config) { c.Allow = []string{"alice"} })
		defer d.end()
		block := make(chan struct{})
		d.mgr.set(func(m *fakeManager) { m.block = block })
		d.offer("alice")
		apply, err := (&Link{calls: d.calls}).Prepare([]string{"bob"}, session.RoleViewer)
		if err != nil {
			t.Fatal(err)
		}
		apply()
		close(block)
		synctest.Wait()
		if _, _, ended := d.mgr.got(); !slices.Equal(ended, []string{"s1"}) {
			t.Errorf("ended %v; want the session that was being created", ended)
		}
	})
}

func TestAUserMayNotOfferWithoutEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, nil)
		defer d.end()
		for range 100 {
			d.offer("alice")
			time.Sleep(100 * time.Millisecond)
		}
		offers, _, _ := d.mgr.got()
		if n := len(offers); n < offerBurst || n > offerBurst+4 {
			t.Errorf("%d of 100 offers in 10 s came through", n)
		}
		if n := d.counts.of("offer rate"); n+len(offers) != 100 {
			t.Errorf("%d were refused, %d came through; want 100 together", n, len(offers))
		}
	})
}

func TestASlowSessionDelaysNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, nil)
		defer d.end()
		block := make(chan struct{})
		d.mgr.set(func(m *fakeManager) { m.block = block })
		d.offer("alice")
		d.mgr.set(func(m *fakeManager) { m.block = nil })
		for range 2 * mailboxSize {
			d.candidate("alice", "1") // it does not block
		}
		d.offer("bob")
		if m, ok := d.out.take(); !ok || m.Peer != "bob" {
			t.Errorf("got %+v; want the answer for bob", m)
		}
		if n := d.counts.of("dropped busy"); n != mailboxSize {
			t.Errorf("%d messages were dropped; want %d", n, mailboxSize)
		}
		time.Sleep(createTimeout) // a session that hangs is given up
		synctest.Wait()
		if n := d.counts.of("offer error"); n != 1 {
			t.Errorf("counted %v; want an error for alice", d.counts.counts)
		}
		close(block)
	})
}

func TestCallersAreBoundedAndForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, func(c *Config) { c.MaxCallers = 3 })
		defer d.end()
		for i := range 10 {
			d.offer(fmt.Sprintf("user%d", i))
		}
		if n, dropped := len(d.callers), d.counts.of("dropped callers"); n != 3 || dropped != 7 {
			t.Errorf("%d callers, %d messages dropped; want 3 and 7", n, dropped)
		}
		d.mgr.set(func(m *fakeManager) { delete(m.alive, "s1"); delete(m.alive, "s2") })
		time.Sleep(callerIdle + time.Second)
		synctest.Wait()
		if n := len(d.callers); n != 1 {
			t.Errorf("%d callers are left; want the one whose session runs", n)
		}
	})
}

func TestASessionWhoseAnswerIsLostIsEnded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := openDesk(t, nil)
		defer d.end()
		for d.out.put(Message{Kind: KindAnswer, Peer: "x", SDP: "x"}) {
			continue
		}
		d.offer("alice")
		if _, _, ended := d.mgr.got(); !slices.Equal(ended, []string{"s1"}) || d.counts.of("offer undelivered") != 1 {
			t.Errorf("ended %v, counted %v", ended, d.counts.counts)
		}
		time.Sleep(staleAfter)
		d.offer("alice") // what is stale makes room
		if m, ok := d.out.take(); !ok || m.SDP != "answer s2" || d.counts.of("dropped stale") != outboxSize {
			t.Errorf("got %+v, counted %v; want the second answer alone", m, d.counts.counts)
		}
	})
}

// An answer that is ready while the link is down uses the next connection.
func TestAnAnswerSurvivesAShortOutage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		block := make(chan struct{})
		r.mgr.set(func(m *fakeManager) { m.block = block })
		alice := r.join("alice")
		alice.send(Wavry{}, Message{Kind: KindOffer, Peer: "host", SDP: "offer"})
		synctest.Wait()
		r.Restart()
		alice.close()
		r.state(StateDisconnected, "network")
		close(block)
		alice = r.join("alice")
		defer alice.close()
		if m := alice.next(Wavry{}); m.Kind != KindAnswer || m.SDP != "answer s1" {
			t.Errorf("got %+v; want the answer", m)
		}
	})
}

func TestALyingGatewayIsOutlasted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		alice := r.join("alice")
		defer alice.close()
		alice.offer("offer")
		r.mgr.set(func(m *fakeManager) { m.alive["s1"] = true })
		before := runtime.NumGoroutine()
		for i := range 100 {
			for _, frame := range []string{
				`{"type":"Offer","payload":{"target_username":"stranger` + fmt.Sprint(i) + `","sdp":"v=0"}}`,
				`{"type":"Answer","payload":{"target_username":"alice","sdp":"v=0"}}`,
				`{"type":"Bound"}`, `{"type":"Bye"}`, `[]`, `null`, `{`, "", `{"type":"Offer"}`, `{"type":7}`,
				`{"type":"Offer","payload":{"target_username":"alice","sdp":"` + strings.Repeat("x", 40<<10) + `"}}`,
				`{"type":"Candidate","payload":{"target_username":"alice","candidate":"` + strings.Repeat("x",
					5000) + `"}}`,
				`{"type":"Candidate","payload":{"target_username":"host","candidate":"forged"}}`,
				`{"type":"Error","payload":{"message":"Invalid OFFER payload"}}`,
				`{"type":"RELAY_CREDENTIALS","payload":{"token":"` + gatewaytest.RelayToken +
					`","addr":"127.0.0.1:3478","session_id":"x"}}`,
			} {
				if !r.Send("host", frame) {
					time.Sleep(100 * time.Millisecond)
				}
			}
			r.SendBinary("host", "\x01\x01\x00\x00")
		}
		// The flood may have taken the place of a probe's echo in the gateway's queue.
		r.within(time.Minute, "bound", func() bool { return r.bound() && r.link.Status().Route == routeProven })
		time.Sleep(10 * time.Second)
		if n := runtime.NumGoroutine() - before; n > 2 {
			t.Errorf("%d goroutines more than before", n)
		}
		if r.counts.of("dropped binary") == 0 || r.counts.of("received relay") == 0 ||
			r.counts.of("dropped malformed") == 0 {
			t.Errorf("counted %v", r.counts.counts)
		}
		if offers, _, ended := r.mgr.got(); len(offers) != 1 || len(ended) != 0 {
			t.Errorf("%d offers, ended %v; want alice's session left alone", len(offers), ended)
		}
		r.Send("host", `{"type":"Offer","payload":{"x":"`+strings.Repeat("x", 70<<10)+`"}}`)
		r.state(StateDisconnected, "server")
	})
}

// A gateway that repeats secrets in its errors gets none of them into the log; rig.close searches the log for the
// password.
func TestSecretsAreHidden(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		token := r.link.auth.held.token
		r.Send("host", `{"type":"Error","payload":{"message":"you sent `+token+`"}}`)
		synctest.Wait()
		r.close()
		if len(token) != 64 || strings.Contains(r.logged.String(), token) ||
			!strings.Contains(r.logged.String(), hiddenText) {
			t.Errorf("the log has the token, or no trace of the error:\n%s", r.logged.String())
		}
		if err := refusedLogin(401, []byte(`{"error":"no such password: `+password+`"}`),
			password); strings.Contains(err.Error(), password) {
			t.Error(err)
		}
	})
}

// Candidates may come by the gateway's HTTP bridge, which says whether the host is connected.
func TestTheBridgeReachesTheHost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := open(t, gatewaytest.Config{}, nil)
		defer r.close()
		body := map[string]string{"session_token": r.Token("alice"), "target_username": "host", "sdp": "offer"}
		if status := r.post("/webrtc/offer", body); status != 202 {
			t.Errorf("status %d; want 202", status)
		}
		synctest.Wait()
		if offers, _, _ := r.mgr.got(); len(offers) != 1 {
			t.Errorf("%d offers; want 1", len(offers))
		}
		body["target_username"] = "nobody"
		if status := r.post("/webrtc/offer", body); status != 404 {
			t.Errorf("status %d; want 404", status)
		}
	})
}
