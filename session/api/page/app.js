// The viewer page: one display, played with the least delay, and what the host and the browser know about the stream.

import {Graph} from "/page/graph.js";
import {Control} from "/page/input.js";
import {Receiver, bits, millis, percent} from "/page/stats.js";
import {Refused, Session, request} from "/page/whep.js";

const POLL = 750; // ms between looks at the session, on the host and here
const POLL_HIDDEN = 5000; // while nobody sees the page
const HOST_POLL = 5000; // ms between looks at the list of displays
const CONNECT_LIMIT = 15000; // ms from the answer to a connection
const LOST_PATIENCE = 1200; // ms that a lost path may take to come back by itself; the browser took several seconds to call it lost
const LOST_SPREAD = 1000; // ms more, by chance: viewers who lost the same path do not come in step
const RESTART_LIMIT = 16000; // ms within which a lost session is asked for: longer than a host keeps it, unless it is told otherwise, for it says so when it is gone
const RESTART_PAUSE = 700; // ms between attempts at that, and as much again by chance
const STUCK_AFTER = 4000; // ms without a frame, on a screen that changes, before the page says so
const BACKOFF = [500, 1000, 2000, 4000, 8000, 10000];
const TOKEN_KEY = "wavry-host-token";

const REASONS = {
	startup: "start", queue_delay: "queue delay", loss: "packet loss", policer: "policer on the path", no_feedback: "no feedback",
	probe_ok: "probe succeeded", competing_traffic: "competing traffic", encoder_overload: "encoder overloaded",
	encoder_overshoot: "encoder overshoots", host_saturated: "host saturated", user_limit: "user's limit", peer_limit: "viewer's limit", recovered: "recovered",
};
const TITLES = {
	unknown_display: "No such display", no_picture: "No picture at present", full: "The host is full", draining: "The host takes no new viewers",
	unacceptable_offer: "This browser cannot show the stream", forbidden_host: "Wrong address", forbidden_origin: "Not allowed from here",
	too_many_attempts: "Too many wrong tokens", unreachable: "The host is out of reach", not_ready: "The host is not ready",
};
// LATER are the codes that may be different when asked again.
const LATER = new Set(["no_picture", "full", "draining", "too_many_attempts", "timeout", "unreachable", "internal", "unknown_display"]);

// PATIENT are the codes of an ICE restart that did not reach the session: the session may still be there.
const PATIENT = new Set(["unreachable", "timeout", "too_many_requests"]);

const $ = (id) => document.getElementById(id);
const video = $("video"), graph = new Graph($("graph"));

const control = new Control(video, () => renderControl());

let token = "";
let display = "default";
let region = ""; // of the relays to use, where the address asks for one
let current = null; // the Session
let receiver = new Receiver();
let latest = null; // the host's snapshot of the session
let stats = null; // the browser's figures
let host = null;
let state = "connecting";
let attempt = 0;
let retryAt = 0;
let lived = false; // a picture was seen since the display was chosen
let timers = {};
let frames = {count: 0, at: 0};
let shownTransitions = "";
let pendingRefusal = null;

// wavry is for tests and for the curious at the console.
window.wavry = {
	get pc() { return current && current.pc; },
	get session() { return current && {id: current.id, etag: current.etag, location: current.location}; },
	get stats() { return stats; },
	get latest() { return latest; },
	get state() { return state; },
	get host() { return host; },
	get samples() { return graph.samples; },
	get control() { return control; },
	restart: () => current.restart(),
	reconnect: () => reconnect("asked to"),
};

function start() {
	readAddress();
	window.addEventListener("popstate", () => { readAddress(); change(); });
	window.addEventListener("hashchange", () => { if (readAddress()) change(); });
	window.addEventListener("pagehide", () => { if (current) current.end(); current = null; });
	window.addEventListener("pageshow", (e) => { if (e.persisted) change(); });
	window.addEventListener("online", () => { if (retryAt) connect(); });
	document.addEventListener("visibilitychange", () => { if (!document.hidden) { beat(); } });
	document.addEventListener("keydown", onKey);
	$("stats-button").addEventListener("click", () => toggleOverlay());
	$("fullscreen-button").addEventListener("click", toggleFullscreen);
	video.addEventListener("dblclick", () => { if (!control.ready) toggleFullscreen(); });
	$("take").addEventListener("click", take);
	$("retry").addEventListener("click", () => { if (state === "paused") play(); else connect(); });
	$("token-form").addEventListener("submit", onToken);
	$("display").addEventListener("change", () => {
		const query = new URLSearchParams(location.search);
		query.set("display", $("display").value);
		history.pushState(null, "", `/?${query}`);
		readAddress();
		change();
	});
	for (const name of ["resize", "loadedmetadata"]) video.addEventListener(name, render);
	window.addEventListener("resize", () => graph.draw(Date.now()));
	let quiet = 0;
	document.addEventListener("pointermove", () => {
		document.body.classList.remove("quiet");
		clearTimeout(quiet);
		quiet = setTimeout(() => document.body.classList.add("quiet"), 3000);
	});
	if (recall("wavry-host-overlay") === "1") toggleOverlay(true);
	connect();
	beat();
	pollHost();
	setInterval(countdown, 250);
}

// readAddress takes display, region and token from the address, and the token out of it: it must not stay in the history.
function readAddress() {
	const asked = new URLSearchParams(location.search);
	display = asked.get("display") || "default";
	region = asked.get("region") || "";
	const given = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")).get("token");
	if (!given) { token = token || recall(TOKEN_KEY); return false; }
	token = given;
	remember(TOKEN_KEY, token);
	history.replaceState(null, "", location.pathname + location.search);
	return true;
}

function recall(key) { try { return sessionStorage.getItem(key) || ""; } catch (e) { return ""; } }
function remember(key, value) { try { sessionStorage.setItem(key, value); } catch (e) { /* then for this page only */ } }

// change begins anew with what the address says.
function change() {
	lived = false;
	attempt = 0;
	connect();
	pollHost();
}

async function connect() {
	clearAll();
	retryAt = 0;
	if (current) current.end();
	control.attach(null);
	const mine = current = new Session(`/whep/${encodeURIComponent(display)}${region ? `?region=${encodeURIComponent(region)}` : ""}`, token, {
		ontrack: (e) => {
			video.srcObject = e.streams[0] || new MediaStream([e.track]);
			play();
		},
		onstate: (s) => { if (mine === current) onConnection(s); },
		oninput: (channel) => { if (mine === current) control.attach(channel); },
	});
	receiver = new Receiver();
	latest = stats = null;
	frames = {count: 0, at: Date.now()};
	if (!lived) set("connecting");
	else set("reconnecting");
	try {
		await mine.open();
		if (mine !== current) return;
		timers.connect = setTimeout(() => reconnect("no connection came about"), CONNECT_LIMIT);
		if (mine.pc && mine.pc.connectionState === "connected") onConnection("connected");
	} catch (e) {
		if (mine !== current) return;
		mine.end();
		refused(e);
	}
}

function onConnection(s) {
	if (s === "connected") {
		attempt = 0;
		clearAll();
		if (state === "reconnecting" && stats) set("live"); // the same session on a new path
	} else if (s === "disconnected") {
		if (!timers.lost) timers.lost = setTimeout(restart, LOST_PATIENCE + LOST_SPREAD * Math.random());
		if (lived) set("reconnecting");
	} else if (s === "failed") {
		if (lived && !timers.restart) restart();
		else reconnect("the connection failed");
	} else if (s === "closed") {
		reconnect("the connection was closed");
	}
}

// restart tries a new path for the same session first, as long as the host keeps it, and a new session when that takes too long. While the host is out
// of reach the old path may still come back by itself.
async function restart() {
	clearAll();
	set("reconnecting");
	const mine = current, over = Date.now() + RESTART_LIMIT;
	timers.restart = setTimeout(() => reconnect("no new path was found"), RESTART_LIMIT);
	for (;;) {
		try {
			await mine.restart();
			return;
		} catch (e) {
			if (mine !== current) return;
			if (!(e instanceof Refused) || !PATIENT.has(e.code) || Date.now() > over) { reconnect(e.message); return; }
			await new Promise((r) => { setTimeout(r, RESTART_PAUSE * (1 + Math.random())); });
			if (mine !== current || !timers.restart) return; // another session, or the old path again
		}
	}
}

// compare looks whether the host is content with the path, too. A browser may have gone on to another pair of candidates that the host does not use.
function compare(mine) {
	if (!latest || mine.pc.connectionState !== "connected") return;
	if (latest.state === "disconnected") {
		if (!timers.lost && !timers.restart) timers.lost = setTimeout(restart, LOST_PATIENCE + LOST_SPREAD * Math.random());
	} else if (latest.state === "connected" && (timers.lost || timers.restart)) {
		onConnection("connected");
	}
}

// reconnect opens a new session after a pause that grows.
function reconnect(why) {
	console.info("reconnecting:", why);
	clearAll();
	if (current) current.end();
	set(lived ? "reconnecting" : "connecting");
	schedule(0);
}

function schedule(least) {
	const pause = BACKOFF[Math.min(attempt++, BACKOFF.length - 1)];
	// Viewers who lost the same host do not come back in step: half of each pause is left to chance. The host's own wish is in whole seconds, and the
	// same for many; it is exceeded by up to a second.
	const wait = Math.max(least ? 1000 * (least + Math.random()) : 0, pause * (0.5 + Math.random()));
	retryAt = Date.now() + wait;
	timers.retry = setTimeout(connect, wait);
	render();
}

function refused(e) {
	const r = e instanceof Refused ? e : new Refused(0, "browser", e.message, 0);
	clearAll();
	if (r.code === "unauthorized") {
		pendingRefusal = token ? r : null;
		remember(TOKEN_KEY, "");
		token = "";
		set("token");
		$("token").focus();
		return;
	}
	if (lived && r.code === "unreachable") {
		set("reconnecting");
		schedule(0);
		return;
	}
	pendingRefusal = r;
	// The host lets so many in at a time and is quick about it: waiting for one's turn is no failure.
	if (r.resource === "handshakes") attempt = 0;
	set("refused");
	if (LATER.has(r.code)) schedule(r.retryAfter);
	else { retryAt = 0; render(); }
}

function onToken(e) {
	e.preventDefault();
	token = $("token").value;
	$("token").value = "";
	remember(TOKEN_KEY, token);
	change();
}

function play() {
	const playing = video.play();
	if (playing) playing.then(() => { if (state === "paused") set("live"); }, (e) => { if (e.name === "NotAllowedError") set("paused"); });
}

function clearAll() {
	for (const t of Object.values(timers)) clearTimeout(t);
	timers = {};
}

// beat looks at the session and plans the next look.
let beating = 0, beatRunning = false;
async function beat() {
	clearTimeout(beating);
	if (beatRunning) return;
	beatRunning = true;
	try { await look(); } catch (e) { console.warn("look at session:", e); }
	beatRunning = false;
	beating = setTimeout(beat, document.hidden ? POLL_HIDDEN : POLL);
}

async function look() {
	const mine = current;
	if (!mine || !mine.pc || !mine.location || mine.closed) { draw(); return; }
	const [seen, counted] = await Promise.allSettled([
		request(`/v1/sessions/${mine.id}`, token, {timeout: 4000}).then((r) => r.json()),
		receiver.sample(mine.pc),
	]);
	if (mine !== current || mine.closed) return;
	if (seen.status === "fulfilled") { latest = seen.value; compare(mine); }
	else if (seen.reason.code === "unknown_session") {
		mine.drop();
		reconnect("the host ended the session");
		return;
	} else if (seen.reason.code === "unauthorized") {
		refused(seen.reason);
		return;
	}
	if (counted.status === "fulfilled" && counted.value) stats = counted.value;
	const now = Date.now();
	if (stats && stats.framesDecoded !== frames.count) frames = {count: stats.framesDecoded, at: now};
	if (stats && stats.framesDecoded > 0 && mine.pc.connectionState === "connected" && ["connecting", "reconnecting", "live", "frozen"].includes(state)) {
		lived = true;
		set(latest && latest.frozen ? "frozen" : "live");
	}
	graph.add({
		at: now,
		target: latest && latest.target_bitrate > 0 ? latest.target_bitrate / 1e6 : NaN,
		achieved: latest ? latest.achieved_bitrate / 1e6 : NaN,
		received: stats ? stats.bitrate / 1e6 : NaN,
		rtt: roundTrip() * 1000,
		queue: latest ? latest.queue_delay_seconds * 1000 : NaN,
		loss: latest ? latest.loss * 100 : NaN,
		quality: latest ? latest.quality : "",
	});
	render();
	draw();
}

// roundTrip is the host's figure, which the controller works with, or else the browser's.
function roundTrip() {
	if (latest && latest.rtt_seconds > 0) return latest.rtt_seconds;
	return stats && stats.rtt !== undefined ? stats.rtt : NaN;
}

async function pollHost() {
	clearTimeout(pollHost.timer);
	if (!document.hidden && state !== "token") {
		try {
			host = await (await request("/v1/host", token, {timeout: 4000})).json();
			renderDisplays();
		} catch (e) { /* the session's own request tells what is wrong */ }
	}
	pollHost.timer = setTimeout(pollHost, HOST_POLL);
}

function renderDisplays() {
	const select = $("display");
	const known = host.displays.map((d) => [d.id, `${d.name || d.id} · ${d.width}×${d.height}${d.state === "lost" ? " · lost" : ""}`]);
	let chosen = display;
	if (display === "default" && known.length) chosen = known[0][0];
	else if (!known.some(([id]) => id === display)) known.push([display, `${display} · unknown`]);
	const want = JSON.stringify([known, chosen]);
	if (select.dataset.shown === want || document.activeElement === select) return;
	select.dataset.shown = want;
	select.replaceChildren(...known.map(([id, text]) => new Option(text, id, false, id === chosen)));
	select.disabled = known.length < 2;
	select.hidden = known.length === 0;
}

function set(next) {
	state = next;
	document.body.dataset.state = next;
	if (next === "live" || next === "frozen") { pendingRefusal = null; }
	render();
}

function show(id, on) { $(id).hidden = !on; }
function text(id, s) { const e = $(id); if (e.textContent !== s) e.textContent = s; }

function render() {
	const words = {connecting: "connecting", live: "live", frozen: "display lost", refused: "refused", reconnecting: "reconnecting", token: "locked", paused: "paused"};
	text("state", words[state]);
	renderCard();
	renderBanner();

	const on = latest && (state === "live" || state === "frozen" || state === "reconnecting");
	show("quality", Boolean(on));
	show("idle", Boolean(on && latest.idle));
	if (on) {
		$("quality").dataset.quality = latest.quality;
		text("quality-text", latest.quality);
		$("quality").title = `Quality: ${latest.quality}, because of: ${because(latest.reason)}`;
	}
	renderControl();
	document.title = state === "live" ? `${latest && latest.display ? `${latest.display} · ` : ""}wavry-host` : `${words[state]} · wavry-host`;
	if (!$("overlay").hidden) { renderFigures(); renderTransitions(); }
}

// renderControl says who controls the display, and how to begin and to stop.
function renderControl() {
	const s = latest || {}, shown = state === "live" && (control.ready || s.controlled);
	let who = "", hint = "";
	if (control.on && s.controlled && !s.control) who = "somebody else controls";
	else if (control.on && s.input_lost) who = "the display takes no input";
	else if (control.on && s.may_control === false) who = "control was withdrawn";
	else if (control.on) { who = "you control"; hint = "Ctrl+Alt+Shift gives mouse and keyboard back"; }
	else if (s.controlled && !s.control) who = "somebody else controls";
	else if (control.ready) who = "click the picture to control";
	show("control", Boolean(shown && who));
	text("control", who);
	$("control").title = hint;
	show("hint", Boolean(shown && control.on));
	text("hint", "Ctrl+Alt+Shift gives mouse and keyboard back");
	show("take", Boolean(shown && s.role === "operator" && s.controlled && !s.control));
	document.body.dataset.control = control.on ? "on" : control.ready ? "ready" : "none";
}

// take has the host give control to this session, as an operator may.
async function take() {
	try {
		latest = await (await request(`/v1/sessions/${current.id}/control`, token, {method: "PUT"})).json();
	} catch (e) {
		console.warn("take control:", e.message);
	}
	render();
}

function renderCard() {
	const card = {connecting: ["Connecting", `Opening ${display === "default" ? "the display" : display} …`], token: ["This host is locked", pendingRefusal ? "That token is not right." : "It takes an access token."], paused: ["Ready", "The browser does not start the picture by itself."]};
	if (state === "reconnecting" && !lived) card.reconnecting = card.connecting;
	if (state === "refused" && pendingRefusal) card.refused = [TITLES[pendingRefusal.code] || "The host refused", pendingRefusal.message];
	const shown = card[state];
	show("card", Boolean(shown));
	if (!shown) return;
	text("card-title", shown[0]);
	text("card-text", shown[1]);
	show("spinner", state === "connecting");
	show("token-form", state === "token");
	show("retry", state === "refused" || state === "paused");
	text("retry", state === "paused" ? "Play" : retryAt ? `Try again (${left()} s)` : "Try again");
	show("card-code", state === "refused");
	if (state === "refused") text("card-code", pendingRefusal.status ? `${pendingRefusal.status} ${pendingRefusal.code}` : pendingRefusal.code);
}

function renderBanner() {
	let words = "";
	const still = Date.now() - frames.at;
	if (state === "frozen") words = "The display is lost. The last picture stands, and the stream goes on when the display is back.";
	else if (state === "reconnecting" && lived) words = retryAt ? `The connection is lost. Trying again in ${left()} s.` : "The connection is interrupted. Looking for a new path …";
	else if (state === "live" && latest && !latest.idle && still > STUCK_AFTER) words = `No new frame for ${Math.floor(still / 1000)} s.`;
	show("banner", words !== "");
	text("banner", words);
}

function countdown() {
	if (state === "reconnecting" || state === "refused" || state === "live") { renderCard(); renderBanner(); }
}

function left() { return Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)); }
function because(reason) { return REASONS[reason] || String(reason || "–").replaceAll("_", " "); }

function renderFigures() {
	const s = latest || {}, r = stats || {};
	const fps = Number.isFinite(r.fps) ? r.fps.toFixed(r.fps < 10 ? 1 : 0) : "–";
	const size = r.width ? `${r.width} × ${r.height}` : s.width ? `${s.width} × ${s.height}` : "–";
	const rows = [
		["Quality", `${s.quality || "–"} (${because(s.reason)})`],
		["Picture", `${size}, ${fps} of ${s.fps ? s.fps.toFixed(0) : "–"} fps${s.idle ? ", idle" : ""}`],
		["Target", bits(s.target_bitrate)],
		["Achieved", bits(s.achieved_bitrate)],
		["Received", bits(r.bitrate)],
		["Round trip", `${millis(roundTrip())}, queue ${millis(s.queue_delay_seconds)}`],
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
		`round trip ${millis(roundTrip())}, loss ${percent(s.loss)}, quality ${s.quality || "unknown"}.`);
}

function renderTransitions() {
	const all = (latest && latest.transitions) || [];
	const key = `${latest ? latest.id : ""}/${all.length}/${all.length ? all[all.length - 1].seq : 0}`;
	if (key === shownTransitions) return;
	shownTransitions = key;
	const rows = all.slice().reverse().map((t) => {
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
	});
	if (!rows.length) {
		const none = document.createElement("li");
		none.className = "none";
		none.textContent = "none so far";
		rows.push(none);
	}
	$("transitions").replaceChildren(...rows);
}

function draw() {
	if (!$("overlay").hidden) graph.draw(Date.now());
}

function toggleOverlay(on = $("overlay").hidden) {
	show("overlay", on);
	$("stats-button").setAttribute("aria-pressed", String(on));
	remember("wavry-host-overlay", on ? "1" : "");
	render();
	draw();
}

function toggleFullscreen() {
	const stage = $("stage");
	if (document.fullscreenElement || document.webkitFullscreenElement) (document.exitFullscreen || document.webkitExitFullscreen).call(document);
	else if (stage.requestFullscreen) stage.requestFullscreen().catch(() => {});
	else if (stage.webkitRequestFullscreen) stage.webkitRequestFullscreen();
	else if (video.webkitEnterFullscreen) video.webkitEnterFullscreen();
}

function onKey(e) {
	if (e.ctrlKey || e.altKey || e.metaKey || (e.target instanceof Element && e.target.closest("input, select"))) return;
	if (e.key === "s" || e.key === "i") toggleOverlay();
	else if (e.key === "f") toggleFullscreen();
}

start();
