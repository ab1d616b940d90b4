package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/record"
	"wavryhost/encode"
	"wavryhost/session/peer"
	"wavryhost/session/relay"
	"wavryhost/session/wire"
)

// Create admits a viewer and answers its offer. The answer has all candidates of this host.
func (m *Manager) Create(ctx context.Context, o Offer) (Answer, error) {
	a, err := m.create(ctx, o)
	if err != nil {
		m.refusals.tell(err, o.Display)
		m.log.Debug("offer refused", "remote", o.RemoteAddr, "err", err)
	}
	return a, err
}

func (m *Manager) create(ctx context.Context, o Offer) (_ Answer, err error) {
	m.registry.mu.Lock()
	refuse := m.host.closed()
	m.registry.mu.Unlock()
	if refuse {
		return Answer{}, ErrDraining
	}
	display, err := m.catalog.find(ctx, o.Display)
	if err != nil {
		return Answer{}, err
	}
	has := m.pool.Codecs()
	asked, err := peer.ParseOffer(o.SDP, has)
	if err != nil {
		return Answer{}, err
	}
	codec := m.choose(asked.Codecs(), has, display)
	if err := m.cfg().checkChange(Change{MaxBitrate: &o.MaxBitrate, Weight: orNil(o.Weight)}); err != nil {
		return Answer{}, err
	}
	entry := o
	entry.MaxBitrate = lowest(o.MaxBitrate, asked.MaxBitrate(codec))
	t, err := m.registry.admit(ctx, entry, display, codec)
	if err != nil {
		return Answer{}, err
	}
	defer m.registry.wg.Done()
	reserved, hasReservation := t.Reservation()
	if hasReservation && o.Region == "" {
		o.Region = reserved.Region
	}
	v, sdp, err := m.connect(ctx, display, o, asked, codec)
	if err != nil {
		m.registry.cancel(t)
		return Answer{}, err
	}
	rule := m.cfg().rule(display.ID)
	v.limits.ceiling, v.limits.display = o.MaxBitrate, rule.MaxBitrate
	v.limits.weight = cmp.Or(o.Weight, rule.Weight, defaultWeight)
	if hasReservation {
		v.limits.ceiling, v.limits.weight = lowest(o.MaxBitrate, reserved.MaxBitrate), reserved.Weight
	}
	etag := v.peer.ETag()
	m.registry.add(v, t) //nolint:contextcheck // the request is over long before the session
	return Answer{ID: v.id, SDP: sdp, ETag: etag}, nil
}

// lowest returns the lower of two limits. 0 means no limit.
func lowest(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// within returns an adaptation that stays below a ceiling, 0 for none.
func within(a adapt.Config, ceiling int) adapt.Config {
	if ceiling == 0 {
		return a
	}
	d := a.WithDefaults()
	a.Max = min(d.Max, ceiling)
	a.Min, a.Start, a.Fixed = min(d.Min, a.Max), min(d.Start, a.Max), min(d.Fixed, a.Max)
	return a
}

// choose returns the codec for a viewer that takes one of the host's at least: the first of the host's, unless its display may have no more encodes and one of
// another codec runs.
func (m *Manager) choose(takes, has []string, d Display) string {
	common := slices.DeleteFunc(slices.Clone(has), func(codec string) bool { return !slices.Contains(takes, codec) })
	for _, codec := range common {
		if m.pool.Admits(d.ID, codec) {
			return codec
		}
	}
	return common[0] // which will be refused in words
}

// connect makes all that a session holds and answers the offer.
func (m *Manager) connect(ctx context.Context, d Display, o Offer, asked *peer.Offer, codec string) (_ *viewer, sdp string, err error) {
	id := newID()
	v := &viewer{
		id: id, offer: o, codec: codec, created: time.Now(), log: m.log.With("session", id), met: m.met, emit: m.journal.emit,
		changed: make(chan struct{}, 1),
		crowded: m.shedder.crowded, settle: m.settle,
	}
	v.guard = m.met.guard(v.log, v.crashed)
	v.input = newInputChannel(id, o.Role, v, m.floor, v.log, v.guard)
	v.life = newLife(*m.cfg(), v.created)
	v.sample.at = v.created
	ceiling := asked.MaxBitrate(codec)
	f, err := m.acquire(ctx, d, codec, min(m.cfg().start(), unlimitedIfZero(ceiling)))
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			f.release()
		}
	}()
	v.most = m.cfg().adaptation(encode.MinSide, encode.MinSide, adapt.PriceFree, 0).WithDefaults().Max
	v.decoder, v.limits.offer = asked.Format(codec).Limits(), ceiling
	v.adaptation.recovery.deaf = !asked.Format(codec).CanRequest()
	v.sub.begin(v, f)
	picture, running := f.source.Size(), f.on.Status()
	v.baseW = max(picture.X, encode.MinSide)
	price := adapt.Price(running.Price)
	if p, ok := m.pool.Best(v.created, codec); ok && running.Encoder == "" {
		price = adapt.Price(p.Price)
	}
	v.adaptation.guard, v.adaptation.met = v.guard, m.met
	v.adaptation.live, v.adaptation.changed = &v.live, v.transition
	v.adaptation.recipe = recipe{
		config: within(m.cfg().adaptation(picture.X, picture.Y, price, f.on.Rate()), ceiling), make: m.cfg().NewController,
		about: record.About{Version: m.cfg().Version, Session: id, Display: d.ID, Encoder: running.Encoder},
		limit: m.cfg().RecordingLimit, local: m.registry.localStart(), created: v.created,
	}
	if err := v.adaptation.begin(); err != nil {
		return nil, "", err
	}
	v.sender, err = wire.New(wire.Config{
		Log: v.log, Codec: codec, MTU: m.cfg().MTU, OnSent: v.adaptation.sent, OnBroken: v.broken, StartRate: v.adaptation.rate, Guard: v.guard,
	})
	if err != nil {
		return nil, "", err
	}
	v.adaptation.sender = v.sender
	cfg := m.cfg()
	v.peer, err = m.network.NewPeer(peer.Params{
		ID: id, Offer: asked, Codec: codec, Largest: m.catalog.largest(ctx, d, picture),
		GatherTimeout: cfg.GatherTimeout, FailAfter: cfg.ConnectTimeout + cfg.DisconnectTimeout + time.Minute,
		Relays: func() []relay.Server { return m.ICEServers(o.Region, id, o.Expires) },
		Log:    v.log, Guard: v.guard,
	}, v.sender)
	if err != nil {
		return nil, "", err
	}
	sdp, err = v.peer.Answer(ctx)
	if err != nil {
		return nil, "", errors.Join(err, v.peer.Close())
	}
	v.doubt = m.relays.Doubt
	v.checkRelays()
	return v, sdp, nil
}
