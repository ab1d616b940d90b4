package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/session/codec"
	"wavryhost/session/floor"
	"wavryhost/session/hoststate"
	"wavryhost/session/peer"
	"wavryhost/session/pipeline"
	"wavryhost/session/progress"
	"wavryhost/session/relay"
	"wavryhost/session/rift"
)

// Config is what an operator and the drivers give to a Manager.
type Config struct {
	// Displays returns the displays of the machine, the first being the default. It is called for each request and
	// must be quick.
	Displays func(ctx context.Context) []Display
	// Encoders open encoders, best first. At least one is needed. A viewer gets an encoder of its codec.
	Encoders []encode.Factory
	// EncoderInfo returns all encoder candidates, the unusable ones too, for the control API. It may be nil.
	EncoderInfo func() []EncoderInfo
	// NewController returns the adaptation of one viewer. It defaults to adapt.New.
	NewController func(adapt.Config) (adapt.Controller, error)

	// Version is the program's, for recordings.
	Version string
	// RecordingLimit is how many bytes of events the flight recorder of each session keeps. It defaults to
	// record.DefaultLimit.
	RecordingLimit int

	// MaxSessions is how many sessions there may be at a time. It defaults to 16.
	MaxSessions int
	// MaxEncodings is the maximum number of concurrent encodings of one display, from 1 to 3. It defaults to 3.
	MaxEncodings int
	// OnProbation makes the host begin with a probation: it takes ProbationSessions sessions at most, 2 by default,
	// until it has served a viewer and nothing failed for the time of Probation, which defaults to 10 minutes.
	OnProbation       bool
	Probation         time.Duration
	ProbationSessions int
	// DrainPostpone is for how long in total a viewer may postpone the end of its session by a drain. 0 does not allow
	// it.
	DrainPostpone time.Duration
	// Load returns how busy the machine is; nil where that is not known. It is called for each request and must be
	// quick.
	Load func() Load
	// Uplink is what the host may send, in bits per second, 0 for no limit: sessions share it by weight.
	Uplink int
	// EncodeLimit is the maximum number of concurrent encodings on hardware, or 0 for no limit.
	EncodeLimit int
	// AV1 is when sessions use AV1.
	AV1 codec.Mode
	// Rules are what holds for single displays.
	Rules []Rule
	// FPS is the highest frame rate. It defaults to 60.
	FPS int
	// MinBitrate, MaxBitrate and StartBitrate apply to each viewer, in bits per second. For 0, adapt decides.
	MinBitrate, MaxBitrate, StartBitrate int
	// LocalStartBitrate is what a viewer begins with whose path ends on this machine or on a network that it is part
	// of, where that is more than StartBitrate and within MaxBitrate. 0 makes no difference.
	LocalStartBitrate int
	// FixedBitrate, when not 0, is the bitrate of every viewer whatever its network does.
	FixedBitrate int
	// Prefer is what to prefer where the network makes one choose.
	Prefer adapt.Aggressiveness

	// Input is whose input is taken. It defaults to that of controllers and operators.
	Input floor.Policy
	// ControlIdle is the time without input after which another session may take control of a display. The default of
	// 15 s is long enough to read the effect of the last key, and short enough that a colleague waits rather than asks.
	ControlIdle time.Duration

	// ICEServers are the STUN and TURN servers of this host and its viewers; ICERegions are the regions whose servers
	// go first, best first.
	ICEServers []relay.Server
	ICERegions []string
	// MediaPort, when not 0, is the one UDP port of all sessions, MediaTCPPort the one TCP port that viewers behind
	// firewalls come in by (RFC 6544).
	MediaPort, MediaTCPPort uint16
	// MaxPerOwner is the maximum number of sessions of an owner that is not an operator. It defaults to 3: the running
	// session, and sessions of a page that was reloaded, which end when their silence is noticed.
	MaxPerOwner int
	// MediaTCPConnections is how many connections MediaTCPPort takes at a time. It defaults to 128.
	MediaTCPConnections int
	// MaxHandshakes is how many sessions may be connecting at a time. It defaults to 32.
	MaxHandshakes int
	// UDPPortMin and UDPPortMax bound the local ports. Zero leaves them to the system.
	UDPPortMin, UDPPortMax uint16
	// Interfaces names the network interfaces to use. Empty means all.
	Interfaces []string
	// Addresses are the networks, as 192.0.2.0/24, whose local addresses are used for media. Empty means all.
	Addresses []netip.Prefix
	// ViewerNetworks are the networks that viewers, and their relays, may be in. Empty means all. Addresses that are
	// nobody's (loopback unless Loopback is set, link-local, multicast, unspecified, reserved) are refused in any
	// case.
	ViewerNetworks []netip.Prefix
	// Loopback keeps all media traffic on the loopback address: 127.0.0.1, or ::1 on a host without it.
	Loopback bool
	// NAT1To1 lists the public addresses of a one-to-one NAT in front of this host. They replace the local addresses in
	// answers.
	NAT1To1 []string
	// MTU is the largest RTP packet in bytes. It defaults to 1200.
	MTU int

	// MetricLabels names the labels of sessions and reservations that have metrics, at most MaxMetricLabels. New sessions
	// and reservations count.
	MetricLabels []string

	// Heritage has the media sockets of the daemon that this one takes over from; nil without one.
	Heritage *peer.Heritage
	// Progress has the loops of the sessions. It may be nil.
	Progress *progress.Board
	// Orders is what operators ordered of the daemon before. Keep keeps it for the next one, until a crash of the
	// machine at least; nil keeps nothing.
	Orders hoststate.Orders
	Keep   func(hoststate.Orders) error

	// Trace takes a trace of each session's set-up, and of one frame of each session in TraceFrameEvery. It is called by
	// the goroutines that stream, and must return at once. nil is for no traces.
	Trace func(Span)
	// TraceFrameEvery defaults to one minute.
	TraceFrameEvery time.Duration

	// ConnectTimeout is how long a viewer may take to connect. It defaults to 10 s.
	ConnectTimeout time.Duration
	// DisconnectTimeout is how long a session waits for a silent viewer, or for an ICE restart. Detection takes 5 to 6
	// s of it. It defaults to 10 s.
	DisconnectTimeout time.Duration
	// SilenceTimeout is how long a connected viewer that is being sent to may go without any RTCP. It defaults to 30
	// s.
	SilenceTimeout time.Duration
	// ShutdownTimeout bounds the end of all sessions when Run's context ends. It defaults to 5 s.
	ShutdownTimeout time.Duration
	// GatherTimeout bounds the wait for candidates of ICEServers before an answer is given. It defaults to 1 s.
	GatherTimeout time.Duration
	// Linger is how long a display stays open after its last viewer left, so that a reload is quick. It defaults to 2
	// s.
	Linger time.Duration
}

func (c Config) withDefaults() Config {
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	duration := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	number(&c.MaxSessions, 16)
	number(&c.MaxEncodings, pipeline.MaxEncodings)
	number(&c.MaxHandshakes, 32)
	number(&c.MediaTCPConnections, 128)
	number(&c.MaxPerOwner, 3)
	number(&c.ProbationSessions, defaultProbationSessions)
	number(&c.FPS, 60)
	number(&c.MTU, 1200)
	if c.NewController == nil {
		c.NewController = func(a adapt.Config) (adapt.Controller, error) { return adapt.New(a) }
	}
	duration(&c.TraceFrameEvery, time.Minute)
	duration(&c.ControlIdle, 15*time.Second)
	duration(&c.Probation, defaultProbation)
	duration(&c.ConnectTimeout, 10*time.Second)
	duration(&c.DisconnectTimeout, 10*time.Second)
	duration(&c.SilenceTimeout, 30*time.Second)
	duration(&c.ShutdownTimeout, 5*time.Second)
	duration(&c.GatherTimeout, time.Second)
	duration(&c.Linger, 2*time.Second)
	return c
}

// Validate returns an error that names the first field that cannot work. Defaults are taken into account.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Displays == nil:
		return errors.New("session: no function lists the displays")
	case len(c.Encoders) == 0:
		return errors.New("session: no encoder is given")
	case c.MaxSessions < 1 || c.MaxSessions > 10_000:
		return fmt.Errorf("session: session limit %d is not from 1 to 10000", c.MaxSessions)
	case c.MaxPerOwner < 1:
		return fmt.Errorf("session: %d sessions of an owner are not one or more", c.MaxPerOwner)
	case c.MediaTCPConnections < 1:
		return fmt.Errorf("session: %d TCP connections for media are not one or more", c.MediaTCPConnections)
	case c.MaxHandshakes < 1:
		return fmt.Errorf("session: %d handshakes at a time are not one or more", c.MaxHandshakes)
	case len(c.MetricLabels) > MaxMetricLabels:
		return fmt.Errorf("session: %d labels with metrics are more than %d", len(c.MetricLabels), MaxMetricLabels)
	case c.ProbationSessions < 1:
		return fmt.Errorf("session: %d sessions of a probation are not one or more", c.ProbationSessions)
	case c.MaxEncodings < 1 || c.MaxEncodings > pipeline.MaxEncodings:
		return fmt.Errorf("session: %d encodings of a display are not from 1 to "+
			"%d", c.MaxEncodings, pipeline.MaxEncodings)
	case c.MTU < 576 || c.MTU > 1500:
		return fmt.Errorf("session: packet size %d is not from 576 to 1500", c.MTU)
	case c.UDPPortMax < c.UDPPortMin || (c.UDPPortMin == 0) != (c.UDPPortMax == 0):
		return fmt.Errorf("session: port range %d to %d is not one", c.UDPPortMin, c.UDPPortMax)
	}
	for _, s := range c.ICEServers {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("session: %w", err)
		}
	}
	for _, r := range c.Rules {
		if err := r.validate(); err != nil {
			return err
		}
	}
	if err := c.Orders.Validate(); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	for _, a := range c.NAT1To1 {
		if net.ParseIP(a) == nil {
			return fmt.Errorf("session: public address %q is not an IP address", a)
		}
	}
	for name, d := range map[string]time.Duration{
		"connect": c.ConnectTimeout, "disconnect": c.DisconnectTimeout, "silence": c.SilenceTimeout,
		"shutdown": c.ShutdownTimeout, "gather": c.GatherTimeout, "linger": c.Linger, "probation": c.Probation,
		"control": c.ControlIdle, "drain postpone": c.DrainPostpone,
		"trace": c.TraceFrameEvery,
	} {
		if d < 0 {
			return fmt.Errorf("session: %s timeout %v is negative", name, d)
		}
	}
	if err := c.adaptation(1280, 720, adapt.PriceFree, 0).Validate(); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// start is the rate that a viewer begins with, in bits per second.
func (c Config) start() int {
	if c.FixedBitrate > 0 {
		return c.FixedBitrate
	}
	return c.adaptation(encode.MinSide, encode.MinSide, adapt.PriceFree, 0).WithDefaults().Start
}

// adaptation returns the controller's configuration for a viewer of a picture of the given size. A viewer that joins a
// running encoding starts at its rate, so that the newcomer's own ramp does not take the picture down for the others.
func (c Config) adaptation(width, height int, price adapt.Price, running int) adapt.Config {
	a := adapt.Config{
		Min: c.MinBitrate, Max: c.MaxBitrate, Start: c.StartBitrate,
		FPS: c.FPS, Width: max(width, 16), Height: max(height, 16), Price: price,
		Fixed: c.FixedBitrate, Aggressiveness: c.Prefer,
	}
	d := a.WithDefaults()
	if running > d.Start && running <= d.Max {
		a.Start = running
	}
	return a
}

// network returns the configuration of the peers' network.
func (c *Config) network() peer.Config {
	return peer.Config{
		MediaPort: c.MediaPort, UDPPortMin: c.UDPPortMin, UDPPortMax: c.UDPPortMax,
		MediaTCPPort: c.MediaTCPPort, MediaTCPConnections: c.MediaTCPConnections,
		Interfaces: c.Interfaces, Addresses: c.Addresses, ViewerNetworks: c.ViewerNetworks,
		Loopback: c.Loopback, NAT1To1: c.NAT1To1, MaxMessage: rift.MaxMessage, Heritage: c.Heritage,
	}
}

// The defaults of a probation.
const (
	defaultProbation         = 10 * time.Minute
	defaultProbationSessions = 2
)

// rule returns what holds for a display.
func (c *Config) rule(display string) Rule {
	for _, r := range c.Rules {
		if ok, _ := filepath.Match(r.Display, display); ok || r.Display == display {
			return r
		}
	}
	return Rule{}
}

// fps is the highest frame rate of a display.
func (c *Config) fps(display string) int { return min(c.FPS, unlimitedIfZero(c.rule(display).FPS)) }

// checkChange checks a ceiling and a weight.
func (c *Config) checkChange(change Change) error {
	least := c.adaptation(encode.MinSide, encode.MinSide, adapt.PriceFree, 0).WithDefaults().Min
	if change.MaxBitrate != nil && *change.MaxBitrate != 0 && *change.MaxBitrate < least {
		return fmt.Errorf("%w: a ceiling of %d is below the floor of %d bits per "+
			"second", ErrBadChange, *change.MaxBitrate, least)
	}
	if change.Weight != nil && (*change.Weight < minWeight || *change.Weight > maxWeight) {
		return fmt.Errorf("%w: weight %d is not from %d to %d", ErrBadChange, *change.Weight, minWeight, maxWeight)
	}
	return nil
}

// hostSettings returns the settings of the host's state.
func (c *Config) hostSettings() hoststate.Settings {
	return hoststate.Settings{
		MaxSessions: c.MaxSessions, ProbationSessions: c.ProbationSessions, Probation: c.Probation,
		DrainPostpone: c.DrainPostpone,
	}
}

// poolConfig returns the settings of the pool.
func (c *Config) poolConfig() pipeline.Config {
	return pipeline.Config{
		Encodings: c.MaxEncodings, HardwareEncodings: c.EncodeLimit, Linger: c.Linger,
		Limits: func(display string) pipeline.DisplayLimits {
			r := c.rule(display)
			return pipeline.DisplayLimits{FPS: c.fps(display), MaxWidth: r.MaxWidth, MaxHeight: r.MaxHeight}
		},
	}
}
