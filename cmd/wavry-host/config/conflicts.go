package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// Conflict means that settings cannot work together.
type Conflict struct {
	Names []string // the settings to blame, the main one first
	Text  string
}

// maxMetricLabels is session.MaxMetricLabels.
const maxMetricLabels = 4

// credentialSettings are the settings that each configure a sufficient credential.
const credentialSettings = "auth.token or auth.token_file (or auth.tokens_file, auth.grants, auth.certificates.mode: " +
	"required)"

// conflicts returns what cannot work although each setting alone is valid.
func (c *Config) conflicts() []Conflict {
	var found conflictList
	c.credentialConflicts(&found)
	c.reachConflicts(&found)
	c.bitrateConflicts(&found)
	c.virtualConflicts(&found)
	if c.Webhook.URL != "" && c.Webhook.SecretFile == "" {
		found.add("events are signed: it requires webhook.secret_file", "webhook.url", "webhook.secret_file")
	}
	if c.Tracing.HeadersFile != "" && c.Tracing.Endpoint == "" {
		found.add("headers go nowhere: it requires tracing.endpoint", "tracing.headers_file", "tracing.endpoint")
	}
	if len(c.Host.LabelMap()) < len(c.Host.Labels) {
		found.add("a name appears twice", "host.labels")
	}
	if labels := c.Sessions.MetricLabels; len(labels) > maxMetricLabels {
		found.add(fmt.Sprintf("at most %d labels can have metrics; it has %d", maxMetricLabels, len(labels)),
			"sessions.metric_labels")
	} else if len(slices.Compact(slices.Sorted(slices.Values(labels)))) < len(labels) {
		found.add("a name appears twice", "sessions.metric_labels")
	}
	if m := &c.Media; m.Network == mediaLoopback && (len(m.PublicAddresses) > 0 || len(m.Interfaces) > 0) {
		found.add(`"loopback" leaves no use for media.interfaces and media.public_addresses`,
			"media.network", "media.interfaces", "media.public_addresses")
	}
	return found
}

type conflictList []Conflict

func (l *conflictList) add(text string, names ...string) { *l = append(*l, Conflict{names, text}) }

// credentialConflicts finds credentials that cannot work.
func (c *Config) credentialConflicts(found *conflictList) {
	t := &c.API.TLS
	if (t.CertFile == "") != (t.KeyFile == "") {
		found.add("a certificate requires its key: set both or none", "api.tls.cert_file", "api.tls.key_file")
	}
	if c.Auth.Token != "" && c.Auth.TokenFile != "" {
		found.add("only one token is allowed: set one of the two", "auth.token", "auth.token_file")
	}
	if c.AsksClients() && (c.Auth.Certificates.CAFile == "" || t.CertFile == "") {
		found.add("it requires auth.certificates.ca_file, api.tls.cert_file and api.tls.key_file", "auth.certificates.mode")
	}
}

// reachConflicts finds ways in for other machines that no credential guards.
func (c *Config) reachConflicts(found *conflictList) {
	host, _, _ := net.SplitHostPort(c.API.Listen)
	if Loopback(host) {
		c.proxyConflicts(found)
		return
	}
	if c.Auth.Anonymous != None {
		found.add(fmt.Sprintf("%q requires a listener on loopback: every client that reaches %s would see the screen",
			c.Auth.Anonymous, c.API.Listen), "auth.anonymous", "api.listen")
	}
	var missing []string
	if c.API.TLS.CertFile == "" {
		missing = append(missing, "api.tls.cert_file and api.tls.key_file")
	}
	if !c.Locked() {
		missing = append(missing, credentialSettings)
	}
	if len(missing) > 0 {
		found.add(fmt.Sprintf("%q can be reached from other machines, which requires %s; or listen on 127.0.0.1",
			c.API.Listen, strings.Join(missing, ", and ")), "api.listen")
	}
}

// proxyConflicts finds what is wrong with a loopback listener that others can reach: through a proxy, a page, or its
// media. The token that the daemon makes is only for this machine.
func (c *Config) proxyConflicts(found *conflictList) {
	var by []string
	if len(c.API.Hosts) > 0 {
		by = append(by, "api.hosts")
	}
	if len(c.API.Origins) > 0 {
		by = append(by, "api.origins")
	}
	if len(c.API.TrustedProxies) > 0 {
		by = append(by, "api.trusted_proxies")
	}
	// The gateway identifies its users, and they need media that leaves this machine.
	if public := c.publicMedia(); public != "" && (c.Gateway.URL == "" || c.Auth.Anonymous != None) {
		by = append(by, public)
	}
	for _, name := range by {
		if !c.Locked() {
			found.add("it makes the host reachable from elsewhere, which requires a credential in the configuration: "+
				credentialSettings, name)
		} else if c.Auth.Anonymous != None {
			found.add("it makes the host reachable from elsewhere, where clients need a credential: set auth.anonymous to none",
				name, "auth.anonymous")
		}
	}
}

// publicMedia returns the setting that lets media leave this machine. It is empty if none does.
func (c *Config) publicMedia() string {
	m := &c.Media
	switch {
	case c.MediaOnLoopback():
		return ""
	case m.Network == mediaAny:
		return "media.network"
	case len(m.Interfaces) > 0:
		return "media.interfaces"
	case len(m.PublicAddresses) > 0:
		return "media.public_addresses"
	case len(m.LocalNetworks) > 0:
		return "media.local_networks"
	default:
		return "ice.servers"
	}
}

// bitrateConflicts finds bitrates in the wrong order.
func (c *Config) bitrateConflicts(found *conflictList) {
	b := &c.Displays.Bitrate
	least, most := formatBitrate(b.Min), formatBitrate(b.Max)
	outside := func(name string, n int) {
		if n < b.Min || n > b.Max {
			found.add(fmt.Sprintf("%s is not between displays.bitrate.min, %s, and displays.bitrate.max, %s",
				formatBitrate(n), least, most), name, "displays.bitrate.min", "displays.bitrate.max")
		}
	}
	if b.Min > b.Max {
		found.add(fmt.Sprintf("%s is above displays.bitrate.max, %s", least, most),
			"displays.bitrate.min", "displays.bitrate.max")
	} else {
		outside("displays.bitrate.start", b.Start)
		if b.Fixed != 0 {
			outside("displays.bitrate.fixed", b.Fixed)
		}
	}
	for _, r := range c.Displays.Rules {
		if r.MaxBitrate != 0 && r.MaxBitrate < b.Min {
			found.add(fmt.Sprintf("max_bitrate of %s, %s, is below displays.bitrate.min, %s", r.Display,
				formatBitrate(r.MaxBitrate), least), "displays.rules", "displays.bitrate.min")
		}
	}
}
