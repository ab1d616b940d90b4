package session

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"wavryhost/session/admission"
)

// doorway opens sessions of several owners, all by the same offer, which nobody connects.
type doorway struct {
	*house
	sdp string
}

func openDoorway(t *testing.T, change func(*Config)) *doorway {
	t.Helper()
	h := openHouse(t, func(c *Config) {
		c.ConnectTimeout = time.Minute
		change(c)
	})
	h.alive(t)
	r := newRemote(t)
	t.Cleanup(func() {
		r.close()
		h.close(t)
	})
	return &doorway{h, r.offer(false)}
}

// guest opens a session of an owner, operator one of the operator's.
func (c *doorway) guest(t *testing.T, name string) (string, error) {
	t.Helper()
	return c.open(t, Offer{Owner: Owner{Credential: CredentialToken, Name: name}, Guest: true})
}

func (c *doorway) operator(t *testing.T) (string, error) {
	t.Helper()
	return c.open(t, Offer{Owner: Owner{Credential: CredentialOperatorToken, Name: "token"}})
}

func (c *doorway) open(t *testing.T, o Offer) (string, error) {
	t.Helper()
	o.Display, o.SDP = "default", c.sdp
	a, err := c.Create(t.Context(), o)
	return a.ID, err
}

// connect marks a session as connected.
func (c *doorway) connect(t *testing.T, id string) {
	t.Helper()
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	h := c.registry.sessions[id]
	if h == nil {
		t.Fatalf("session %s is gone", id)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connected, h.life.state, h.life.since, h.life.quiet = time.Now(), stateConnected, time.Now(), time.Now()
}

func (c *doorway) has(id string) bool {
	_, err := c.Session(id)
	return err == nil
}

func short(t *testing.T, err error, resource string) {
	t.Helper()
	r, ok := errors.AsType[*RefusalError](err)
	if !ok || r.Resource != resource || r.RetryAfter <= 0 {
		t.Errorf("got %v; want to be short of %s", err, resource)
	}
}

func must(t *testing.T, id string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// An owner has so many sessions. Of those the oldest that never connected makes room for the next.
func TestSessionsOfAnOwnerAreLimited(t *testing.T) {
	c := openDoorway(t, func(c *Config) { c.MaxPerOwner = 2 })
	var ids []string
	for range 4 {
		id, err := c.guest(t, "ann")
		ids = append(ids, must(t, id, err))
	}
	if c.has(ids[0]) || c.has(ids[1]) || !c.has(ids[2]) || !c.has(ids[3]) {
		t.Error("it is not the newest two that are left")
	}
	c.connect(t, ids[2])
	id, err := c.guest(t, "ann")
	must(t, id, err)
	if !c.has(ids[2]) || c.has(ids[3]) {
		t.Error("a session that is connected made room")
	}
	c.connect(t, id)
	_, err = c.guest(t, "ann")
	short(t, err, ResourceOwner)
	// Somebody else who goes by the same name is another owner, and who has more by its credential has more.
	id, err = c.open(t, Offer{Owner: Owner{Credential: CredentialGrant, Name: "ann"}, Guest: true})
	must(t, id, err)
	id, err = c.open(t, Offer{Owner: Owner{Credential: CredentialToken, Name: "ann"}, Guest: true, MaxSessions: 3})
	must(t, id, err)
	for range 5 { // operators open sessions for others
		id, err = c.operator(t)
		must(t, id, err)
	}
}

// One client whose offers never connect keeps nobody out, however many it makes.
func TestOneOwnerDoesNotTakeTheHost(t *testing.T) {
	for _, places := range []int{2, 3, 16} {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			c := openDoorway(t, func(c *Config) { c.MaxSessions = places })
			for range 2 * places {
				id, err := c.guest(t, "ann")
				must(t, id, err)
			}
			id, err := c.guest(t, "bob")
			c.connect(t, must(t, id, err))
			id, err = c.operator(t)
			if places >= 3 {
				must(t, id, err)
			}
		})
	}
}

// Many owners share the places: who has none gets one of who has several that are not connected.
func TestPlacesAreShared(t *testing.T) {
	c := openDoorway(t, func(c *Config) { c.MaxSessions, c.MaxPerOwner = 7, 3 })
	var anns []string
	for range 3 {
		for _, name := range []string{"ann", "bob"} {
			id, err := c.guest(t, name)
			must(t, id, err)
			if name == "ann" {
				anns = append(anns, id)
			}
		}
	}
	for _, id := range anns {
		c.connect(t, id)
	}
	for _, name := range []string{"cid", "dan"} { // of bob's, whose are not connected
		id, err := c.guest(t, name)
		must(t, id, err)
	}
	_, err := c.guest(t, "eve") // nobody has more than one to give
	short(t, err, "sessions")
	if n := len(c.Sessions()); n != 6 {
		t.Errorf("%d sessions; want 6, and the last place kept", n)
	}
	id, err := c.operator(t)
	must(t, id, err)
	id, err = c.operator(t) // who operates takes one of a guest's that never connected
	must(t, id, err)
	if n := len(c.Sessions()); n != 7 {
		t.Errorf("%d sessions; want 7", n)
	}
}

// Handshakes are shared like places.
func TestHandshakesAreShared(t *testing.T) {
	c := openDoorway(t, func(c *Config) { c.MaxSessions, c.MaxHandshakes, c.MaxPerOwner = 100, 9, 100 })
	for range 20 {
		id, err := c.guest(t, "ann")
		must(t, id, err)
	}
	if n := len(c.Sessions()); n != 2 {
		t.Errorf("%d sessions of one owner are connecting; want a quarter of those that may", n)
	}
	for i := range 7 {
		id, err := c.guest(t, fmt.Sprint("bob", i))
		must(t, id, err)
	}
	_, err := c.guest(t, "eve")
	short(t, err, string(admission.Handshakes))
	id, err := c.operator(t)
	must(t, id, err)
}

// age sets back the time at which a session was created.
func (c *doorway) age(id string, by time.Duration) {
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	c.registry.sessions[id].created = c.registry.sessions[id].created.Add(-by)
}

// A display for one viewer is not held by offers that never connect: the owner's own next offer replaces one, and
// anybody else's does after a grace, which the refusal names.
func TestConsoleIsNotHeldByAnOfferThatNeverConnects(t *testing.T) {
	c := openDoorway(t, func(c *Config) { c.Rules = []Rule{{Display: "*", MaxViewers: 1}} })
	id, err := c.guest(t, "ann")
	first := must(t, id, err)
	id, err = c.guest(t, "ann")
	again := must(t, id, err)
	if c.has(first) || !c.has(again) {
		t.Error("ann's second offer did not replace the first")
	}
	for _, other := range []func() (string, error){
		func() (string, error) { return c.guest(t, "bob") },
		func() (string, error) { return c.operator(t) },
	} {
		_, err = other()
		short(t, err, "display")
		if r, ok := errors.AsType[*RefusalError](err); !ok || r.RetryAfter > admission.ConnectGrace+time.Second {
			t.Errorf("told to come back after more than the grace: %+v", r)
		}
	}
	c.age(again, admission.ConnectGrace)
	id, err = c.guest(t, "bob")
	bob := must(t, id, err)
	if c.has(again) {
		t.Error("ann's offer is there after bob's")
	}
	c.connect(t, bob)
	c.age(bob, time.Hour)
	for _, name := range []string{"ann", "bob"} {
		_, err = c.guest(t, name)
		short(t, err, "display")
	}
	if !c.has(bob) {
		t.Error("a session that is connected made room")
	}
}

// An operator's token opens sessions for several viewers: they do not replace each other while they connect.
func TestOperatorsSessionsDoNotReplaceEachOther(t *testing.T) {
	c := openDoorway(t, func(c *Config) { c.Rules = []Rule{{Display: "*", MaxViewers: 1}} })
	id, err := c.operator(t)
	first := must(t, id, err)
	_, err = c.operator(t)
	short(t, err, "display")
	c.age(first, admission.ConnectGrace)
	id, err = c.operator(t)
	must(t, id, err)
	if c.has(first) {
		t.Error("a session that never connected kept the display")
	}
}
