package admission

import (
	"time"

	"wavryhost/encode"
)

// An Admitter answers one question: is there room? It holds what was promised and does not show in the measured load
// yet: tickets of sessions that are being created, reservations, and the load that new sessions will cause. What is
// measured comes in with each question, as a Snapshot.
//
// An Admitter is not safe for concurrent use. Its owner guards it together with the list of its sessions, so that a
// snapshot and the record agree.
type Admitter struct {
	newID func() string
	ended func(Reservation, string)

	tickets      map[*Ticket]struct{}
	moves        map[*Move]struct{}
	sessions     map[string]promise // by session
	reservations map[string]*reservation
}

// New returns an Admitter that has promised nothing. newID makes the IDs of reservations; ended is called when one
// ends, with the reason.
func New(newID func() string, ended func(Reservation, string)) *Admitter {
	return &Admitter{
		newID: newID, ended: ended,
		tickets: make(map[*Ticket]struct{}), moves: make(map[*Move]struct{}), sessions: make(map[string]promise),
		reservations: make(map[string]*reservation),
	}
}

// Owner identifies the owner of a session. Two owners are the same when all fields are.
type Owner struct {
	// Credential is the kind of credential that it showed, empty where the session was not opened through the API.
	Credential string
	// Issuer made the grant or the certificate, or is the gateway of a user.
	Issuer string
	// Name is unique for a credential and an issuer. It is the client's network where the client is anonymous.
	Name string
}

// Snapshot is the state of a host at one moment. It is plain data.
type Snapshot struct {
	Now    time.Time
	Limits Limits
	// Host is what was measured. The Admitter fills in Sessions, Promised, UplinkUsed and Encodes, and takes
	// SessionLimit from Limits.
	Host Host
	// Sessions are all sessions, including sessions that are ending.
	Sessions []Session
	// Displays are the captured displays, by ID.
	Displays map[string]Display
}

// Limits are the configured limits of a host.
type Limits struct {
	// Sessions is the number of sessions, Handshakes the number that are connecting, and PerOwner the number of
	// a guest's sessions.
	Sessions, Handshakes, PerOwner int
}

// Session is what admission sees of a session.
type Session struct {
	ID string
	// Display is the shown display, and Heading the next one to show; empty for none.
	Display, Heading string
	Owner            Owner
	// Guest marks sessions that no operator opened.
	Guest   bool
	Created time.Time
	// Connected is the time of its first connection, zero before.
	Connected time.Time
	// Connecting: its transport has not been up.
	Connecting bool
	// Ending sessions give way already.
	Ending bool
	// Sent is what it sends, in bits per second.
	Sent int
}

// waiting reports whether the session never connected and may give way to another.
func (s Session) waiting() bool { return s.Connected.IsZero() && !s.Ending }

// Display is what admission sees of a display that is captured.
type Display struct {
	// Viewers is the number of its sessions.
	Viewers int
	// Cost is what its encodes take, in cores.
	Cost float64
	// Encodes is the number of its encodes on the best encoder of the requested format.
	Encodes int
	// Shared: one of its encodes has the requested format, and another viewer gets that.
	Shared bool
}

// Request asks for room for one session.
type Request struct {
	Display string
	Format  encode.Format
	// Viewers limits the sessions of the display; 0 for any number.
	Viewers int
	Profile Profile
	// Weight is that of a reservation that gives none.
	Weight int
	// Reservation is the ID of the reservation that the session uses, empty for none.
	Reservation string
	Owner       Owner
	// Guest marks requests that do not come from an operator. The limit per owner applies to them, and the last place
	// is kept for operators.
	Guest bool
	// MaxSessions is the owner's own limit, 0 for that of the host.
	MaxSessions int
}

// reservedLoad is the load that is assumed for a session until it shows in what is measured.
type reservedLoad struct {
	Need

	display string
	format  encode.Format
}

// promise is the reserved load of a session that exists.
type promise struct {
	load  reservedLoad
	moved time.Time // last move to another display
}

// settling is the time after which the load of a session shows in what is measured.
const settling = 5 * time.Second

// Ticket is the right to create one session. It ends by Use or by Cancel.
type Ticket struct {
	owner Owner
	load  reservedLoad
	from  *reservation // nil without one
}

// Reservation returns the reservation that the session uses; ok is false without one.
func (t *Ticket) Reservation() (r Reservation, ok bool) {
	if t.from == nil {
		return r, false
	}
	return t.from.Reservation, true
}

// Creating returns the number of sessions that are being created.
func (a *Admitter) Creating() int { return len(a.tickets) }

// Admit returns a ticket for a session, or the error that says what is short. If mayReplace is set, it may return the
// ID of a session instead: a session that never connected and must end before the request is repeated.
func (a *Admitter) Admit(r Request, s Snapshot, mayReplace bool) (t *Ticket, replace string, err error) {
	if replace, err = a.checkOwner(r, s, mayReplace); err != nil || replace != "" {
		return nil, replace, err
	}
	t = &Ticket{owner: r.Owner}
	if r.Reservation == "" {
		if id := a.squatter(r, s); id != "" && mayReplace {
			return nil, id, nil
		}
		if t.load, err = a.fits(r, s, nil); err != nil {
			return nil, "", err
		}
	} else {
		if t.from, err = a.usable(r, s.Now); err != nil {
			return nil, "", err
		}
		// Of two viewers with one reservation the second finds none.
		delete(a.reservations, t.from.ID)
		t.load = t.from.load
		if t.load.format != r.Format { // the place is kept whatever the viewer's format takes
			t.load, _ = a.fits(r, s, nil)
		}
	}
	a.tickets[t] = struct{}{}
	return t, "", nil
}

// Use ends a ticket: its session exists.
func (a *Admitter) Use(t *Ticket, session string) {
	delete(a.tickets, t)
	a.sessions[session] = promise{load: t.load}
	if t.from != nil {
		t.from.Session = session
		a.end(t.from, EndUsed)
	}
}

// Cancel ends a ticket whose session was not created. Its reservation can be used again until it expires, unless
// closed is set: a host that drains keeps none.
func (a *Admitter) Cancel(t *Ticket, closed bool) {
	if _, ok := a.tickets[t]; !ok {
		return
	}
	delete(a.tickets, t)
	switch {
	case t.from == nil:
	case closed:
		a.end(t.from, EndDrained)
	default:
		a.reservations[t.from.ID] = t.from
	}
}

// Forget drops what is kept of a session that is gone.
func (a *Admitter) Forget(session string) { delete(a.sessions, session) }

// Move is the right to move one session to another display. It ends by Done.
type Move struct {
	session, display string
	before           promise
}

// Move returns the right to move a session to the display of a request, or the error that says what is short. What the
// session takes where it is does not count beside what it will take.
func (a *Admitter) Move(session string, r Request, s Snapshot) (*Move, error) {
	i := s.find(session)
	if i < 0 {
		return nil, ErrFull // it has ended
	}
	load, err := a.fits(r, s, &s.Sessions[i])
	if err != nil {
		return nil, err
	}
	m := &Move{session: session, display: r.Display, before: a.sessions[session]}
	a.sessions[session] = promise{load: load, moved: s.Now}
	a.moves[m] = struct{}{}
	return m, nil
}

// Done ends the right to move: the session is on its way or, with failed set, stays where it was.
func (a *Admitter) Done(m *Move, failed bool) {
	delete(a.moves, m)
	if _, ok := a.sessions[m.session]; failed && ok {
		a.sessions[m.session] = m.before
	}
}

// fits returns the load that is reserved for a session, or the error that says what is short. moving is the session
// that moves, nil for a new one.
func (a *Admitter) fits(r Request, s Snapshot, moving *Session) (reservedLoad, error) {
	load := reservedLoad{display: r.Display, format: r.Format}
	if err := a.checkDisplay(r, s); err != nil {
		return load, err
	}
	h := a.capacity(r.Format, s, moving)
	shared := s.Displays[r.Display].Shared
	load.Need = h.Need(r.Profile, shared)
	v := h.Decide(r.Profile, shared)
	if v.Fits {
		return load, nil
	}
	e := &RefusalError{Resource: string(v.Resource), RetryAfter: Jitter(patience(v.Resource)), text: v.Why}
	if v.OK {
		e.Fit = v.Fit.String()
	}
	return load, e
}

// capacity returns the host with all that is promised. If without is not nil, its load is excluded.
func (a *Admitter) capacity(format encode.Format, s Snapshot, without *Session) Host {
	h := s.Host
	h.SessionLimit = s.Limits.Sessions
	h.Sessions = len(s.Sessions) + len(a.tickets) + len(a.reservations)
	if without != nil {
		h.Sessions--
		if d := s.Displays[without.Display]; d.Viewers == 1 {
			h.CoresUsed = max(0, h.CoresUsed-d.Cost)
		}
	}
	began := make(map[string]bool) // displays whose first encode is promised
	add := func(l reservedLoad) {
		h = h.Promise(l.Need, 1)
		if l.Encode && l.format == format && s.Displays[l.display].Encodes == 0 && !began[l.display] {
			began[l.display] = true
			h.Encodes++
		}
	}
	for _, d := range s.Displays {
		h.Encodes += d.Encodes
	}
	for _, r := range a.reservations {
		add(r.load)
	}
	for t := range a.tickets {
		add(t.load)
	}
	for i := range s.Sessions {
		one := &s.Sessions[i]
		p := a.sessions[one.ID]
		switch {
		case without != nil && one.ID == without.ID:
		case one.Connected.IsZero(), s.Now.Sub(one.Connected) < settling, s.Now.Sub(p.moved) < settling:
			add(p.load)
		default:
			h.UplinkUsed += one.Sent
		}
	}
	return h
}

// find returns the index of a session, -1 for none.
func (s *Snapshot) find(session string) int {
	for i := range s.Sessions {
		if s.Sessions[i].ID == session {
			return i
		}
	}
	return -1
}

// Capacity returns how many more sessions there is room for, for each profile.
func (a *Admitter) Capacity(format encode.Format, s Snapshot, profiles []Profile) []Capacity {
	h := a.capacity(format, s, nil)
	list := []Capacity{}
	for _, p := range profiles {
		n, by := h.Capacity(p)
		list = append(list, Capacity{
			Profile: p.String(), Width: p.Width, Height: p.Height, FPS: p.FPS, Bitrate: p.BitsPerSecond,
			More: n, LimitedBy: string(by),
		})
	}
	return list
}

// Capacity is the number of sessions at a profile that a host has room for.
type Capacity struct {
	Profile   string `json:"profile" doc:"Size and frame rate, such as 1280x720@30."`
	Width     int    `json:"width" doc:"Width, in pixels."`
	Height    int    `json:"height" doc:"Height, in pixels."`
	FPS       int    `json:"fps" doc:"Frame rate, in frames per second."`
	Bitrate   int    `json:"bitrate" doc:"Assumed bitrate of a session, in bit/s."`
	More      int    `json:"more" doc:"Number of further sessions that fit, each on a display of its own."`
	LimitedBy string `json:"limited_by" set:"Resource" doc:"The resource that runs out first."`
}
