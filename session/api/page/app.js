// The viewer page: one display, played with the least delay, and what the host and the browser know about the stream.
// This file puts the page's parts together.

import {Connection, presented} from "./connection.js";
import {Displays} from "./displays.js";
import {$} from "./dom.js";
import {Control} from "./input.js";
import {Overlay} from "./overlay.js";
import {Pointer} from "./pointer.js";
import {Status} from "./status.js";
import {Gestures} from "./touch.js";

const POLL = 750; // ms between looks at the session, on the host and here
const POLL_AWAY = 200; // while the host does not answer, which may be about to be back
const POLL_HIDDEN = 5000; // while nobody sees the page
const PREVIEWED = 3; // pictures of a new session in the element before the preview goes
const PREVIEW_LIMIT = 500; // ms
const QUIET_AFTER = 3000; // ms without a move of the pointer before the bar goes

const video = $("video");
const control = new Control(video, $("field"), () => status.renderControl());
const gestures = new Gestures(video, control);
const pointer = new Pointer(video, $("pointer"), control);
const connection = new Connection({
	onmedia: (stream) => { video.srcObject = stream; play(); },
	onpreview: (element) => { element.className = "preview"; video.after(element); },
	onmove: (stream, preview, channel, state) => { exchange(stream, preview); control.replace(channel, state); },
	oninput: (channel, state) => control.attach(channel, state),
	onpointer: (channel, early) => pointer.attach(channel, early),
	onchange: render,
});
const overlay = new Overlay(connection), displays = new Displays(connection);
const status = new Status(connection, control, displays);

// wavry is for tests and for the browser's console.
window.wavry = {
	get pc() { return connection.session && connection.session.pc; },
	get session() { const s = connection.session; return s && {id: s.id, etag: s.etag, location: s.location}; },
	get stats() { return connection.stats; },
	get latest() { return connection.latest; },
	get state() { return connection.state; },
	get display() { return connection.display; },
	get displays() { return displays.displays; },
	get samples() { return overlay.graph.samples; },
	get control() { return control; },
	get gestures() { return gestures; },
	get pointer() { return pointer; },
	restart: () => connection.session.restart(),
	reconnect: () => connection.reconnect("asked to"),
};

function start() {
	readAddress();
	window.addEventListener("popstate", () => { readAddress(); change(); });
	window.addEventListener("hashchange", () => { if (readAddress()) change(); });
	window.addEventListener("pagehide", () => connection.end());
	window.addEventListener("pageshow", (e) => { if (e.persisted) change(); });
	window.addEventListener("online", () => { if (connection.retryAt) connection.connect(); });
	document.addEventListener("visibilitychange", () => { if (!document.hidden) beat(); });
	document.addEventListener("keydown", onKey);
	$("stats-button").addEventListener("click", () => overlay.toggle());
	$("fullscreen-button").addEventListener("click", toggleFullscreen);
	video.addEventListener("dblclick", () => { if (!control.ready) toggleFullscreen(); });
	$("take").addEventListener("click", () => connection.take());
	$("capture").addEventListener("click", () => control.capture());
	$("fit").addEventListener("click", fit);
	$("postpone").addEventListener("click", () => connection.postpone());
	$("keyboard").addEventListener("click", () => control.showKeyboard());
	$("retry").addEventListener("click", () => { if (connection.state === "paused") play(); else connection.connect(); });
	$("token-form").addEventListener("submit", onToken);
	$("display").addEventListener("change", onDisplay);
	for (const name of ["resize", "loadedmetadata"]) video.addEventListener(name, render);
	window.addEventListener("resize", () => overlay.draw());
	let quiet = 0;
	document.addEventListener("pointermove", () => {
		document.body.classList.remove("quiet");
		clearTimeout(quiet);
		quiet = setTimeout(() => document.body.classList.add("quiet"), QUIET_AFTER);
	});
	overlay.restore();
	connection.connect();
	beat();
	displays.poll();
	setInterval(() => status.countdown(), 250);
}

// readAddress takes display, region, keys and token from the address. It removes the token, which must not stay in the
// history, and returns whether there was one.
function readAddress() {
	const asked = new URLSearchParams(location.search);
	connection.display = asked.get("display") || "default";
	connection.region = asked.get("region") || "";
	control.places = asked.get("keys") === "places";
	const given = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")).get("token");
	if (!given) return false;
	connection.authorize(given);
	history.replaceState(null, "", location.pathname + location.search);
	return true;
}

// change starts again with the display and token of the address.
function change() {
	connection.change();
	displays.poll();
}

function onDisplay() {
	const query = new URLSearchParams(location.search);
	query.set("display", $("display").value);
	history.pushState(null, "", `?${query}`);
	readAddress();
	change();
}

function onToken(e) {
	e.preventDefault();
	connection.authorize($("token").value);
	$("token").value = "";
	change();
}

// exchange plays another stream. The preview, which has it already, is in front until the element has it, too. Another
// stream would clear the element; other tracks in its stream do not.
async function exchange(stream, preview) {
	preview.classList.add("shown");
	const playing = video.srcObject, old = playing.getTracks();
	for (const track of stream.getTracks()) playing.addTrack(track);
	for (const track of old) playing.removeTrack(track);
	await presented(video, PREVIEWED, PREVIEW_LIMIT);
	preview.remove();
}

function play() {
	const began = video.play();
	if (began) began.then(() => { if (connection.state === "paused") connection.set("live"); }, (e) => { if (e.name === "NotAllowedError") connection.set("paused"); });
}

// fit gives the display the size of the place for its picture. Pixels of the page count, not of the screen: on a screen
// of high resolution texts would be too small. Encoders take even sides.
async function fit() {
	const stage = $("stage"), even = (n) => Math.max(96, 2 * Math.floor(n / 2));
	await connection.fit(even(stage.clientWidth), even(stage.clientHeight));
	displays.poll();
}

// beat polls the session and plans the next poll.
let beating = 0, beatRunning = false;
async function beat() {
	clearTimeout(beating);
	if (beatRunning) return;
	beatRunning = true;
	try {
		if (await connection.look()) { overlay.add(); render(); }
		overlay.draw();
	} catch (e) { console.warn("look at session:", e); }
	beatRunning = false;
	beating = setTimeout(beat, document.hidden ? POLL_HIDDEN : connection.away ? POLL_AWAY : POLL);
}

function render() {
	status.render();
	overlay.render();
}

function toggleFullscreen() {
	const stage = $("stage");
	if (document.fullscreenElement || document.webkitFullscreenElement) (document.exitFullscreen || document.webkitExitFullscreen).call(document);
	else if (stage.requestFullscreen) stage.requestFullscreen().catch(() => {});
	else if (stage.webkitRequestFullscreen) stage.webkitRequestFullscreen();
	else if (video.webkitEnterFullscreen) video.webkitEnterFullscreen();
}

function onKey(e) {
	if (e.ctrlKey || e.altKey || e.metaKey || (e.target instanceof Element && e.target.closest("input, select, textarea"))) return;
	if (e.key === "s" || e.key === "i") overlay.toggle();
	else if (e.key === "f") toggleFullscreen();
	else if (e.key === "m" && !$("capture").hidden) {
		e.preventDefault(); // else the letter goes where the focus goes
		control.capture();
	}
}

start();
