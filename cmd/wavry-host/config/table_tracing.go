package config

import "time"

func tracingTable() []Setting {
	tr := func(c *Config) *Tracing { return &c.Tracing }
	return []Setting{
		one("tracing.endpoint", None,
			or(None, text("address", "an address such as http://127.0.0.1:4318; other machines require https",
				isDeliveryURL)),
			func(c *Config) *string { return &tr(c).Endpoint },
			"Address of an OpenTelemetry collector that receives traces by OTLP over HTTP. Without a path it gets "+
				"/v1/traces. See docs/operate/monitoring.md."),
		one("tracing.headers_file", None, or(None, path()), func(c *Config) *string { return &tr(c).HeadersFile },
			"File with headers for the collector, one a line, such as \"Authorization: Bearer TOKEN\". Only its owner and "+
				"group may have access. It is read again for each request."),
		one("tracing.frame_every", "1m", duration(time.Second, 24*time.Hour),
			func(c *Config) *time.Duration { return &tr(c).FrameEvery },
			"Time between two traced frames of a session."),
	}
}
