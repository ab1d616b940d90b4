// The connection to the host: one session at a time, which is opened again when it is lost, and what the host and the
// browser know about it.

import {recall, remember} from "./memory.js";
import {Receiver} from "./stats.js";
import {Refused, Session, request} from "./whep.js";

const CONNECT_LIMIT = 15000; // ms from the answer to a connection
const LOST_PATIENCE = 1200; // ms for a lost path to return; the browser has taken several seconds to report it
const LOST_SPREAD = 1000; // random ms more: viewers that lost the same path must not return together
const RESTART_LIMIT = 16000; // ms; longer than a host keeps a lost session by default
const RESTART_PAUSE = 700; // ms between these attempts, plus up to as much at random
const BACKOFF = [500, 1000, 2000, 4000, 8000, 10000];
const RETURN_PAUSE = 200; // ms before a new session on a host that has restarted; half of it is random
const MOVE_PAUSE = 2000; // ms before another attempt to move to the daemon that has taken over
const FORMER_ENDS = 250; // ms after the move
const STEADY = 6; // pictures of the new daemon before the page shows them
const STEADY_LIMIT = 300; // ms; a still screen has no more
const REPORT_INTERVAL = 10000; // ms between reports of the browser's freezes to the host
export const POSTPONE = 300; // seconds by which the user postpones the end of a session at a time
const TOKEN_KEY = "wavry-host-token";

// LATER has the error codes that may go away on a retry.
const LATER = new Set(["no_picture", "full", "draining", "too_many_attempts", "timeout", "unreachable", "internal", "unknown_display"]);

// PATIENT has the error codes of an ICE restart that did not reach the session. The session may still exist.
const PATIENT = new Set(["unreachable", "timeout", "too_many_requests"]);

// Connection is in one state: connecting, live, frozen, refused, reconnecting, token (it needs one), or paused (the
// browser does not play). onmedia is called with the stream to play, oninput with the data channels for input and held
// keys, or null, onpointer with that for the pointer, or null, and its messages so far, and onchange when something else
// must be shown. If another daemon takes over, onpreview is called with a hidden element that will play the new stream.
// Then onmove is called instead of onmedia and oninput.
export class Connection {
	constructor({onmedia, onpreview, onmove, oninput, onpointer, onchange}) {
		this.onmedia = onmedia;
		this.onpreview = onpreview;
		this.onmove = onmove;
		this.oninput = oninput;
		this.onpointer = onpointer;
		this.onchange = onchange;
		this.token = recall(TOKEN_KEY);
		this.display = "default";
		this.member = ""; // the display that the host chose from a group, to which a lost connection returns
		this.region = ""; // of the relays to use, if the address has one
		this.session = null;
		this.receiver = new Receiver();
		this.latest = null; // the host's snapshot of the session
		this.endsAt = 0; // when a drain ends the session, by this machine's clock; 0 for never
		this.stats = null; // the browser's figures
		this.fitRefused = ""; // why the display did not get the size of the window
		this.state = "connecting";
		this.refusal = null; // why there is no session, a Refused
		this.attempt = 0;
		this.retryAt = 0;
		this.lived = false; // a picture was seen since the display was chosen
		this.timers = {};
		this.next = null; // the session that is about to replace the present one
		this.moveAt = 0; // when that may be tried again
		this.away = false; // the host did not answer the last look
		this.frames = {count: 0, at: 0};
	}

	// authorize sets the token for later requests.
	authorize(token) {
		this.token = token;
		remember(TOKEN_KEY, token);
	}

	// change starts again with another display or token.
	change() {
		this.lived = false;
		this.member = "";
		this.attempt = 0;
		this.connect();
	}

	async connect() {
		this.clear();
		this.retryAt = 0;
		this.hangUp();
		this.oninput(null);
		this.onpointer(null);
		const mine = this.session = new Session(this.endpoint(), this.token, {
			ontrack: (e) => this.onmedia(streamOf(e)),
			onstate: (s) => { if (mine === this.session) this.follow(s); },
			oninput: (channel, state) => { if (mine === this.session) this.oninput(channel, state); },
			onpointer: (channel) => { if (mine === this.session) this.onpointer(channel); },
		});
		this.receiver = new Receiver();
		this.latest = this.stats = null;
		this.endsAt = 0;
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

	// endpoint returns where a session is opened, or one that replaces a session.
	endpoint(replaced) {
		const region = this.region ? `&region=${encodeURIComponent(this.region)}` : "";
		return `whep/${encodeURIComponent(this.member || this.display)}?pointer=channel${region}${replaced ? `&replaces=${encodeURIComponent(replaced.id)}` : ""}`;
	}

	// move opens a session on the daemon that has taken over, and shows it once it has pictures. Until then the present
	// session plays.
	async move() {
		if (this.next || Date.now() < this.moveAt) return;
		const former = this.session, early = [];
		const preview = document.createElement("video"); // plays the new session before the page shows it
		let stream = null, input = [null, null], pointer = null, shown = null;
		const next = this.next = new Session(this.endpoint(former), this.token, {
			ontrack: (e) => { stream = streamOf(e); shown = steady(preview, stream); },
			onstate: (s) => {
				if (next === this.session) this.follow(s);
				else if (s === "failed" || s === "closed") next.end();
			},
			oninput: (...channels) => { input = channels; },
			onpointer: (channel) => {
				pointer = channel;
				channel.binaryType = "arraybuffer";
				channel.addEventListener("message", (e) => { if (next !== this.session) early.push(e.data); });
			},
		});
		this.onpreview(preview);
		try {
			await next.open();
			await Promise.all([shown || Promise.reject(new Error("it has no track")), opened(input[0]), opened(input[1])]);
			if (next.closed || former !== this.session) throw new Error("it has ended");
		} catch (e) {
			next.end();
			preview.remove();
			this.moveAt = Date.now() + MOVE_PAUSE;
			if (this.next === next) this.next = null;
			console.warn("move to the new daemon:", e.message);
			return;
		}
		this.session = next;
		this.next = null;
		this.receiver = new Receiver();
		this.frames = {count: 0, at: Date.now()};
		this.onmove(stream, preview, ...input);
		this.onpointer(pointer, early);
		setTimeout(() => former.end(), FORMER_ENDS); // closing takes the page's time
		this.follow(next.pc.connectionState);
	}

	// end ends the session, for example when the user leaves the page.
	end() {
		this.hangUp();
		this.session = null;
	}

	// hangUp ends the session, and the one that is about to replace it.
	hangUp() {
		for (const s of [this.session, this.next]) if (s) s.end();
		this.next = null;
	}

	// follow handles the state of the peer connection.
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

	// lose gives a lost path some time to return.
	lose() {
		if (!this.timers.lost) this.timers.lost = setTimeout(() => this.restart(), LOST_PATIENCE + LOST_SPREAD * Math.random());
	}

	// restart first tries a new path for the same session, as long as the host keeps it, and then a new session. While
	// the host cannot be reached, the old path may still return.
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

	// compare checks that the host uses the path, too. A browser may have moved to a candidate pair that the host does
	// not use.
	compare(mine) {
		if (!this.latest || mine.pc.connectionState !== "connected") return;
		if (this.latest.state === "disconnected") {
			if (!this.timers.restart) this.lose();
		} else if (this.latest.state === "connected" && (this.timers.lost || this.timers.restart)) {
			this.follow("connected");
		}
	}

	// reconnect opens a new session after a growing pause.
	reconnect(why, pause) {
		console.info("reconnecting:", why);
		this.clear();
		this.hangUp();
		this.set(this.lived ? "reconnecting" : "connecting");
		this.schedule(0, pause);
	}

	schedule(least, first) {
		const next = BACKOFF[Math.min(this.attempt++, BACKOFF.length - 1)], pause = first || next;
		// Viewers that lost the same host must not return at the same moment: half of each pause is random. The host's
		// Retry-After is in whole seconds and the same for many viewers, so up to a second is added.
		const wait = Math.max(least ? 1000 * (least + Math.random()) : 0, pause * (0.5 + Math.random()));
		this.retryAt = Date.now() + wait;
		this.timers.retry = setTimeout(() => this.connect(), wait);
		this.onchange();
	}

	// left returns the seconds until the next attempt.
	get left() { return Math.max(0, Math.ceil((this.retryAt - Date.now()) / 1000)); }

	// refuse handles an error of the host, or one that replaces it.
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
		if (this.member && ["forbidden", "unknown_display"].includes(r.code)) { // another one of the group will do
			this.member = "";
			this.schedule(0);
			return;
		}
		this.refusal = r;
		// The host admits a limited number of viewers at a time, and is fast. Waiting for one's turn is not a failure.
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

	// look fetches the statistics of the host and the browser, and returns whether there is a session.
	async look() {
		const mine = this.session;
		if (!mine || !mine.pc || !mine.location || mine.closed) return false;
		const [seen, counted] = await Promise.allSettled([
			request(`v1/sessions/${mine.id}`, this.token, {timeout: 4000}).then((r) => r.json()),
			this.receiver.sample(mine.pc),
		]);
		if (mine !== this.session || mine.closed) return false;
		const away = this.away;
		this.away = seen.status === "rejected" && seen.reason.code === "unreachable";
		if (seen.status === "fulfilled") {
			this.know(seen.value);
			this.compare(mine);
			if (seen.value.moving && mine.pc.connectionState === "connected") this.move();
		}
		else if (seen.reason.code === "unknown_session") {
			mine.drop();
			// A host that was away and does not know the session has restarted.
			this.reconnect("the host ended the session", away ? RETURN_PAUSE : undefined);
			return false;
		} else if (seen.reason.code === "unauthorized") {
			this.refuse(seen.reason);
			return false;
		}
		if (counted.status === "fulfilled" && counted.value) this.stats = counted.value;
		if (this.stats) this.report(mine);
		if (this.stats && this.stats.framesDecoded !== this.frames.count) this.frames = {count: this.stats.framesDecoded, at: Date.now()};
		const playable = ["connecting", "reconnecting", "live", "frozen"].includes(this.state);
		if (this.stats && this.stats.framesDecoded > 0 && mine.pc.connectionState === "connected" && playable) {
			this.lived = true;
			this.set(this.latest && this.latest.frozen ? "frozen" : "live");
		}
		return true;
	}

	// report tells the host what the browser counts as freezes, when there are more of them than in the last report.
	report(mine) {
		const {freezes, frozenFor} = this.stats, now = Date.now();
		if (freezes <= (mine.reported || 0) || now < (mine.reportAt || 0)) return;
		mine.reportAt = now + REPORT_INTERVAL;
		const options = {
			method: "PUT", headers: {"Content-Type": "application/json"},
			body: JSON.stringify({freezes, frozen_seconds: Math.max(0, frozenFor)}),
		};
		request(`v1/sessions/${mine.id}/viewer`, this.token, options).then(
			() => { mine.reported = freezes; },
			(e) => { if (e.status === 404 || e.status === 405) mine.reportAt = Infinity; }, // an older host
		);
	}

	// know takes a snapshot of the session from the host.
	know(latest) {
		this.latest = latest;
		this.member = latest.group ? latest.display : "";
		this.endsAt = latest.ending ? Date.now() + 1000 * latest.ending.in_seconds : 0;
	}

	// postpone asks the host to postpone the end of the session by the seconds of POSTPONE, or by what is left.
	async postpone() {
		const options = {method: "POST", body: JSON.stringify({seconds: POSTPONE}), headers: {"Content-Type": "application/json"}};
		try {
			this.know(await (await request(`v1/sessions/${this.session.id}/postpone`, this.token, options)).json());
		} catch (e) {
			console.warn("postpone the end:", e.message);
		}
		this.onchange();
	}

	// fit asks the host to give the session's display a size in pixels.
	async fit(width, height) {
		const options = {method: "PUT", body: JSON.stringify({width, height}), headers: {"Content-Type": "application/json"}};
		try {
			await request(`v1/sessions/${this.session.id}/size`, this.token, options);
			this.fitRefused = "";
		} catch (e) {
			this.fitRefused = e.message;
		}
		this.onchange();
	}

	// take asks the host to give control to this session, which an operator may do.
	async take() {
		try {
			this.know(await (await request(`v1/sessions/${this.session.id}/control`, this.token, {method: "PUT"})).json());
		} catch (e) {
			console.warn("take control:", e.message);
		}
		this.onchange();
	}
}

const streamOf = (e) => e.streams[0] || new MediaStream([e.track]);

// steady plays a stream and waits until it has pictures: the first one, and some after it unless the screen is still.
// The first one is large, and takes its time.
async function steady(video, stream) {
	video.muted = video.playsInline = true;
	await new Promise((resolve, reject) => {
		video.addEventListener("loadeddata", resolve);
		setTimeout(() => reject(new Error("it has no picture")), CONNECT_LIMIT);
		video.srcObject = stream;
		video.play().catch(() => {}); // the picture counts
	});
	await presented(video, STEADY, STEADY_LIMIT);
}

// presented waits until an element has presented so many more pictures, for a time in ms at most.
export async function presented(video, pictures, limit) {
	const late = new Promise((resolve) => { setTimeout(() => resolve(false), limit); });
	for (let n = 0; n < pictures && video.requestVideoFrameCallback; n++) {
		const next = new Promise((resolve) => { video.requestVideoFrameCallback(() => resolve(true)); });
		if (!await Promise.race([next, late])) return;
	}
	if (!video.requestVideoFrameCallback) await late;
}

// opened waits until a data channel is open, if there is one.
function opened(channel) {
	if (!channel || channel.readyState === "open") return null;
	return new Promise((resolve, reject) => {
		channel.addEventListener("open", resolve);
		channel.addEventListener("close", () => reject(new Error("a channel was closed")));
		setTimeout(() => reject(new Error("a channel does not open")), CONNECT_LIMIT);
	});
}
