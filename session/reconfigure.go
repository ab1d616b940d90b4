package session

import (
	"wavryhost/encode"
)

// Reconfigure takes from c what can change while the Manager runs: limits on sessions, encodings and probation, whose
// input is taken, drains, labels with metrics, frame rate, bitrates and preference, rules of displays, ICE servers,
// and the timeouts of sessions. Sessions that there are keep what they began with; displays that are open keep their
// frame rate and number of encodings. The rest of c is ignored. When it is not valid, nothing changes.
func (m *Manager) Reconfigure(c Config) error {
	err := m.conf.change(func(next *Config) error {
		next.MaxSessions, next.MaxEncodings, next.ProbationSessions, next.Probation = c.MaxSessions,
			c.MaxEncodings, c.ProbationSessions, c.Probation
		next.FPS, next.MinBitrate, next.StartBitrate, next.MaxBitrate = c.FPS, c.MinBitrate, c.StartBitrate,
			c.MaxBitrate
		next.LocalStartBitrate = c.LocalStartBitrate
		next.Uplink, next.EncodeLimit, next.Rules, next.AV1 = c.Uplink, c.EncodeLimit, c.Rules, c.AV1
		next.FixedBitrate, next.Prefer, next.ICEServers, next.ICERegions = c.FixedBitrate, c.Prefer,
			c.ICEServers, c.ICERegions
		next.ConnectTimeout, next.DisconnectTimeout, next.SilenceTimeout = c.ConnectTimeout,
			c.DisconnectTimeout, c.SilenceTimeout
		next.MaxHandshakes, next.MaxPerOwner = c.MaxHandshakes, c.MaxPerOwner
		next.Input, next.ControlIdle = c.Input, c.ControlIdle
		next.DrainPostpone, next.MetricLabels = c.DrainPostpone, c.MetricLabels
		next.GatherTimeout, next.Linger = c.GatherTimeout, c.Linger
		*next = next.withDefaults()
		return next.Validate()
	})
	if err != nil {
		return err
	}
	now := m.conf.get()
	m.relays.Set(now.ICEServers, now.ICERegions)
	return nil
}

// SetEncoders replaces the encoders to choose from, best first; at least one is needed. Encodings that run go on with
// what they have, and whatever was held against an encoder is forgotten. info returns all candidates, for the control
// API.
func (m *Manager) SetEncoders(factories []encode.Factory, info func() []EncoderInfo) {
	m.pool.SetEncoders(factories)
	_ = m.conf.change(func(next *Config) error { // nothing of it can be wrong
		next.EncoderInfo = info
		return nil
	})
	best := factories[0].Profile().Name
	m.log.Info("encoders tried anew", "event", m.journal.emit(Event{Kind: EventEncoders, To: best}), "best", best)
}
