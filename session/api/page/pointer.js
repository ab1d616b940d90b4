// The pointer of the display, which the host sends beside the picture and which is drawn over it here.

import {place} from "./input.js";

const KEPT = 64; // shapes; the host sends a shape again after 32 others
const LONGEST = 4 << 20; // bytes of a shape
const ECHO = 250; // ms for which the user's own pointer counts, since the host's answer is older than it

// varint reads a number, and returns it with the place behind it.
function varint(b, at) {
	let n = 0, scale = 1;
	for (;;) {
		const byte = b[at++];
		if (byte === undefined) throw new Error("message cut off");
		n += (byte & 127) * scale;
		if (byte < 128) return [n, at];
		scale *= 128;
	}
}

// fields reads a message: its numbers and byte fields by number.
function fields(b) {
	const found = [];
	for (let at = 0; at < b.length;) {
		let tag, n;
		[tag, at] = varint(b, at);
		[n, at] = varint(b, at);
		if ((tag & 7) === 0) found[tag >> 3] = n;
		else if ((tag & 7) === 2) { found[tag >> 3] = b.subarray(at, at + n); at += n; } else throw new Error("unknown type");
	}
	return found;
}

const signed = (n = 0) => (n % 2 ? -(n + 1) / 2 : n / 2);

// Pointer draws the pointer of a display into a canvas over the video. While the user controls the display, the shape
// follows the user's own pointer without waiting for the host.
export class Pointer {
	constructor(video, canvas, control) {
		this.video = video;
		this.canvas = canvas;
		this.control = control;
		this.clear();
		video.addEventListener("onpointerrawupdate" in video ? "pointerrawupdate" : "pointermove", (e) => this.follow(e));
		for (const name of ["resize", "loadedmetadata"]) video.addEventListener(name, () => this.render());
		window.addEventListener("resize", () => this.render());
	}

	clear() {
		this.channel = null;
		this.shapes = new Map(); // by ID, the oldest first
		this.count = 0;
		this.state = null; // the host's newest word: shape, x, y, width, height
		this.drawn = 0; // the shape in the canvas
		this.own = null; // the user's pointer: x, y from 0 to 1, and when
		this.canvas.hidden = true;
	}

	// attach sets the channel of a session, or null. early are its messages so far.
	attach(channel, early = []) {
		this.clear();
		this.channel = channel;
		if (!channel) return;
		channel.binaryType = "arraybuffer";
		channel.addEventListener("message", (e) => {
			if (this.channel !== channel) return;
			try { this.take(new Uint8Array(e.data)); } catch (error) { console.warn("pointer:", error); }
		});
		channel.addEventListener("close", () => { if (this.channel === channel) { this.clear(); this.render(); } });
		for (const message of early) this.take(new Uint8Array(message));
	}

	// apart returns whether the pointer is not in the picture.
	get apart() { return this.state !== null && this.state.width > 0; }

	take(message) {
		const [, state, shape] = fields(message);
		if (shape) this.learn(fields(shape));
		if (!state) return;
		const [, count = 0, id = 0, x, y, width = 0, height = 0] = fields(state);
		if (count <= this.count) return; // a newer one has overtaken it
		this.count = count;
		this.state = {shape: id, x: signed(x), y: signed(y), width, height, at: performance.timeOrigin + performance.now()};
		this.render();
	}

	// learn takes a part of a shape. With the last one it is decoded.
	learn([, id, hotX, hotY, width, height, size = 0, offset = 0, part]) {
		if (!part || size > LONGEST || offset + part.length > size) throw new Error("a shape does not fit");
		let s = this.shapes.get(id);
		if (!s || s.image) {
			s = {hotX: signed(hotX), hotY: signed(hotY), width, height, bytes: new Uint8Array(size), missing: size, image: null};
			this.shapes.delete(id);
			this.shapes.set(id, s);
			for (const old of this.shapes.keys()) {
				if (this.shapes.size <= KEPT) break;
				this.shapes.delete(old);
			}
		}
		if (s.bytes.length !== size) throw new Error("a shape has two sizes");
		s.bytes.set(part, offset);
		s.missing -= part.length;
		if (s.missing > 0) return;
		createImageBitmap(new Blob([s.bytes], {type: "image/png"})).then((image) => {
			s.image = image;
			s.bytes = new Uint8Array(0);
			if (this.shapes.get(id) === s) this.render();
		}, (error) => console.warn("pointer shape:", error));
	}

	// follow takes the position of the user's pointer while the user controls the display.
	follow(e) {
		if (!this.control.on || !this.apart || this.control.captured) return; // captured, it has no place on the page
		const box = this.video.getBoundingClientRect();
		if (!this.video.videoWidth) return;
		const p = place(e.clientX, e.clientY, box, this.video.videoWidth, this.video.videoHeight);
		this.own = {x: p.x, y: p.y, until: performance.now() + ECHO};
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.render(), ECHO + 10);
		this.render();
	}

	render() {
		document.body.dataset.pointer = this.apart ? "apart" : "picture";
		const s = this.state, v = this.video, shape = s && this.shapes.get(s.shape);
		const shown = Boolean(this.apart && s.shape && v.videoWidth);
		// A shape that is still on its way leaves the one before in place.
		if (!shown || !this.drawn && !(shape && shape.image)) { this.canvas.hidden = true; return; }
		if (shape && shape.image && this.drawn !== s.shape) {
			this.canvas.width = shape.width;
			this.canvas.height = shape.height;
			this.canvas.getContext("2d").drawImage(shape.image, 0, 0);
			this.drawn = s.shape;
			this.hot = {x: shape.hotX, y: shape.hotY};
		}
		const box = v.getBoundingClientRect(), stage = this.canvas.parentElement.getBoundingClientRect();
		const scale = Math.min(box.width / v.videoWidth, box.height / v.videoHeight);
		const width = v.videoWidth * scale, height = v.videoHeight * scale; // of the picture on the page
		const echo = this.control.on && !this.control.captured && this.own && performance.now() < this.own.until;
		const at = echo ? this.own : {x: (s.x + 0.5) / s.width, y: (s.y + 0.5) / s.height};
		const sx = width / s.width, sy = height / s.height;
		const x = box.left - stage.left + (box.width - width) / 2 + at.x * width - (this.hot.x + 0.5) * sx;
		const y = box.top - stage.top + (box.height - height) / 2 + at.y * height - (this.hot.y + 0.5) * sy;
		const style = this.canvas.style;
		style.width = `${this.canvas.width * sx}px`;
		style.height = `${this.canvas.height * sy}px`;
		style.transform = `translate(${x}px, ${y}px)`;
		this.canvas.hidden = false;
	}
}
