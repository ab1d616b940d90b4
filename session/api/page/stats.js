// The browser's statistics of the stream, as rates between two samples.

export class Receiver {
	constructor() {
		this.last = null;
	}

	// sample returns the figures since the previous sample.
	async sample(pc) {
		const report = await pc.getStats();
		let rtp = null, pair = null;
		const byId = new Map();
		for (const s of report.values()) {
			byId.set(s.id, s);
			if (s.type === "inbound-rtp" && (s.kind || s.mediaType) === "video") rtp = s;
			if (s.type === "candidate-pair" && (s.selected || (s.nominated && s.state === "succeeded"))) pair = pair || s;
			if (s.type === "transport" && s.selectedCandidatePairId) pair = report.get(s.selectedCandidatePairId) || pair;
		}
		if (!rtp) return null;
		const old = this.last && this.last.ssrc === rtp.ssrc ? this.last : null;
		this.last = rtp;
		const d = (name) => (old && rtp[name] !== undefined && old[name] !== undefined ? rtp[name] - old[name] : NaN);
		const time = old ? (rtp.timestamp - old.timestamp) / 1000 : NaN;
		const emitted = d("jitterBufferEmittedCount"), decoded = d("framesDecoded"), lost = d("packetsLost"), received = d("packetsReceived");
		return {
			at: Date.now(),
			width: rtp.frameWidth || 0, height: rtp.frameHeight || 0,
			framesDecoded: rtp.framesDecoded || 0,
			framesDropped: rtp.framesDropped || 0,
			keyFrames: rtp.keyFramesDecoded || 0,
			fps: decoded / time,
			bitrate: (8 * d("bytesReceived")) / time,
			loss: received + lost > 0 ? Math.max(0, lost) / (received + lost) : 0,
			packetsLost: rtp.packetsLost || 0,
			jitter: rtp.jitter,
			rtt: pair ? pair.currentRoundTripTime : undefined,
			bufferDelay: emitted > 0 ? d("jitterBufferDelay") / emitted : NaN,
			decodeTime: decoded > 0 ? d("totalDecodeTime") / decoded : NaN,
			freezes: rtp.freezeCount || 0,
			frozenFor: rtp.totalFreezesDuration || 0,
			nacks: rtp.nackCount || 0, plis: rtp.pliCount || 0,
			decoder: rtp.decoderImplementation || "",
			codec: (byId.get(rtp.codecId) || {}).mimeType || "",
		};
	}
}

export function bits(n) {
	if (!Number.isFinite(n)) return "–";
	if (n >= 995000) return `${(n / 1e6).toFixed(n < 9.95e6 ? 2 : 1)} Mbit/s`;
	return `${Math.round(n / 1000)} kbit/s`;
}

export function millis(seconds) {
	if (!Number.isFinite(seconds)) return "–";
	const ms = seconds * 1000;
	return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

export function percent(fraction) {
	if (!Number.isFinite(fraction)) return "–";
	return `${(fraction * 100).toFixed(fraction > 0 && fraction < 0.1 ? 1 : 0)} %`;
}
