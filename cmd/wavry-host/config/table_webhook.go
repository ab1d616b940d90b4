package config

import (
	"net/url"
	"regexp"
)

func webhookTable() []Setting {
	w := func(c *Config) *Webhook { return &c.Webhook }
	return []Setting{
		one("webhook.url", None,
			or(None, text("address", "an address of the form https://host/path; http only on this machine",
				isDeliveryURL)),
			func(c *Config) *string { return &w(c).URL },
			"Address to which each event is sent by POST, signed and at least once. It requires webhook.secret_file. See "+
				"docs/integrate/events.md.").live(),
		one("webhook.secret_file", None, or(None, path()), func(c *Config) *string { return &w(c).SecretFile },
			"File with the secrets that sign events, one a line: whsec_ and 24 to 64 bytes in base64. Only its owner and "+
				"group may have access. It is read again for each event.").live(),
		many("webhook.events", "the kind of an event, such as session_ended",
			regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString,
			func(c *Config) *[]string { return &w(c).Events },
			"Kinds of events that are sent. Default: all.").live(),
		one("webhook.outbox_file", Auto, or(Auto, path()), func(c *Config) *string { return &w(c).OutboxFile },
			"File in which events wait until they are delivered, over restarts. auto is webhook.jsonl in the daemon's state "+
				"folder."),
	}
}

// isDeliveryURL reports whether events or traces may go to an address. Without TLS they stay on this machine.
func isDeliveryURL(s string) bool {
	u, err := url.Parse(s)
	return isPrintable(s) && err == nil && u.Host != "" && u.User == nil && u.Fragment == "" &&
		(u.Scheme == "https" || u.Scheme == "http" && Loopback(u.Hostname()))
}
