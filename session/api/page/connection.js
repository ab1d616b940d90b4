// The connection to the host: one session at a time, opened again when it is lost, and what the host and the browser know of it.

import {recall, remember} from "./memory.js";
import {Receiver} from "./stats.js";
import {Refused, Session, request} from "./whep.js";

const CONNECT_LIMIT = 15000; // ms from the answer to a connection
const LOST_PATIENCE = 1200; // ms that a lost path may take to come back by itself; the browser took several seconds to call it lost
const LOST_SPREAD = 1000; // ms more, by chance: viewers who lost the same path do not come in step
const RESTART_LIMIT = 16000; // ms within which a lost session is asked for: longer than a host keeps it, unless it is told otherwise, for it says so when it is gone
const RESTART_PAUSE = 700; // ms between attempts at that, and as much again by chance
const BACKOFF = [500, 1000, 2000, 4000, 8000, 10000];
const TOKEN_KEY = "wavry-host-token";

// LATER are the codes that may be different when asked again.
const LATER = new Set(["no_picture", "full", "draining", "too_many_attempts", "timeout", "unreachable", "internal", "unknown_display"]);

// PATIENT are the codes of an ICE restart that did not reach the session: the session may still be there.
const PATIENT = new Set(["unreachable", "timeout", "too_many_requests"]);

// Connection is in one state: connecting, live, frozen, refused, reconnecting, token (it needs one), or paused (the browser does not play).
// onmedia is called with what is to be played, oninput with the data channels for input and for what is held, or null, and onchange when there is something else to show.
export class Connection {
	constructor({onmedia, oninput, onchange}) {
		this.onmedia = onmedia;
		this.oninput = oninput;
		this.onchange = onchange;
		this.token = recall(TOKEN_KEY);
		this.display = "default";
		this.region = ""; // of the relays to use, where the address asks for one
		this.session = null;
		this.receiver = new Receiver();
		this.latest = null; // the host's snapshot of the session
		this.stats = null; // the browser's figures
		this.state = "connecting";
		this.refusal = null; // why there is no session, a Refused
		this.attempt = 0;
		this.retryAt = 0;
		this.lived = false; // a picture was seen since the display was chosen
		this.timers = {};
		this.frames = {count: 0, at: 0};
	}

	// authorize takes the token to show from here on.
	authorize(token) {
		this.token = token;
		remember(TOKEN_KEY, token);
	}

	// change begins anew, with another display or token.
	change() {
		this.lived = false;
		this.attempt = 0;
		this.connect();
	}

	async connect() {
		this.clear();
		this.retryAt = 0;
		if (this.session) this.session.end();
		this.oninput(null);
		const asked = this.region ? `?region=${encodeURIComponent(this.region)}` : "";
		const mine = this.session = new Session(`whep/${encodeURIComponent(this.display)}${asked}`, this.token, {
			ontrack: (e) => this.onmedia(e.streams[0] || new MediaStream([e.track])),
			onstate: (s) => { if (mine === this.session) this.follow(s); },
			oninput: (channel, state) => { if (mine === this.session) this.oninput(channel, state); },
		});
		this.receiver = new Receiver();
		this.latest = this.stats = null;
		this.frames = {count: 0, at: Date.now()};
		this.set(this.lived ? "reconnecting" : "connecting");
		try {
			await mine.open();
			if (mine !== this.session) return;
			this.timers.connect = setTimeout(() => this.reconnect("no connection came about"), CONNECT_LIMIT);
			if (mine.pc && mine.pc.connectionState === "connected") this.follow("connected");
		} catch (e) {
			if (mine !== this.session) return;
			mine.end();
			this.refuse(e);
		}
	}

	// end gives the session up, as when the page is left.
	end() {
		if (this.session) this.session.end();
		this.session = null;
	}

	// follow takes the state of the peer connection.
	follow(s) {
		if (s === "connected") {
			this.attempt = 0;
			this.clear();
			if (this.state === "reconnecting" && this.stats) this.set("live"); // the same session on a new path
		} else if (s === "disconnected") {
			this.lose();
			if (this.lived) this.set("reconnecting");
		} else if (s === "failed") {
			if (this.lived && !this.timers.restart) this.restart();
			else this.reconnect("the connection failed");
		} else if (s === "closed") {
			this.reconnect("the connection was closed");
		}
	}

	// lose gives a lost path some time to come back by itself.
	lose() {
		if (!this.timers.lost) this.timers.lost = setTimeout(() => this.restart(), LOST_PATIENCE + LOST_SPREAD * Math.random());
	}

	// restart tries a new path for the same session first, as long as the host keeps it, and a new session when that takes too long. While the host is
	// out of reach the old path may still come back by itself.
	async restart() {
		this.clear();
		this.set("reconnecting");
		const mine = this.session, over = Date.now() + RESTART_LIMIT;
		this.timers.restart = setTimeout(() => this.reconnect("no new path was found"), RESTART_LIMIT);
		for (;;) {
			try {
				await mine.restart();
				return;
			} catch (e) {
				if (mine !== this.session) return;
				if (!(e instanceof Refused) || !PATIENT.has(e.code) || Date.now() > over) { this.reconnect(e.message); return; }
				await new Promise((r) => { setTimeout(r, RESTART_PAUSE * (1 + Math.random())); });
				if (mine !== this.session || !this.timers.restart) return; // another session, or the old path again
			}
		}
	}

	// compare looks whether the host is content with the path, too. A browser may have gone on to another pair of candidates that the host does not use.
	compare(mine) {
		if (!this.latest || mine.pc.connectionState !== "connected") return;
		if (this.latest.state === "disconnected") {
			if (!this.timers.restart) this.lose();
		} else if (this.latest.state === "connected" && (this.timers.lost || this.timers.restart)) {
			this.follow("connected");
		}
	}

	// reconnect opens a new session after a pause that grows.
	reconnect(why) {
		console.info("reconnecting:", why);
		this.clear();
		if (this.session) this.session.end();
		this.set(this.lived ? "reconnecting" : "connecting");
		this.schedule(0);
	}

	schedule(least) {
		const pause = BACKOFF[Math.min(this.attempt++, BACKOFF.length - 1)];
		// Viewers who lost the same host do not come back in step: half of each pause is left to chance. The host's own wish is in whole seconds, and the
		// same for many; it is exceeded by up to a second.
		const wait = Math.max(least ? 1000 * (least + Math.random()) : 0, pause * (0.5 + Math.random()));
		this.retryAt = Date.now() + wait;
		this.timers.retry = setTimeout(() => this.connect(), wait);
		this.onchange();
	}

	// left is how many seconds it is until the next attempt.
	get left() { return Math.max(0, Math.ceil((this.retryAt - Date.now()) / 1000)); }

	// refuse takes an error that the host answered with, or that stands in its place.
	refuse(e) {
		const r = e instanceof Refused ? e : new Refused(0, "browser", e.message, 0);
		this.clear();
		if (r.code === "unauthorized") {
			this.refusal = this.token ? r : null;
			this.authorize("");
			this.set("token");
			return;
		}
		if (this.lived && r.code === "unreachable") {
			this.set("reconnecting");
			this.schedule(0);
			return;
		}
		this.refusal = r;
		// The host lets so many in at a time and is quick about it: waiting for one's turn is no failure.
		if (r.resource === "handshakes") this.attempt = 0;
		this.set("refused");
		if (LATER.has(r.code)) this.schedule(r.retryAfter);
		else { this.retryAt = 0; this.onchange(); }
	}

	clear() {
		for (const t of Object.values(this.timers)) clearTimeout(t);
		this.timers = {};
	}

	set(next) {
		this.state = next;
		if (next === "live" || next === "frozen") this.refusal = null;
		this.onchange();
	}

	// look asks the host and the browser how the session is, and tells whether there is a session to tell of.
	async look() {
		const mine = this.session;
		if (!mine || !mine.pc || !mine.location || mine.closed) return false;
		const [seen, counted] = await Promise.allSettled([
			request(`v1/sessions/${mine.id}`, this.token, {timeout: 4000}).then((r) => r.json()),
			this.receiver.sample(mine.pc),
		]);
		if (mine !== this.session || mine.closed) return false;
		if (seen.status === "fulfilled") { this.latest = seen.value; this.compare(mine); }
		else if (seen.reason.code === "unknown_session") {
			mine.drop();
			this.reconnect("the host ended the session");
			return false;
		} else if (seen.reason.code === "unauthorized") {
			this.refuse(seen.reason);
			return false;
		}
		if (counted.status === "fulfilled" && counted.value) this.stats = counted.value;
		if (this.stats && this.stats.framesDecoded !== this.frames.count) this.frames = {count: this.stats.framesDecoded, at: Date.now()};
		const playable = ["connecting", "reconnecting", "live", "frozen"].includes(this.state);
		if (this.stats && this.stats.framesDecoded > 0 && mine.pc.connectionState === "connected" && playable) {
			this.lived = true;
			this.set(this.latest && this.latest.frozen ? "frozen" : "live");
		}
		return true;
	}

	// take has the host give control to this session, as an operator may.
	async take() {
		try {
			this.latest = await (await request(`v1/sessions/${this.session.id}/control`, this.token, {method: "PUT"})).json();
		} catch (e) {
			console.warn("take control:", e.message);
		}
		this.onchange();
	}
}
