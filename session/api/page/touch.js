// Gestures on a touch screen as a mouse would do them: a tap clicks, a finger that moves drags, and one that rests
// clicks the right button. Two fingers turn the wheel, and zoom with Control and the wheel when they part or meet.

const SLOP = 10; // CSS pixels that a resting finger may move
const LONG = 500; // ms until a resting finger is a long press
const NOTCH = 40; // CSS pixels of two fingers for a notch of the wheel
const ZOOM = 1.15; // factor between the fingers' distances for a notch of the zoom
const LEFT = 1, RIGHT = 2; // bits of MouseEvent.buttons

const distance = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
const middle = (a, b) => ({clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2});

// Gestures passes the gestures on an element to a Control while that is on. The tap that takes control is left to the
// browser, which makes a click of it.
//
// Its state is none, one (a finger is down and rests), drag, two (fingers), scroll, pinch, or rest (until all fingers
// are up).
export class Gestures {
	constructor(video, control) {
		this.control = control;
		this.state = "none";
		this.first = null; // where the gesture began
		this.last = null; // of two fingers: where their middle was, and their distance at the last notch
		this.apart = 0;
		this.timer = 0;
		for (const name of ["touchstart", "touchmove", "touchend", "touchcancel"]) video.addEventListener(name, (e) => this.take(e), {passive: false});
	}

	take(e) {
		if (!this.control.on) { this.become("none"); return; }
		e.preventDefault(); // no emulated mouse besides
		const fingers = [...e.touches];
		if (e.type === "touchstart") this.begin(fingers);
		else if (e.type === "touchmove") this.move(fingers);
		else this.end(fingers, e.type === "touchcancel");
	}

	become(state) {
		clearTimeout(this.timer);
		this.state = state;
	}

	begin(fingers) {
		if (fingers.length === 1) {
			this.become("one");
			this.first = fingers[0];
			this.control.go(fingers[0]);
			this.timer = setTimeout(() => this.rest(), LONG);
		} else if (fingers.length === 2 && this.state === "one") {
			this.become("two");
			this.first = this.last = middle(...fingers);
			this.apart = distance(...fingers);
			this.control.go(this.first);
		} else if (this.state !== "drag") {
			this.become("rest");
		}
	}

	move(fingers) {
		if (this.state === "one" && distance(fingers[0], this.first) > SLOP) {
			this.become("drag");
			this.control.go(this.first);
			this.control.hold(LEFT);
		}
		if (this.state === "drag") this.control.go(fingers[0]);
		if (fingers.length !== 2) return;
		const now = middle(...fingers), apart = distance(...fingers);
		if (this.state === "two") {
			const parted = Math.abs(apart - this.apart), moved = distance(now, this.first);
			if (parted > 2 * SLOP && parted > moved) this.become("pinch");
			else if (moved > SLOP) this.become("scroll");
		}
		if (this.state === "scroll") {
			// What is under the fingers follows them.
			this.control.scroll((this.last.clientX - now.clientX) / NOTCH, (now.clientY - this.last.clientY) / NOTCH);
			this.last = now;
		} else if (this.state === "pinch") {
			const notches = Math.trunc(Math.log(apart / this.apart) / Math.log(ZOOM));
			if (notches) { this.control.zoom(notches); this.apart *= ZOOM ** notches; }
		}
	}

	end(fingers, canceled) {
		if (this.state === "one" && !canceled) { this.control.hold(LEFT); this.control.hold(0); }
		if (this.state === "drag" && (canceled || fingers.length === 0)) this.control.hold(0);
		if (fingers.length === 0) this.become("none");
		else if (this.state !== "drag") this.become("rest");
	}

	// rest is a long press.
	rest() {
		if (this.state !== "one" || !this.control.on) return;
		this.become("rest");
		this.control.hold(RIGHT);
		this.control.hold(0);
	}
}
