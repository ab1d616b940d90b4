package config

import (
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
)

// longestKeep bounds displays.virtual_keep; unlimited has no bound.
const longestKeep = 30 * 24 * time.Hour

// socketPath is the path of a socket whose place the program may choose.
func socketPath() kind[string] {
	k := path()
	k.allowed = "auto or a path"
	return k
}

func displayTable() []Setting {
	rate := func(c *Config) *Bitrate { return &c.Displays.Bitrate }
	viewer := func() kind[int] { return bitrate(lowestBitrate, highestBitrate) }
	return []Setting{
		one("displays.default", Auto, text("display", "auto, virtual, virtual:NAME, synthetic, x11:N, "+
			"wayland:NAME@OUTPUT, pipewire:gnome@MONITOR, pipewire:portal, kms:CARD@CONNECTOR, darwin:UUID or screenshot:N",
			isDisplay),
			func(c *Config) *string { return &c.Displays.Default },
			"Default display of viewers: an ID that \"wavry-host displays\" lists, such as x11:0 or wayland:wayland-1@DP-1; "+
				"virtual for a virtual display, and virtual:NAME for a display or group of displays.virtual; synthetic for the "+
				"test pattern, and synthetic:busy for a pattern as hard to encode as a game; auto for the first existing "+
				"display, or a virtual one if there is none.").
			was("display").withFlag("display"),
		one("displays.virtual_size", "1280x720", pixels(), func(c *Config) *Size { return &c.Displays.VirtualSize },
			"Size of the virtual display and of the test pattern.").was("virtual_size").withFlag("virtual-size"),
		one("displays.virtual_keep", Unlimited, or(Unlimited, duration(time.Millisecond, longestKeep)),
			func(c *Config) *time.Duration { return &c.Displays.VirtualKeep },
			"Time for which a virtual display and its programs go on without a daemon. With unlimited, only "+
				"\"wavry-host desktop end\" ends them, or the end of their own systemd unit.").live(),
		one("displays.virtual_socket", Auto, socketPath(), func(c *Config) *string { return &c.Displays.VirtualSocket },
			"Unix socket of the virtual display, by which a restarted daemon finds it. auto is the socket of the unit "+
				"wavry-host-desktop.socket, else desktop.sock next to the token that the daemon makes, or control.sock in "+
				"wavry-host-desktop of XDG_RUNTIME_DIR."),
		many("displays.virtual_programs", commandAllowed, isCommand,
			func(c *Config) *[]string { return &c.Displays.VirtualPrograms },
			"Programs of the virtual display, as command lines such as xfce4-session. They are started with the display, and "+
				"again when they end. Without any, a terminal, a clock and a pair of eyes are started."),
		of("displays.virtual", func(c *Config) target { return virtualItems(&c.Displays.Virtual) },
			"Virtual displays that start when a session or a reservation requests them. Each item has a name, which makes "+
				"the ID virtual:NAME, and some of: count (above 1 it is a group of displays with the IDs virtual:NAME-1 to "+
				"virtual:NAME-COUNT, and a request for virtual:NAME gets a free one), size, programs, and keep (how long an "+
				"unused display continues: 10 minutes by default, or unlimited). The first item is the default display if "+
				"displays.default is auto and the machine has no other display."),
		one("displays.cursor", "true", boolean(), func(c *Config) *bool { return &c.Displays.Cursor },
			"Whether the picture contains the cursor.").was("cursor").live(),
		one("displays.fps", "60", number(1, 240), func(c *Config) *int { return &c.Displays.FPS },
			"Highest frame rate, in frames per second.").was("fps").withFlag("fps").live(),
		one("displays.bitrate.min", "150k", viewer(), func(c *Config) *int { return &rate(c).Min },
			"Lowest video bitrate of a viewer, in bits per second.").was("min_bitrate").live(),
		one("displays.bitrate.start", "1M", viewer(), func(c *Config) *int { return &rate(c).Start },
			"Initial video bitrate.").was("start_bitrate").live(),
		one("displays.bitrate.local_start", "10M", or(None, viewer()), func(c *Config) *int { return &rate(c).LocalStart },
			"Initial video bitrate of viewers on this machine or on one of its networks, if it is above "+
				"displays.bitrate.start. displays.bitrate.max limits it. none for no difference.").
			was("local_start_bitrate").live(),
		one("displays.bitrate.max", "20M", viewer(), func(c *Config) *int { return &rate(c).Max },
			"Highest video bitrate of a viewer.").was("max_bitrate").withFlag("max-bitrate").live(),
		one("displays.bitrate.fixed", None, or(None, viewer()), func(c *Config) *int { return &rate(c).Fixed },
			"Fixed video bitrate of every viewer, regardless of its network. none adapts the bitrate, which shared networks "+
				"require.").was("fixed_bitrate").live(),
		one("displays.max_encodings", "3", number(1, 3), func(c *Config) *int { return &c.Displays.MaxEncodings },
			"Maximum number of concurrent encodings of one display. Viewers with different networks get separate encodings, "+
				"so that slow viewers do not hold back others.").was("max_encodings").live(),
		of("displays.rules", func(c *Config) target { return displayItems(&c.Displays.Rules) },
			"Rules for single displays. Each item has display (an ID, or a pattern such as x11:*) and some of: hidden (no "+
				"viewer sees it), max_viewers (1 makes it a console), max_bitrate of each viewer, fps, max_size, weight of "+
				"viewers that request none, and resize (allow or deny: whether viewers in control may change the size of the "+
				"display; by default they may for virtual displays only). The first matching rule applies.").
			was("display_rules").live(),
	}
}

func displayItems(p *[]DisplayRule) items[DisplayRule] {
	return items[DisplayRule]{
		p: p, noun: "the rule",
		members: func(r *DisplayRule) []member {
			return []member{
				{
					name:  "display",
					field: scalar[string]{text("id", "the ID of a display, or a pattern such as x11:*", isPattern), &r.Display},
					doc:   "ID of a display, or a pattern such as x11:*.",
				},
				{name: "hidden", field: scalar[bool]{boolean(), &r.Hidden}, doc: "Whether no viewer sees it."},
				{name: "max_viewers", field: scalar[int]{number(1, 10_000), &r.MaxViewers}, doc: "Maximum number of viewers."},
				{
					name: "max_bitrate", field: scalar[int]{bitrate(lowestBitrate, highestBitrate), &r.MaxBitrate},
					doc: "Highest bitrate of each viewer.",
				},
				{name: "fps", field: scalar[int]{number(1, 240), &r.FPS}, doc: "Highest frame rate."},
				{name: "max_size", field: scalar[Size]{pixels(), &r.MaxSize}, doc: "Largest picture."},
				{name: "weight", field: scalar[int]{number(1, 1000), &r.Weight}, doc: "Weight of viewers that request none."},
				{
					name: "resize", field: scalar[string]{oneOf("allow", "deny"), &r.Resize},
					doc: "Whether viewers in control may change the display's size. Default: of virtual displays only.",
				},
			}
		},
		check: func(r *DisplayRule) string {
			none := DisplayRule{Display: r.Display}
			switch {
			case r.Display == "":
				return "names no display: set display, which may be a pattern such as x11:*"
			case *r == none:
				return "of " + r.Display + " has no effect: set one of hidden, max_viewers, max_bitrate, fps, max_size, " +
					"weight, resize"
			case r.Hidden && *r != DisplayRule{Display: r.Display, Hidden: true}:
				return "hides " + r.Display + ", which makes the rest useless"
			}
			return ""
		},
	}
}

func encodingTable() []Setting {
	encoders := []string{Auto}
	for _, p := range encode.Profiles() {
		encoders = append(encoders, p.Name)
	}
	return []Setting{
		one("encoding.encoder", Auto, oneOf(encoders...), func(c *Config) *string { return &c.Encoding.Encoder },
			"Encoder to use. auto tries all encoders at the start and uses the best working one for each codec. A name "+
				"selects that encoder alone; viewers without its codec are refused.").was("encoder").withFlag("encoder").live(),
		one("encoding.vaapi_device", Auto, or(Auto, path()), func(c *Config) *string { return &c.Encoding.VAAPIDevice },
			"Device for encoding with VAAPI, such as /dev/dri/renderD128. auto tries all devices.").
			was("vaapi_device").live(),
		one("encoding.av1", Auto, oneOf(Auto, "never", "always"), func(c *Config) *string { return &c.Encoding.AV1 },
			"Use of AV1 for viewers that decode it: while it pays (text at a low rate, and free cores), never, or "+
				"always.").live(),
		one("encoding.prefer", adapt.Balanced.String(), oneOf(adapt.AggressivenessNames()...),
			func(c *Config) *string { return &c.Encoding.Prefer },
			"Preference when the network cannot provide both: latency keeps queues shortest, quality competes harder for "+
				"bitrate.").was("prefer").live(),
		one("encoding.max_gpu_sessions", Unlimited, or(Unlimited, number(1, 1000)),
			func(c *Config) *int { return &c.Encoding.MaxGPUSessions },
			"Maximum number of concurrent encodings of the graphics card, if its driver has a limit.").
			was("encoder_sessions").live(),
	}
}

func inputTable() []Setting {
	return []Setting{
		one("input.from", InputPolicies()[0], oneOf(InputPolicies()...), func(c *Config) *string { return &c.Input.From },
			"Which roles may send mouse and keyboard input: controllers and operators, operators only, or none.").
			was("input").withFlag("input").live(),
		one("input.idle", "15s", duration(time.Second, time.Hour), func(c *Config) *time.Duration { return &c.Input.Idle },
			"Idle time after which another viewer may take control of the display.").was("control_idle").live(),
		one("input.uinput", None, oneOf(None, "places", American), func(c *Config) *string { return &c.Input.UInput },
			"Input for the screens of graphics cards (kms), by a keyboard and a mouse of the Linux kernel (uinput). With "+
				"places, a key types what the key at its place types on the host. With american, letters are typed as the "+
				"viewer means them; the host must have an American layout."),
	}
}

func logTable() []Setting {
	return []Setting{
		one("log.format", Auto, oneOf(Auto, "text", "json"), func(c *Config) *string { return &c.Log.Format },
			"Format of the log on standard error. auto is text on a terminal, the journal's own form with priorities and "+
				"fields under systemd, and json elsewhere.").
			was("log_format").withFlag("log-format"),
		one("log.level", "info", oneOf("debug", "info", "warn", "error"), func(c *Config) *string { return &c.Log.Level },
			"Least level to log.").was("log_level").withFlag("log-level").live(),
	}
}
