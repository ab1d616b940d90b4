// Mouse and keyboard input: events of the browser as messages on the data channel "input" (rift.InputMessage of Wavry).

import {MAC, Typist, chunks, composes, letterOf, locksOf} from "./typing.js";

const MOVE_PAUSE = 4; // ms between positions: more than displays show, and a quarter of what the host takes
const CROWDED = 16384; // bytes in the channel above which positions are dropped and other events wait here
const FARTHEST = 16384; // pixels of relative motion in one message; the host refuses more
const PRESS_AGAIN = 60; // ms after the release by a session before the one that replaces it presses the same keys
const CONFIRM_EVERY = 100; // ms between messages about held keys; the host releases them after 300 ms of silence

// CODES has Linux's key codes (input-event-codes.h) by the physical place of the key, KeyboardEvent.code.
export const CODES = {
	Escape: 1, Digit1: 2, Digit2: 3, Digit3: 4, Digit4: 5, Digit5: 6, Digit6: 7, Digit7: 8, Digit8: 9, Digit9: 10, Digit0: 11, Minus: 12, Equal: 13,
	Backspace: 14, Tab: 15, KeyQ: 16, KeyW: 17, KeyE: 18, KeyR: 19, KeyT: 20, KeyY: 21, KeyU: 22, KeyI: 23, KeyO: 24, KeyP: 25, BracketLeft: 26,
	BracketRight: 27, Enter: 28, ControlLeft: 29, KeyA: 30, KeyS: 31, KeyD: 32, KeyF: 33, KeyG: 34, KeyH: 35, KeyJ: 36, KeyK: 37, KeyL: 38,
	Semicolon: 39, Quote: 40, Backquote: 41, ShiftLeft: 42, Backslash: 43, KeyZ: 44, KeyX: 45, KeyC: 46, KeyV: 47, KeyB: 48, KeyN: 49, KeyM: 50,
	Comma: 51, Period: 52, Slash: 53, ShiftRight: 54, NumpadMultiply: 55, AltLeft: 56, Space: 57, CapsLock: 58, F1: 59, F2: 60, F3: 61, F4: 62,
	F5: 63, F6: 64, F7: 65, F8: 66, F9: 67, F10: 68, NumLock: 69, ScrollLock: 70, Numpad7: 71, Numpad8: 72, Numpad9: 73, NumpadSubtract: 74,
	Numpad4: 75, Numpad5: 76, Numpad6: 77, NumpadAdd: 78, Numpad1: 79, Numpad2: 80, Numpad3: 81, Numpad0: 82, NumpadDecimal: 83, Lang5: 85,
	IntlBackslash: 86, F11: 87, F12: 88, IntlRo: 89, Lang3: 90, Lang4: 91, Convert: 92, KanaMode: 93, NonConvert: 94, NumpadEnter: 96,
	ControlRight: 97, NumpadDivide: 98, PrintScreen: 99, AltRight: 100, Home: 102, ArrowUp: 103, PageUp: 104, ArrowLeft: 105, ArrowRight: 106,
	End: 107, ArrowDown: 108, PageDown: 109, Insert: 110, Delete: 111, AudioVolumeMute: 113, AudioVolumeDown: 114, AudioVolumeUp: 115, Power: 116,
	NumpadEqual: 117, Pause: 119, NumpadComma: 121, Lang1: 122, Lang2: 123, IntlYen: 124, MetaLeft: 125, MetaRight: 126, ContextMenu: 127,
	BrowserStop: 128, Again: 129, Props: 130, Undo: 131, Copy: 133, Open: 134, Paste: 135, Find: 136, Cut: 137, Help: 138, LaunchApp2: 140,
	Sleep: 142, WakeUp: 143, LaunchMail: 155, BrowserFavorites: 156, LaunchApp1: 157, BrowserBack: 158, BrowserForward: 159, Eject: 161,
	MediaTrackNext: 163, MediaPlayPause: 164, MediaTrackPrevious: 165, MediaStop: 166, BrowserHome: 172, BrowserRefresh: 173, NumpadParenLeft: 179,
	NumpadParenRight: 180, F13: 183, F14: 184, F15: 185, F16: 186, F17: 187, F18: 188, F19: 189, F20: 190, F21: 191, F22: 192, F23: 193, F24: 194,
	BrowserSearch: 217, MediaSelect: 226,
};

// BUTTONS has the button numbers by their bits in MouseEvent.buttons.
const BUTTONS = [[1, 1], [2, 3], [4, 2], [8, 8], [16, 9]];

const FIELD = {move: 2, button: 3, key: 4, scroll: 5, relative: 14, text: 15};

function varint(n) {
	const out = [];
	for (; n >= 128; n = Math.floor(n / 128)) out.push((n % 128) | 128);
	out.push(n);
	return out;
}

// message encodes an event of two floats, of text, or of a number and whether it is pressed. A key may have the letter
// that it types, and the state of the locks.
export function message(kind, a, b, letter = 0, locks = -1) {
	const body = [];
	if (kind === "move" || kind === "relative" || kind === "scroll") {
		const floats = new DataView(new ArrayBuffer(8));
		floats.setFloat32(0, a, true);
		floats.setFloat32(4, b, true);
		const bytes = new Uint8Array(floats.buffer);
		body.push(0x0d, ...bytes.subarray(0, 4), 0x15, ...bytes.subarray(4));
	} else if (kind === "text") {
		const bytes = new TextEncoder().encode(a);
		body.push(0x0a, ...varint(bytes.length), ...bytes);
	} else {
		body.push(0x08, ...varint(a), 0x10, b ? 1 : 0);
		if (letter) body.push(0x70, ...varint(letter));
		if (locks >= 0) body.push(0x78, locks);
	}
	return new Uint8Array([0x08, ...varint(Math.round((performance.timeOrigin + performance.now()) * 1000)), FIELD[kind] << 3 | 2, ...varint(body.length), ...body]);
}

// holding encodes what is held: the number of messages sent so far, and the key codes (rift.State).
export function holding(count, keys) {
	const list = keys.flatMap((code) => varint(code));
	return new Uint8Array([0x08, ...varint(count), 0x12, ...varint(list.length), ...list]);
}

// place returns the position of a point in a picture of the given size that a box shows uncut. Both coordinates are
// from 0 to 1 inside the picture.
export function place(x, y, box, width, height) {
	const scale = Math.min(box.width / width, box.height / height);
	return {
		x: (x - box.left - (box.width - width * scale) / 2) / (width * scale),
		y: (y - box.top - (box.height - height * scale) / 2) / (height * scale),
	};
}

// Control passes the input of an element to a display. It starts with a click into the picture, and ends with
// Ctrl+Alt+Shift or when the user leaves the page. onchange is called when it starts or ends, and when the channel
// opens or closes.
//
// With the mouse captured (Pointer Lock), the display gets the mouse's motion instead of positions, as games need it.
// That ends with Escape, which the browser handles, or with control.
//
// Keys type what they type on the keyboard of the user, whatever the layout of the display is. With places set, the
// display gets the places of the keys alone.
export class Control {
	constructor(video, field, onchange) {
		this.video = video;
		this.field = field;
		this.typist = new Typist(field, (text) => { if (this.on) this.type(text); }, () => { if (this.on) this.tap(CODES.Backspace); });
		this.places = false;
		this.onchange = onchange;
		this.channel = null;
		this.state = null; // the channel for held keys, if the host has one
		this.out = []; // events that wait for room in the channel
		this.sent = 0; // messages so far, including waiting ones
		this.waited = false;
		this.beat = 0;
		this.on = false;
		this.keys = new Map(); // held keys: the time of the press by code
		this.buttons = 0; // held buttons, as bits
		this.relative = false; // the display accepts relative motion
		this.adjusted = false; // the browser offers the mouse's motion only as the system has accelerated it
		this.refused = ""; // why the browser does not capture the mouse
		this.wanted = null; // the position to send next
		this.turned = {x: 0, y: 0}; // the relative motion to send next, in pixels
		this.moved = 0;
		this.timer = 0;
		const raw = "onpointerrawupdate" in video ? "pointerrawupdate" : "pointermove";
		video.addEventListener(raw, (e) => this.point(e));
		video.addEventListener("pointerdown", (e) => { if (this.on && !this.captured && e.pointerType !== "touch") video.setPointerCapture(e.pointerId); });
		video.addEventListener("mousedown", (e) => this.press(e));
		video.addEventListener("mouseup", (e) => { if (this.on) { e.preventDefault(); this.settle(e); } });
		for (const name of ["lostpointercapture", "pointercancel"]) video.addEventListener(name, (e) => { if (this.on) this.lift(name === "pointercancel" ? 0 : e.buttons); });
		video.addEventListener("contextmenu", (e) => { if (this.ready) e.preventDefault(); });
		video.addEventListener("auxclick", (e) => { if (this.on) e.preventDefault(); });
		video.addEventListener("wheel", (e) => this.wheel(e), {passive: false});
		document.addEventListener("pointerlockchange", () => this.locked());
		// The listeners run in the capture phase, so that no shortcut of the page receives typed keys.
		for (const name of ["keydown", "keyup"]) window.addEventListener(name, (e) => this.key(e), {capture: true});
		window.addEventListener("blur", () => this.leave());
		window.addEventListener("pagehide", () => this.leave());
		document.addEventListener("visibilitychange", () => { if (document.hidden) this.leave(); });
	}

	get ready() { return this.channel !== null && this.channel.readyState === "open"; }

	// captured returns whether the display gets the mouse's motion instead of positions.
	get captured() { return this.on && document.pointerLockElement === this.video; }

	// accept says whether the display accepts relative motion from this user at present.
	accept(relative) {
		this.relative = relative;
		if (!relative && this.captured) document.exitPointerLock();
	}

	// capture takes control and captures the mouse, during a click or a key of the user.
	capture() {
		this.enter();
		if (!this.on || !this.relative || this.captured || !this.video.requestPointerLock) return;
		this.refused = "";
		// Games do their own acceleration. Not every system offers the motion without it.
		const ask = async (options) => { await this.video.requestPointerLock(options); }; // Safari returns no promise
		// Browsers limit the requests, so what failed once is not tried again.
		(this.adjusted ? ask() : ask({unadjustedMovement: true})
			.catch((e) => { if (e.name !== "NotSupportedError") throw e; this.adjusted = true; return ask(); }))
			.then(() => { this.refused = ""; }, (e) => { this.refused = e.message; })
			.then(() => { if (!this.on && document.pointerLockElement === this.video) document.exitPointerLock(); this.onchange(); });
	}

	// locked follows the browser, which captures the mouse or releases it.
	locked() {
		if (!this.on) return;
		this.move(); // what was done before
		this.wanted = null;
		this.turned = {x: 0, y: 0};
		if (!this.captured) this.releaseAll();
		this.onchange();
	}

	// replace goes on with the channels of a session that replaces the present one. What is held is released there, and
	// pressed here.
	replace(channel, state) {
		if (!this.on) { this.attach(channel, state); return; }
		const keys = [...this.keys.entries()], buttons = this.buttons;
		this.move();
		this.releaseAll();
		this.use(channel, state);
		setTimeout(() => {
			if (!this.on || this.channel !== channel) return;
			for (const [code, at] of keys) { this.keys.set(code, at); this.send("key", code, true); }
			this.hold(buttons);
		}, PRESS_AGAIN);
	}

	// attach sets the channels of a session, or null.
	attach(channel, state = null) {
		this.leave();
		this.use(channel, state);
	}

	use(channel, state) {
		this.channel = channel;
		this.state = state;
		this.out = [];
		this.sent = 0;
		if (state) state.addEventListener("open", () => this.confirm());
		if (channel) {
			channel.bufferedAmountLowThreshold = CROWDED / 2;
			channel.addEventListener("bufferedamountlow", () => { if (this.channel === channel) this.drain(); });
			for (const name of ["open", "close"]) {
				channel.addEventListener(name, () => {
					if (this.channel !== channel) return;
					if (name === "close") this.leave();
					this.onchange();
				});
			}
		}
		this.onchange();
	}

	enter() {
		if (this.on || !this.ready) return;
		this.on = true;
		this.focus();
		if (document.fullscreenElement && navigator.keyboard && navigator.keyboard.lock) navigator.keyboard.lock().catch(() => {});
		this.onchange();
	}

	// focus gives the keys to the field. There it would open the keyboard of a touch screen, so that has a button.
	focus() { (matchMedia("(pointer: coarse)").matches ? this.video : this.field).focus({preventScroll: true}); }

	// showKeyboard opens the keyboard of a touch screen.
	showKeyboard() {
		this.enter();
		this.field.focus({preventScroll: true});
	}

	// leave ends control and releases everything that is held on the display.
	leave() {
		if (!this.on) return;
		this.releaseAll();
		if (this.captured) document.exitPointerLock();
		this.on = false;
		this.refused = "";
		this.field.blur();
		clearTimeout(this.timer);
		this.timer = 0;
		this.wanted = null;
		this.turned = {x: 0, y: 0};
		if (navigator.keyboard && navigator.keyboard.unlock) navigator.keyboard.unlock();
		this.onchange();
	}

	releaseAll() {
		for (const code of [...this.keys.keys()].reverse()) this.send("key", code, false);
		this.keys.clear();
		this.lift(0);
		this.confirm();
	}

	// waiting returns whether the host takes input more slowly than it is made.
	get waiting() { return this.out.length > 0; }

	// send sends an event, complete and in order. Events for which the channel has no room wait here.
	send(kind, ...values) {
		if (!this.ready) return;
		this.sent++;
		this.out.push(message(kind, ...values));
		this.drain();
	}

	// type types text.
	type(text) { for (const part of chunks(text)) this.send("text", part); }

	// tap presses and releases a key.
	tap(code) {
		this.send("key", code, true);
		this.send("key", code, false);
	}

	drain() {
		let n = 0;
		while (n < this.out.length && this.ready && this.channel.bufferedAmount < CROWDED) {
			try { this.channel.send(this.out[n]); } catch (e) { break; } // just closed: the host releases held keys
			n++;
		}
		this.out.splice(0, n);
		if (this.waiting !== this.waited) { this.waited = this.waiting; this.onchange(); }
	}

	// confirm repeats what is held, as long as anything is. When the path is cut, the messages stop, and the host
	// releases everything. They have a channel of their own that does not wait for lost messages.
	confirm() {
		clearTimeout(this.beat);
		this.beat = 0;
		if (!this.state || this.state.readyState !== "open") return;
		if (this.state.bufferedAmount === 0) {
			try { this.state.send(holding(this.sent, [...this.keys.keys()])); } catch (e) { /* closed this moment */ }
		}
		if (this.keys.size > 0 || this.buttons) this.beat = setTimeout(() => this.confirm(), CONFIRM_EVERY);
	}

	// at returns the position of an event in the picture. It returns null if there is no picture, or if the event is
	// outside and nothing is dragged.
	at(e) {
		const v = this.video;
		if (!v.videoWidth) return null;
		const p = place(e.clientX, e.clientY, v.getBoundingClientRect(), v.videoWidth, v.videoHeight);
		const inside = p.x >= 0 && p.x <= 1 && p.y >= 0 && p.y <= 1;
		if (!inside && !this.buttons) return null;
		return {x: Math.min(1, Math.max(0, p.x)), y: Math.min(1, Math.max(0, p.y))};
	}

	point(e) {
		if (!this.on || e.pointerType === "touch") return; // fingers make gestures, see touch.js
		if (this.captured) { this.turn(e); return; }
		const all = e.getCoalescedEvents ? e.getCoalescedEvents() : [];
		const p = this.at(all.length ? all[all.length - 1] : e);
		if (this.buttons & ~e.buttons) this.lift(e.buttons); // a button was released outside the page
		if (!p) return;
		this.wanted = p;
		this.flush();
	}

	// turn adds to the relative motion. A pixel of the browser is one of the display.
	turn(e) {
		if (this.buttons & ~e.buttons) this.lift(e.buttons); // a button was released elsewhere
		this.turned.x += e.movementX;
		this.turned.y += e.movementY;
		this.flush();
	}

	// flush sends the newest position and the motion, at once or a moment after the previous one.
	flush() {
		if (!this.pending || this.timer) return;
		const wait = this.waiting || this.channel && this.channel.bufferedAmount >= CROWDED ? MOVE_PAUSE : this.moved + MOVE_PAUSE - performance.now();
		if (wait > 0) {
			this.timer = setTimeout(() => { this.timer = 0; this.flush(); }, wait);
			return;
		}
		this.move();
	}

	// pending returns whether there is a position or a motion to send.
	get pending() { return this.wanted !== null || this.turned.x !== 0 || this.turned.y !== 0; }

	move() {
		if (!this.pending) return;
		this.moved = performance.now();
		const p = this.wanted, {x, y} = this.turned;
		this.wanted = null;
		this.turned = {x: 0, y: 0};
		const within = (n) => Math.max(-FARTHEST, Math.min(FARTHEST, n));
		if (x || y) this.send("relative", within(x), within(y));
		if (p) this.send("move", p.x, p.y);
	}

	press(e) {
		if (!this.ready) return;
		if (this.captured) {
			e.preventDefault();
			this.hold(e.buttons);
			return;
		}
		const p = this.at(e);
		if (!this.on && !p) return;
		e.preventDefault();
		if (p) { this.wanted = p; }
		if (!this.on) { // the click that takes control does nothing else
			this.enter();
			this.move();
			return;
		}
		if (document.activeElement !== this.field) this.focus();
		this.move(); // a button goes down where the pointer is
		this.hold(e.buttons);
	}

	// go moves the pointer to a point of the page.
	go(point) {
		const p = this.at(point);
		if (!p) return;
		this.wanted = p;
		this.flush();
	}

	// hold presses the given buttons, as bits, and releases the others.
	hold(buttons) {
		this.move(); // a button goes down and up where the pointer is
		for (const [bit, number] of BUTTONS) {
			if (buttons & bit && !(this.buttons & bit)) this.send("button", number, true);
		}
		this.buttons |= buttons;
		this.lift(buttons);
		this.confirm();
	}

	// scroll turns the wheel by notches, or parts of them.
	scroll(dx, dy) {
		this.move();
		if (dx || dy) this.send("scroll", dx, dy);
	}

	// zoom turns the wheel with Control held, which makes most programs zoom.
	zoom(notches) {
		this.move();
		this.send("key", CODES.ControlLeft, true);
		this.send("scroll", 0, notches);
		this.send("key", CODES.ControlLeft, false);
	}

	settle(e) {
		const p = this.captured ? null : this.at(e);
		if (p) this.wanted = p;
		this.move();
		this.lift(e.buttons);
	}

	// lift releases the held buttons that are not among the given ones.
	lift(buttons) {
		for (const [bit, number] of BUTTONS) {
			if (this.buttons & bit && !(buttons & bit)) this.send("button", number, false);
		}
		if (this.buttons & ~buttons) { this.buttons &= buttons; this.confirm(); }
	}

	wheel(e) {
		if (!this.on) return;
		e.preventDefault();
		// A notch is 120 of wheelDelta in every browser. delta has the direction, but its size depends on the browser
		// and the system.
		const notches = (delta, old) => Math.sign(delta) * Math.min(10, old ? Math.abs(old) / 120 : Math.abs(delta) / [100, 3, 1][e.deltaMode]);
		const dx = notches(e.deltaX, e.wheelDeltaX), dy = -notches(e.deltaY, e.wheelDeltaY);
		this.scroll(dx, dy);
	}

	key(e) {
		if (!this.on) return;
		e.stopPropagation();
		const down = e.type === "keydown", letters = !this.places;
		if (letters && down && composes(e) && e.target === this.field) return; // its text comes to the field
		e.preventDefault();
		const code = CODES[e.code] || CODES[e.key]; // touch keyboards tell no place
		// Only these three end control, and only without AltGr: some browsers report AltGr as Ctrl and Alt, and then
		// Shift is for letters.
		const altGr = e.code === "AltRight" || this.keys.has(CODES.AltRight) || e.getModifierState("AltGraph");
		if (down && /^(Control|Alt|Shift)/.test(e.code) && e.ctrlKey && e.altKey && e.shiftKey && !altGr) { this.leave(); return; }
		const letter = letters && down ? letterOf(e) : 0;
		if (!code && letter) this.type(e.key);
		if (!code || e.repeat) return; // the display repeats keys
		if (e.code === "CapsLock" && MAC) { // there it reports the lock, not the key
			this.tap(code);
			return;
		}
		if (down) {
			// Windows reports AltGr as Ctrl and Alt; the extra Ctrl is dropped.
			const control = this.keys.get(CODES.ControlLeft);
			if (e.code === "AltRight" && control !== undefined && e.timeStamp - control < 5) this.up(CODES.ControlLeft);
			if (letters && e.key === "AltGraph") return; // it is for letters, which are told
			this.keys.set(code, e.timeStamp);
			this.send("key", code, true, letter, locksOf(e));
			this.confirm();
			return;
		}
		this.up(code);
		// While Command is held, macOS does not report the release of other keys.
		if (MAC && e.code.startsWith("Meta")) for (const other of [...this.keys.keys()]) this.up(other);
	}

	up(code) {
		if (!this.keys.delete(code)) return;
		this.send("key", code, false);
		this.confirm();
	}
}
