// The state of the connection: the bar above the picture, the card in its place, and the banner over it.

import {$, show, text} from "./dom.js";
import {POSTPONE} from "./connection.js";
import {because} from "./quality.js";

const STUCK_AFTER = 4000; // ms without a frame, on a screen that changes, before the page says so

const ENDING_SHOWN = 900; // seconds before the end of a session from which the page counts down

// In full screen the keyboard is locked, and browsers pass a short Escape to the display.
const HINTS = {captured: "Escape releases the mouse; in full screen hold it", control: "Ctrl+Alt+Shift releases mouse and keyboard"};

const WORDS = {
	connecting: "connecting", live: "live", frozen: "display lost", refused: "refused", reconnecting: "reconnecting", token: "locked", paused: "paused",
};
const TITLES = {
	unknown_display: "No such display", no_picture: "No picture at present", full: "The host is full", draining: "The host accepts no new viewers",
	unacceptable_offer: "This browser cannot show the stream", forbidden_host: "Wrong address", forbidden_origin: "Not allowed from here",
	too_many_attempts: "Too many wrong tokens", unreachable: "The host is out of reach", not_ready: "The host is not ready",
};

// Status shows a connection, and who controls the display.
export class Status {
	constructor(connection, control, displays) {
		this.connection = connection;
		this.control = control;
		this.displays = displays;
	}

	render() {
		const {state, latest} = this.connection;
		const entered = document.body.dataset.state !== state;
		document.body.dataset.state = state;
		text("state", WORDS[state]);
		this.renderCard();
		this.renderBanner();
		this.renderEnding();
		if (entered && state === "token") $("token").focus();

		const on = latest && (state === "live" || state === "frozen" || state === "reconnecting");
		show("quality", Boolean(on));
		show("idle", Boolean(on && latest.idle));
		if (on) {
			$("quality").dataset.quality = latest.quality;
			text("quality-text", latest.quality);
			$("quality").title = `Quality: ${latest.quality}, because of: ${because(latest.reason)}`;
		}
		this.renderControl();
		document.title = state === "live" ? `${latest && latest.display ? `${latest.display} · ` : ""}wavry-host` : `${WORDS[state]} · wavry-host`;
	}

	// renderControl shows who controls the display, and how to start and stop.
	renderControl() {
		const control = this.control, s = this.connection.latest || {}, shown = this.connection.state === "live" && (control.ready || s.controlled);
		let who = "", hint = "";
		if (control.on && s.controlled && !s.control) who = "somebody else controls";
		else if (control.on && s.input_lost) who = "the display takes no input at present";
		else if (control.on && control.waiting) who = "you control; the display is slow";
		else if (control.on && s.may_control === false) who = "control was withdrawn";
		else if (control.on) { who = "you control"; hint = "Ctrl+Alt+Shift releases mouse and keyboard"; }
		else if (s.controlled && !s.control) who = "somebody else controls";
		else if (control.ready) who = "click the picture to control";
		show("control", Boolean(shown && who));
		text("control", who);
		$("control").title = hint;
		show("hint", Boolean(shown && control.on));
		const about = control.captured ? "captured" : control.refused ? "refused" : "control";
		$("hint").dataset.about = about;
		text("hint", about === "refused" ? `The browser did not capture the mouse: ${control.refused}` : HINTS[about]);
		show("take", Boolean(shown && s.role === "operator" && s.controlled && !s.control));
		const may = s.may_control !== false && !(s.controlled && !s.control);
		// A host without relative motion, or a display without input, does not say relative_pointer.
		control.accept(Boolean(may && s.relative_pointer));
		const capturable = control.ready && control.relative && !control.captured && "requestPointerLock" in control.video;
		show("capture", Boolean(shown && capturable));
		show("fit", Boolean(this.connection.state === "live" && control.ready && may && this.displays.resizable(s.display)));
		const refused = this.connection.fitRefused;
		$("fit").title = `Fit the display to the window${refused ? `: ${refused}` : ""}`;
		show("keyboard", control.ready);
		document.body.dataset.control = control.on ? "on" : control.ready ? "ready" : "none";
	}

	renderCard() {
		const {state, display, refusal, lived, retryAt, left} = this.connection;
		const card = {
			connecting: ["Connecting", `Opening ${display === "default" ? "the display" : display} …`],
			token: ["This host is locked", refusal ? "That token is not right." : "Open the address that the host printed (there, “wavry-host url” prints it again), or paste the access token."],
			paused: ["Ready", "The browser plays after a click."],
		};
		if (state === "reconnecting" && !lived) card.reconnecting = card.connecting;
		if (state === "refused" && refusal) card.refused = [TITLES[refusal.code] || "The host refused", refusal.message];
		const shown = card[state];
		show("card", Boolean(shown));
		if (!shown) return;
		text("card-title", shown[0]);
		text("card-text", shown[1]);
		show("spinner", state === "connecting");
		show("token-form", state === "token");
		show("retry", state === "refused" || state === "paused");
		text("retry", state === "paused" ? "Play" : retryAt ? `Try again (${left} s)` : "Try again");
		show("card-code", state === "refused");
		if (state === "refused") text("card-code", refusal.status ? `${refusal.status} ${refusal.code}` : refusal.code);
	}

	renderBanner() {
		const {state, latest, lived, frames, retryAt, left} = this.connection;
		let words = "";
		const still = Date.now() - frames.at;
		if (state === "frozen") words = "The display is lost. You see the last picture; the stream continues when the display is back.";
		else if (state === "reconnecting" && lived) words = retryAt ? `The connection is lost. Trying again in ${left} s.` : "The connection is interrupted. Looking for a new path …";
		else if (state === "live" && latest && !latest.idle && still > STUCK_AFTER) words = `No new frame for ${Math.floor(still / 1000)} s.`;
		show("banner", words !== "");
		text("banner", words);
	}

	// renderEnding counts down to the end of the session, and offers to postpone it.
	renderEnding() {
		const {state, latest, endsAt} = this.connection, ending = latest && latest.ending;
		const left = Math.ceil((endsAt - Date.now()) / 1000);
		const shown = Boolean(ending && endsAt && left <= ENDING_SHOWN && (state === "live" || state === "frozen"));
		show("ending", shown);
		if (!shown) return;
		text("ending-time", left > 0 ? `This session ends in ${clock(left)}.` : "This session ends now.");
		text("ending-note", ending.note || "The host is being taken out of service. Save your work.");
		const by = Math.min(POSTPONE, Math.floor(ending.postpone_seconds));
		show("postpone", by > 0);
		text("postpone", by >= 60 ? `${Math.floor(by / 60)} more minutes` : `${by} more seconds`);
	}

	// countdown updates the texts that contain a time.
	countdown() {
		if (["reconnecting", "refused", "live", "frozen"].includes(this.connection.state)) { this.renderCard(); this.renderBanner(); this.renderEnding(); }
	}
}

// clock returns seconds as minutes and seconds.
function clock(seconds) {
	return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
