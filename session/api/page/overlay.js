// The statistics over the picture: figures, a graph of the last two minutes, and the quality transitions.

import {$, show} from "./dom.js";
import {Graph} from "./graph.js";
import {recall, remember} from "./memory.js";
import {because} from "./quality.js";
import {bits, millis, percent} from "./stats.js";

const OPEN_KEY = "wavry-host-overlay";

// Overlay shows what the host and the browser know about the stream of a connection.
export class Overlay {
	constructor(connection) {
		this.connection = connection;
		this.graph = new Graph($("graph"));
		this.transitions = ""; // the shown text
	}

	get open() { return !$("overlay").hidden; }

	// restore opens the overlay if it was open when the user left the page.
	restore() {
		if (recall(OPEN_KEY) === "1") this.toggle(true);
	}

	toggle(on = !this.open) {
		show("overlay", on);
		$("stats-button").setAttribute("aria-pressed", String(on));
		remember(OPEN_KEY, on ? "1" : "");
		this.render();
		this.draw();
	}

	// add adds the current figures to the graph.
	add() {
		const {latest, stats} = this.connection;
		this.graph.add({
			at: Date.now(),
			target: latest && latest.target_bitrate > 0 ? latest.target_bitrate / 1e6 : NaN,
			achieved: latest ? latest.achieved_bitrate / 1e6 : NaN,
			received: stats ? stats.bitrate / 1e6 : NaN,
			rtt: this.roundTrip() * 1000,
			queue: latest ? latest.queue_delay_seconds * 1000 : NaN,
			loss: latest ? latest.loss * 100 : NaN,
			quality: latest ? latest.quality : "",
		});
	}

	draw() {
		if (this.open) this.graph.draw(Date.now());
	}

	render() {
		if (!this.open) return;
		this.renderFigures();
		this.renderTransitions();
	}

	// roundTrip returns the host's round trip, which the controller uses, or else the browser's.
	roundTrip() {
		const {latest, stats} = this.connection;
		if (latest && latest.rtt_seconds > 0) return latest.rtt_seconds;
		return stats && stats.rtt !== undefined ? stats.rtt : NaN;
	}

	renderFigures() {
		const s = this.connection.latest || {}, r = this.connection.stats || {};
		const fps = Number.isFinite(r.fps) ? r.fps.toFixed(r.fps < 10 ? 1 : 0) : "–";
		const size = r.width ? `${r.width} × ${r.height}` : s.width ? `${s.width} × ${s.height}` : "–";
		const rows = [
			["Quality", `${s.quality || "–"} (${because(s.reason)})`],
			["Picture", `${size}, ${fps} of ${s.fps ? s.fps.toFixed(0) : "–"} fps${s.idle ? ", idle" : ""}`],
			["Target", bits(s.target_bitrate)],
			["Achieved", bits(s.achieved_bitrate)],
			["Received", bits(r.bitrate)],
			["Round trip", `${millis(this.roundTrip())}, queue ${millis(s.queue_delay_seconds)}`],
			["Loss", `${percent(s.loss)} (${r.packetsLost || 0} packets lost here)`],
			["Jitter", `${millis(r.jitter)}, buffer ${millis(r.bufferDelay)}`],
			["Decoding", `${millis(r.decodeTime)} a frame, ${r.framesDropped || 0} dropped, ${r.freezes || 0} freezes`],
			["Sent", `${s.frames_sent || 0} frames, ${s.keyframes_sent || 0} key, ${s.frames_dropped || 0} dropped`],
			["Encoder", `${s.encoder || "–"}${r.codec ? `, ${r.codec.replace("video/", "")}` : ""}`],
			["Role", `${s.role || "–"}${s.control ? ", in control" : s.controlled ? ", somebody else in control" : ""}`],
			["Session", `${s.id ? s.id.slice(0, 10) : "–"}${s.path ? `, ${s.path} path` : ""}`],
		];
		const list = $("figures");
		if (list.children.length !== rows.length * 2) {
			list.replaceChildren(...rows.flatMap(([name]) => {
				const dt = document.createElement("dt");
				dt.textContent = name;
				return [dt, document.createElement("dd")];
			}));
		}
		rows.forEach(([, value], i) => {
			const dd = list.children[2 * i + 1];
			if (dd.textContent !== value) dd.textContent = value;
		});
		$("graph").setAttribute("aria-label", `The last two minutes. Now: target ${bits(s.target_bitrate)}, achieved ${bits(s.achieved_bitrate)}, ` +
			`round trip ${millis(this.roundTrip())}, loss ${percent(s.loss)}, quality ${s.quality || "unknown"}.`);
	}

	renderTransitions() {
		const {latest} = this.connection;
		const all = (latest && latest.transitions) || [];
		const key = `${latest ? latest.id : ""}/${all.length}/${all.length ? all[all.length - 1].seq : 0}`;
		if (key === this.transitions) return;
		this.transitions = key;
		const rows = all.slice().reverse().map(transition);
		if (!rows.length) {
			const none = document.createElement("li");
			none.className = "none";
			none.textContent = "none so far";
			rows.push(none);
		}
		$("transitions").replaceChildren(...rows);
	}
}

// transition returns the line for a quality transition.
function transition(t) {
	const li = document.createElement("li");
	const at = document.createElement("time");
	at.dateTime = t.at;
	at.textContent = new Date(t.at).toLocaleTimeString([], {hour12: false});
	const what = document.createElement("span");
	const dot = document.createElement("span");
	dot.className = "dot";
	what.dataset.quality = t.to;
	what.append(dot, `${t.from} → ${t.to}`);
	const why = document.createElement("span");
	why.className = "why";
	why.textContent = because(t.reason);
	li.title = `After ${t.dwell_seconds.toFixed(1)} s as ${t.from}: target ${bits(t.target_bitrate)}, received ${bits(t.received_bitrate)}, ` +
		`round trip ${millis(t.rtt_seconds)}, queue ${millis(t.queue_delay_seconds)}, loss ${percent(t.loss)}`;
	li.append(at, what, why);
	return li;
}
