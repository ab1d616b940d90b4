// The list of displays to choose from, fetched from the host at intervals.

import {$} from "./dom.js";
import {request} from "./whep.js";

const POLL = 5000; // ms between looks

// Displays shows the displays of a connection's host. A choice changes the connection's display and may change its
// token.
export class Displays {
	constructor(connection) {
		this.connection = connection;
		this.displays = []; // of GET /v1/displays
		this.timer = 0;
	}

	async poll() {
		clearTimeout(this.timer);
		if (!document.hidden && this.connection.state !== "token") {
			try {
				this.displays = (await (await request("v1/displays", this.connection.token, {timeout: 4000})).json()).displays;
				this.render();
			} catch (e) { /* the session's own request reports the error */ }
		}
		this.timer = setTimeout(() => this.poll(), POLL);
	}

	// resizable returns whether a display can change its size.
	resizable(id) { return this.displays.some((d) => d.id === id && d.resizable); }

	render() {
		const select = $("display"), display = this.connection.display;
		// `wavry-host displays` lists displays that cannot be captured. Nobody can choose them here.
		const known = this.displays.filter((d, i) => i === 0 || d.state !== "unusable").map((d) => [d.id, `${d.name || d.id} · ${d.width}×${d.height}${["lost", "slow", "unusable"].includes(d.state) ? " · " + d.state : ""}`]);
		// A request for a group gets a free display of it.
		for (const group of new Set(this.displays.map((d) => d.group).filter(Boolean))) known.push([group, `${group} · a free one`]);
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
}
