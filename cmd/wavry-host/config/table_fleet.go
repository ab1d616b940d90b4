package config

func fleetTable() []Setting {
	f := func(c *Config) *Fleet { return &c.Fleet }
	return []Setting{
		one("fleet.url", None, or(None, word("an address of the form tls://host:4222, or several separated by commas")),
			func(c *Config) *string { return &f(c).URL },
			"NATS servers of the fleet that this host belongs to. The host connects to one of them, with TLS unless it is on "+
				"this machine. Its pool and region are labels, host.labels. See docs/operate/fleet.md.").live(),
		one("fleet.credentials_file", None, or(None, path()), func(c *Config) *string { return &f(c).CredentialsFile },
			"File with the host's credentials at NATS, as nsc writes them. Only its owner and group may have access. It is "+
				"read at each connection. Without it the host logs in with its own key, fleet.key_file.").live(),
		one("fleet.key_file", Auto, or(Auto, path()), func(c *Config) *string { return &f(c).KeyFile },
			"File with the host's own key, which is its identity in the fleet. It is made if it does not exist. auto is "+
				"fleet.key in the state folder. \"wavry-host fleet id\" prints the identity.").live(),
		one("fleet.ca_file", Auto, or(Auto, path()), func(c *Config) *string { return &f(c).CAFile },
			"PEM file of the authorities for the certificates of the NATS servers. auto uses the system's authorities.").live(),
		one("fleet.role", "operator", or(None, role()), func(c *Config) *string { return &f(c).Role },
			"Highest role that the fleet may have on this host. The permissions at the NATS server say who has "+
				"which role.").live(),
		one("fleet.address", Auto, or(None, text("address", "auto or host:port", isAutoOrHostPort)),
			func(c *Config) *string { return &f(c).Address },
			"Address at which others reach the control API and metrics of this host, for the fleet. auto derives it from "+
				"api.listen and the name of the machine.").live(),
		one("fleet.events", "false", boolean(), func(c *Config) *bool { return &f(c).Events },
			"Store each event of this host in the fleet's stream, at least once. \"wavry-host fleet setup\" makes the "+
				"stream.").live(),
		one("fleet.outbox_file", Auto, or(Auto, path()), func(c *Config) *string { return &f(c).OutboxFile },
			"File in which events wait until the fleet's stream has them, over restarts. auto is fleet.jsonl in the state "+
				"folder."),
		one("fleet.insecure", "false", boolean(), func(c *Config) *bool { return &f(c).Insecure },
			"Allow connections without TLS to other machines, and without a login. For development.").live(),
	}
}

// isAutoOrHostPort reports whether s is auto, or a host and a port.
func isAutoOrHostPort(s string) bool {
	_, err := hostPort().parse(s)
	return s == Auto || err == nil
}
