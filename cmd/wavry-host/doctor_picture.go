package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/cmd/wavry-host/doctor"
	"wavryhost/encode"
	"wavryhost/platform/desktop"
	"wavryhost/platform/display"
	"wavryhost/session/relay"
)

// networkChecks checks ports, names, relays and the gateway.
func (e *examination) networkChecks() []doctor.Check {
	l := e.loaded
	port := func(name string) string { return "ss -tulpn, and change " + name }
	udp, tcp := "", ""
	if l.Media.UDP.Port != 0 {
		udp = fmt.Sprint("UDP port ", l.Media.UDP.Port)
	}
	if l.Media.TCP.Port != 0 {
		tcp = fmt.Sprint("TCP port ", l.Media.TCP.Port)
	}
	// tried checks a part of the ports. The daemon itself may use them.
	tried := func(id, title, name, evidence string) doctor.Check {
		c := e.inspectedIn(id, title, port(name), evidence, func(ctx context.Context, in *inspection) { in.port(ctx, name) })
		look := c.Look
		c.Look = func(ctx context.Context) doctor.Finding {
			f := look(ctx)
			if f.Status == doctor.Warning && e.machine.PID != 0 {
				return doctor.Fine("%s, used by process %d, the daemon", evidence, e.machine.PID)
			}
			return f
		}
		return c
	}
	return []doctor.Check{
		tried("network.api_port", "Port of the API", "api.listen", l.API.Listen),
		tried("network.media_udp_port", "UDP port of media", "media.udp.port", udp),
		tried("network.media_tcp_port", "TCP port of media", "media.tcp.port", tcp),
		{ID: "network.media_ports", Title: "Range of UDP ports", Look: e.portRange},
		e.machine.Names("network.names", "Names of this host", namesOnly(l.API.Hosts)),
		{ID: "network.stun", Title: "STUN servers", Look: func(ctx context.Context) doctor.Finding {
			return e.servers(ctx, "stun")
		}},
		{ID: "network.turn", Title: "TURN servers", Look: func(ctx context.Context) doctor.Finding {
			return e.servers(ctx, "turn")
		}},
		e.machine.Reachable("gateway.reachable", "Connection to the gateway", gatewayAddress(l.Gateway.URL)),
	}
}

// portRange checks that there are enough UDP ports. A session has at least one.
func (e *examination) portRange(context.Context) doctor.Finding {
	r := e.loaded.Media.UDP.Range
	switch n := int(r.Max) - int(r.Min) + 1; {
	case e.loaded.Media.UDP.Port != 0, r == config.PortRange{}:
		return doctor.Skip("no range is configured")
	case n < e.loaded.Sessions.Max:
		return doctor.Warn(fmt.Sprintf("set media.udp.range to %d-%d, or media.udp.port to one port for all", r.Min,
			min(65535, int(r.Min)+2*e.loaded.Sessions.Max)),
			"%d ports (%v) for up to %d sessions", n, r, e.loaded.Sessions.Max)
	default:
		return doctor.Fine("%d ports for up to %d sessions", n, e.loaded.Sessions.Max)
	}
}

// namesOnly returns the hosts that are names, not addresses.
func namesOnly(hosts []string) []string {
	var names []string
	for _, h := range hosts {
		if net.ParseIP(h) == nil {
			names = append(names, h)
		}
	}
	return names
}

// gatewayAddress returns the host and port of a gateway; empty for none.
func gatewayAddress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "http": "80"}[u.Scheme]
	}
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// servers probes the STUN or the TURN servers.
func (e *examination) servers(ctx context.Context, kind string) doctor.Finding {
	var servers []relay.Server
	for _, s := range sessionLimits(e.loaded).ICEServers {
		var urls []string
		for _, u := range s.URLs {
			if strings.HasPrefix(u, kind) {
				urls = append(urls, u)
			}
		}
		if s.URLs = urls; len(urls) > 0 {
			servers = append(servers, s)
		}
	}
	if len(servers) == 0 {
		return doctor.Skip("none is configured")
	}
	var good, bad []string
	for _, s := range e.relays(ctx, servers) {
		if s.State == string(relay.StateUp) {
			good = append(good, fmt.Sprintf("%s in %.0f ms", s.URL, s.RTT*1000))
		} else {
			bad = append(bad, fmt.Sprintf("%s: %s: %s", s.URL, s.Reason, s.Error))
		}
	}
	const fix = "correct ice.servers, or repair the server: docs/operate/runbooks/relay.md"
	switch {
	case len(good) == 0:
		return doctor.Fail(fix, "%s", strings.Join(bad, "; "))
	case len(bad) > 0:
		return doctor.Warn(fix, "%s; %s", strings.Join(bad, "; "), strings.Join(good, "; "))
	}
	return doctor.Fine("%s", strings.Join(good, "; "))
}

// pictureChecks checks displays and encoders.
func (e *examination) pictureChecks() []doctor.Check {
	running := once(e.desktop)
	displays := once(func(ctx context.Context) ([]candidate, error) {
		own, _ := running(ctx) // displays.desktop has the error
		// The daemon has the keys of its own virtual displays, which nothing else needs.
		return slices.DeleteFunc(e.displays(ctx), func(d candidate) bool {
			return slices.ContainsFunc(own, func(s desktop.Status) bool { return d.ID == "x11"+s.Display })
		}), nil
	})
	encoders := once(e.encoders)
	shown := func(id, title string, look func([]candidate) doctor.Finding) doctor.Check {
		return doctor.Check{ID: id, Title: title, Look: func(ctx context.Context) doctor.Finding {
			all, err := displays(ctx)
			if err != nil {
				return doctor.Warn("wavry-host displays --probe", "the displays did not answer: %v", err)
			}
			return look(all)
		}}
	}
	proved := func(id, title string, look func([]encode.Candidate) doctor.Finding) doctor.Check {
		return doctor.Check{ID: id, Title: title, Look: func(ctx context.Context) doctor.Finding {
			all, err := encoders(ctx)
			if err != nil {
				return doctor.Fail("wavry-host encoders --probe", "the encoders could not be tried: %v", err)
			}
			return look(all)
		}}
	}
	checks := []doctor.Check{
		shown("displays.default", "Display that viewers get", defaultDisplay),
		shown("displays.permissions", "Access to X displays", otherDisplays),
		shown("displays.virtual", "Server of the virtual display", e.virtualServer),
		shown("displays.wayland", "Wayland sessions", func(all []candidate) doctor.Finding {
			return waylandFinding(all, e.app.variable("WAYLAND_DISPLAY"))
		}),
		{ID: "displays.screen_recording", Title: "Permission of macOS", Look: func(context.Context) doctor.Finding {
			return screenRecording(e.recording())
		}},
		{ID: "displays.desktop", Title: "Supervisor of virtual displays", Look: func(ctx context.Context) doctor.Finding {
			list, err := running(ctx)
			return e.desktopRuns(list, err)
		}},
		proved("encoders.any", "Encoders with real frames", anyEncoder),
		proved("encoders.hardware", "Encoders of graphics cards", func(all []encode.Candidate) doctor.Finding {
			return hardware(all, e.loaded.Encoding.Encoder)
		}),
	}
	for _, format := range encode.Formats() {
		checks = append(checks, proved("encoders."+strings.ToLower(format.Codec), "Encoder of "+format.String(),
			func(all []encode.Candidate) doctor.Finding {
				return formatFinding(all, format, e.loaded.Encoding.Encoder)
			}))
	}
	return checks
}

// defaultDisplay checks that the default display can be captured.
func defaultDisplay(all []candidate) doctor.Finding {
	const fix = "wavry-host displays; then start that display, or set displays.default"
	for _, d := range all {
		switch {
		case !d.Default:
		case d.State == display.Slow:
			return doctor.Warn(fix, "%s answers slowly: %s", d.ID, d.Why)
		case d.State != display.Usable:
			return doctor.Fail(fix, "%s: %s", d.ID, d.Why)
		case isSynthetic(d.ID):
			return doctor.Warn("apt-get install xvfb, or start a desktop, or set displays.default",
				"viewers get the test pattern")
		default:
			return doctor.Fine("%s, %dx%d", d.ID, d.Width, d.Height)
		}
	}
	return doctor.Fail(fix, "there is no default display")
}

// otherDisplays checks the X displays that exist and cannot be captured.
func otherDisplays(all []candidate) doctor.Finding {
	var good, bad []string
	for _, d := range all {
		switch {
		case d.Backend != "x11" || isVirtual(d.ID) || d.Remote:
		case d.State == display.Usable:
			good = append(good, d.ID)
		default:
			bad = append(bad, d.ID+": "+d.Why)
		}
	}
	switch {
	case len(bad) > 0:
		return doctor.Warn("run the daemon as the user of the desktop, or set XAUTHORITY: docs/operate/troubleshooting.md",
			"%s", strings.Join(bad, "; "))
	case len(good) == 0:
		return doctor.Skip("no X server runs")
	}
	return doctor.Fine("%s", strings.Join(good, ", "))
}

// virtualServer checks the server of virtual displays, where it is needed, and their programs.
func (e *examination) virtualServer(all []candidate) doctor.Finding {
	for _, d := range all {
		if isVirtual(d.ID) && d.State != display.Usable {
			const fix = "apt-get install xvfb"
			if d.Default || isVirtual(e.loaded.Displays.Default) {
				return doctor.Fail(fix, "%s", d.Why)
			}
			return doctor.Warn(fix, "%s; without a desktop there is nothing to capture", d.Why)
		}
	}
	if missing := missingPrograms(&e.loaded.Config); len(missing) > 0 {
		return doctor.Warn("install them, or correct displays.virtual_programs and displays.virtual",
			"programs of virtual displays are not installed: %s", strings.Join(missing, ", "))
	}
	return doctor.Fine("Xvfb is installed")
}

// desktopRuns checks the supervisor of virtual displays.
func (e *examination) desktopRuns(list []desktop.Status, err error) doctor.Finding {
	var absent *coded
	switch {
	case errors.As(err, &absent) && absent.code == exitAbsent:
		return doctor.Skip("no virtual display runs")
	case err != nil:
		return doctor.Warn("wavry-host desktop status; wavry-host desktop end", "%v", err)
	}
	var each []string
	for _, s := range list {
		if s.Daemons == 0 && e.machine.PID != 0 && !config.IsOnDemand(s.ID) { // others are kept for viewers that come back
			return doctor.Warn("systemctl restart wavry-host", "%s runs, and the daemon is not attached to it", s.Display)
		}
		each = append(each, fmt.Sprintf("%s on %s since %s, %s", s.ID, s.Display, s.Started.Local().Format(time.DateTime),
			counted(s.Daemons, "daemon")))
	}
	return doctor.Fine("%s", strings.Join(each, "; "))
}

const encoderFix = "wavry-host encoders --probe; docs/operate/runbooks/encoder.md"

func anyEncoder(all []encode.Candidate) doctor.Finding {
	var good []string
	for _, c := range all {
		if c.Proof.Usable {
			good = append(good, fmt.Sprintf("%s (%v a frame)", c.Profile.Name,
				c.Proof.MeanEncode.Round(10*time.Microsecond)))
		}
	}
	if len(good) == 0 {
		return doctor.Fail(encoderFix, "no encoder works: %s", reasons(all))
	}
	return doctor.Fine("%s", strings.Join(good, ", "))
}

// reasons says why encoders cannot be used.
func reasons(all []encode.Candidate) string {
	var why []string
	for _, c := range all {
		if !c.Proof.Usable {
			why = append(why, c.Profile.Name+": "+plain(c))
		}
	}
	return strings.Join(why, "; ")
}

// hardware checks the encoders of graphics cards.
func hardware(all []encode.Candidate, setting string) doctor.Finding {
	var bad []encode.Candidate
	for _, c := range all {
		if !c.Profile.Hardware {
			continue
		}
		if c.Proof.Usable {
			return doctor.Fine("%s encodes", c.Profile.Name)
		}
		bad = append(bad, c)
	}
	if len(bad) > 0 && bad[0].Profile.Encoder() == setting {
		return doctor.Fail(encoderFix, "encoding.encoder names %s, which does not work: %s", setting, reasons(bad))
	}
	return doctor.Skip("%s", reasons(bad))
}

// formatFinding checks that a format has an encoder.
func formatFinding(all []encode.Candidate, format encode.Format, setting string) doctor.Finding {
	best, ok := encode.Best(all, format)
	switch {
	case ok:
		return doctor.Fine("%s", best.Profile.Name)
	case setting != config.Auto:
		return doctor.Skip("encoding.encoder is %s", setting)
	}
	var mine []encode.Candidate
	for _, c := range all {
		if c.Profile.Format == format {
			mine = append(mine, c)
		}
	}
	switch format {
	case encode.HEVC, encode.AV1, encode.VP8: // browsers take another one
		return doctor.Skip("no encoder of %s works here: %s", format, reasons(mine))
	}
	return doctor.Warn(encoderFix, "no encoder of %s works, and some browsers take nothing else: %s", format,
		reasons(mine))
}

// waylandFinding judges Wayland sessions. named is the value of WAYLAND_DISPLAY.
func waylandFinding(all []candidate, named string) doctor.Finding {
	var usable, reasons []string
	for _, d := range all {
		switch {
		case d.Backend != "wayland":
		case d.State == display.Usable:
			usable = append(usable, d.ID)
		default:
			reasons = append(reasons, d.ID+": "+d.Why)
		}
	}
	const fix = "choose an Xorg session at the login screen, or displays.default: virtual"
	switch {
	case len(reasons) > 0:
		return doctor.Warn(fix, "%s", strings.Join(reasons, "; "))
	case len(usable) > 0:
		return doctor.Fine("%s", strings.Join(usable, ", "))
	case named != "":
		return doctor.Warn(fix, "%s is a Wayland session, of which no socket was found", named)
	}
	return doctor.Skip("this is no Wayland session")
}
