// The host's reasons for the quality of a stream, in words for people.

const REASONS = {
	startup: "start", queue_delay: "queue delay", loss: "packet loss", policer: "policer on the path", no_feedback: "no feedback",
	probe_ok: "probe succeeded", competing_traffic: "competing traffic", encoder_overload: "encoder overloaded",
	encoder_overshoot: "encoder overshoots", host_saturated: "host saturated", user_limit: "user's limit", peer_limit: "viewer's limit",
	recovered: "recovered",
};

// because accepts any reason: a host may be newer than the open page.
export function because(reason) { return REASONS[reason] || String(reason || "–").replaceAll("_", " "); }
