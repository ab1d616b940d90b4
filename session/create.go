package session

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/record"
	"wavryhost/encode"
	"wavryhost/session/admission"
	"wavryhost/session/codec"
	"wavryhost/session/peer"
	"wavryhost/session/relay"
	"wavryhost/session/wire"
)

func (p *opener) create(ctx context.Context, o Offer) (_ Answer, err error) {
	p.registry.mu.Lock()
	refuse := p.registry.host.Closed()
	p.registry.mu.Unlock()
	if refuse {
		return Answer{}, ErrDraining
	}
	display, err := p.catalog.find(ctx, o.Display)
	if err != nil {
		return Answer{}, err
	}
	has := p.pool.Formats()
	asked, err := peer.ParseOffer(o.SDP, has)
	if err != nil {
		return Answer{}, err
	}
	formats := common(asked.Formats(), has)
	format := p.choose(formats, display, o)
	if err := p.conf.get().checkChange(Change{MaxBitrate: &o.MaxBitrate, Weight: orNil(o.Weight)}); err != nil {
		return Answer{}, err
	}
	entry := o
	entry.MaxBitrate = lowest(o.MaxBitrate, asked.MaxBitrate(format))
	t, display, err := p.registry.admit(ctx, entry, display, format)
	if err != nil {
		return Answer{}, err
	}
	defer p.registry.wg.Done()
	reserved, hasReservation := t.Reservation()
	if hasReservation && o.Region == "" {
		o.Region = reserved.Region
	}
	if hasReservation && o.ExternalID == "" {
		o.ExternalID = reserved.ExternalID
	}
	if hasReservation && o.Labels == (admission.Labels{}) {
		o.Labels = namesOf(reserved).Labels
	}
	v, sdp, err := p.connect(ctx, display, o, asked, negotiated(formats, format, p.conf.get().AV1))
	if err != nil {
		p.registry.cancel(t)
		return Answer{}, err
	}
	rule := p.conf.get().rule(display.ID)
	v.limits.ceiling, v.limits.display = o.MaxBitrate, rule.MaxBitrate
	v.limits.weight = cmp.Or(o.Weight, rule.Weight, defaultWeight)
	if hasReservation {
		v.limits.ceiling, v.limits.weight = lowest(o.MaxBitrate, reserved.MaxBitrate), reserved.Weight
	}
	v.codec.set(codec.First(len(formats)))
	etag := v.peer.ETag()
	p.registry.add(v, t) //nolint:contextcheck // the request is over long before the session
	if o.Control {
		err := v.input.Give(true) //nolint:contextcheck // the display's input outlives the request
		if err != nil {
			v.log.Warn("control does not pass on from the former session", "err", err)
		}
	}
	return Answer{ID: v.id, SDP: sdp, ETag: etag}, nil
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

// beside returns an adaptation that begins beside a session on the same path, which it replaces, at half the rate of
// that; 0 is for none.
func beside(rate int, a adapt.Config) adapt.Config {
	if d := a.WithDefaults(); rate > 0 && d.Fixed == 0 {
		a.Start = min(max(rate/2, d.Min), d.Max)
	}
	return a
}

// named returns emit for the events of a session: each has the names of the session's offer.
func named(emit func(Event) uint64, o Offer) func(Event) uint64 {
	names := Names{Subject: o.Owner.Name, ExternalID: o.ExternalID, Labels: o.Labels}
	return func(e Event) uint64 {
		e.Names = names
		return emit(e)
	}
}

// connect makes all that a session holds and answers the offer. The session begins with the first of the formats.
func (p *opener) connect(ctx context.Context, d Display, o Offer, asked *peer.Offer, formats []encode.Format) (
	_ *viewer, sdp string, err error,
) {
	format := formats[0]
	id := newID()
	v := &viewer{
		owner: owner{emit: named(p.emit, o), crowded: p.crowded, doubt: p.relays.Doubt},
		id:    id, offer: o, created: time.Now(), log: p.log.With("session", id),
		figures: figures{met: p.met, tally: p.met.labels.tally(p.conf.get().MetricLabels, o.Labels)},
		changed: newSignal(), settle: p.settle,
	}
	if cfg := p.conf.get(); cfg.Trace != nil && !o.Probe {
		v.trace.give, v.trace.every, v.trace.parent = cfg.Trace, cfg.TraceFrameEvery, o.TraceParent
		v.trace.attrs = func() []slog.Attr { return attrsOf(v) }
	}
	if o.Probe {
		v.met, v.tally, v.emit = p.apart, tally{}, func(Event) uint64 { return 0 }
	}
	v.cadence = cadence{begun: v.created, wake: v.changed}
	v.guard = p.met.guard(v.log, v.crashed)
	v.pointer = newPointerChannel()
	v.input = p.floor.Join(id, o.Role, presence{v}, v.log, v.guard)
	v.life = newLife(*p.conf.get(), v.created)
	v.sample.at, v.setup.begun = v.created, o.begun
	ceiling := asked.MaxBitrate(format)
	f, err := p.acquire(ctx, d, o, format, min(cmp.Or(o.Rate/2, p.conf.get().start()), unlimitedIfZero(ceiling)))
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			f.release()
		}
	}()
	v.most = p.conf.get().adaptation(encode.MinSide, encode.MinSide, adapt.PriceFree, 0).WithDefaults().Max
	v.formats, v.decoders, v.limits.offer = formats, make(map[encode.Format]encode.DecoderLimits), ceiling
	for _, f := range formats {
		v.decoders[f] = asked.PayloadType(f).Limits()
	}
	v.adaptation.recovery.deaf = !asked.PayloadType(format).CanRequest()
	v.begin(f)
	picture, running := f.source.Size(), f.on.Status()
	v.baseW = max(picture.X, encode.MinSide)
	price := adapt.Price(running.Price)
	if p, ok := p.pool.Best(v.created, format); ok && running.Encoder == "" {
		price = adapt.Price(p.Price)
	}
	v.adaptation.guard, v.adaptation.met = v.guard, v.met
	v.adaptation.live, v.adaptation.changed = &v.live, v.transition
	v.adaptation.recipe = recipe{
		config: within(beside(o.Rate, p.conf.get().adaptation(picture.X, picture.Y, price, f.on.Rate())), ceiling),
		make:   p.conf.get().NewController,
		about:  record.About{Version: p.conf.get().Version, Session: id, Display: d.ID, Encoder: running.Encoder},
		limit:  p.conf.get().RecordingLimit, local: p.registry.localStart(), created: v.created,
	}
	if err := v.adaptation.begin(); err != nil {
		return nil, "", err
	}
	v.sender, err = wire.New(wire.Config{
		Progress: p.conf.get().Progress, Session: id,
		Log: v.log, Formats: formats, MTU: p.conf.get().MTU,
		OnSent: func(packet adapt.Packet) {
			v.trace.newest = packet.ID
			v.adaptation.sent(packet)
			v.cadence.stir()
		},
		OnBroken: func() {
			// The viewer lacks a packet that it will not get any more. Its own request may come seconds later.
			v.adaptation.requestKeyframe(adapt.KeyframeRecovery)
			v.sub.nudge()
		}, StartRate: v.adaptation.rate, Guard: v.guard,
		OnPaced: func(captured time.Time, took time.Duration) {
			v.met.pace.Observe(took.Seconds())
			v.trace.paced(captured)
		},
	})
	if err != nil {
		return nil, "", err
	}
	v.adaptation.sender = v.sender
	cfg := p.conf.get()
	v.peer, err = p.network.NewPeer(peer.Params{
		ID: id, Offer: asked, Formats: formats, Largest: p.catalog.largest(ctx, d, picture),
		GatherTimeout: cfg.GatherTimeout, FailAfter: cfg.ConnectTimeout + cfg.DisconnectTimeout + time.Minute,
		Relays: func() []relay.Server { return iceServers(p.relays, o.Region, id, o.Expires) },
		Log:    v.log, Guard: v.guard,
	}, v.sender)
	if err != nil {
		return nil, "", err
	}
	sdp, err = v.peer.Answer(ctx)
	if err != nil {
		return nil, "", errors.Join(err, v.peer.Close())
	}
	v.checkRelays()
	v.setup.answered = time.Now()
	return v, sdp, nil
}

// attrsOf returns what the traces of a viewer have in common.
func attrsOf(v *viewer) []slog.Attr {
	here := v.sub.feed()
	v.mu.Lock()
	r := v.announced
	v.mu.Unlock()
	list := []slog.Attr{
		slog.String(attrSession, v.id), slog.String(attrDisplay, here.display.ID),
		slog.String(attrCodec, here.format.String()),
	}
	for _, a := range []slog.Attr{
		slog.String(attrEncoder, here.on.Status().Encoder), slog.String(attrPath, r.Path),
		slog.String(attrProtocol, r.Protocol),
	} {
		if a.Value.String() != "" {
			list = append(list, a)
		}
	}
	return list
}
