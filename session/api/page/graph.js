// The last two minutes as a graph: bitrate, delay, loss, and the quality state as a colored band.

export const WINDOW = 120000;

const COLOURS = {good: "#35c27b", constrained: "#e8c547", degraded: "#f08c3a", critical: "#f0525b", stalled: "#a07cf5"};

// PANES lists the series of each pane by the field of a sample, the unit, and the smallest top value of the scale.
const PANES = [
	{
		title: "Bitrate", share: 0.44, least: 0.5, unit: "Mbit/s",
		series: [
			{field: "achieved", name: "achieved", colour: "#4cc9f0", fill: true},
			{field: "received", name: "received", colour: "#8be28b", width: 1},
			{field: "target", name: "target", colour: "#f4f6fa", dash: [4, 3]},
		],
	},
	{
		title: "Delay", share: 0.3, least: 10, unit: "ms",
		series: [
			{field: "rtt", name: "round trip", colour: "#f4a261", fill: true},
			{field: "queue", name: "queue", colour: "#e76fc3", width: 1},
		],
	},
	{title: "Loss", share: 0.26, least: 1, unit: "%", series: [{field: "loss", name: "lost packets", colour: "#f0525b", fill: true}]},
];

export class Graph {
	constructor(canvas) {
		this.canvas = canvas;
		this.samples = [];
	}

	// add adds a sample {at, target, achieved, received, rtt, queue, loss, quality}. Unknown figures are NaN.
	add(sample) {
		this.samples.push(sample);
		const oldest = sample.at - WINDOW - 5000;
		while (this.samples.length && this.samples[0].at < oldest) this.samples.shift();
	}

	draw(now) {
		const c = this.canvas, ratio = window.devicePixelRatio || 1;
		const w = c.clientWidth, h = c.clientHeight;
		if (!w || !h) return;
		if (c.width !== Math.round(w * ratio) || c.height !== Math.round(h * ratio)) {
			c.width = Math.round(w * ratio);
			c.height = Math.round(h * ratio);
		}
		const g = c.getContext("2d");
		g.setTransform(ratio, 0, 0, ratio, 0, 0);
		g.clearRect(0, 0, w, h);
		g.font = '11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
		g.textBaseline = "middle";

		const band = 12, axis = 16, head = 20;
		const room = h - band - axis - 8;
		const x = (at) => w - ((now - at) / WINDOW) * w;
		let y = 0;
		for (const pane of PANES) {
			const height = room * pane.share;
			this.pane(g, pane, x, y + head, w, height - head - 6);
			this.head(g, pane, y + head / 2, w);
			y += height;
		}
		this.band(g, x, y + 4, w, band, now);
		g.fillStyle = "#8b98aa";
		g.textAlign = "left";
		g.fillText("2 min ago", 0, h - axis / 2 + 2);
		g.textAlign = "center";
		g.fillText("quality", w / 2, h - axis / 2 + 2);
		g.textAlign = "right";
		g.fillText("now", w, h - axis / 2 + 2);
	}

	head(g, pane, y, w) {
		g.textAlign = "left";
		g.fillStyle = "#c6d0dd";
		g.fillText(pane.title, 0, y);
		g.textAlign = "right";
		let right = w;
		for (const s of [...pane.series].reverse()) {
			g.fillStyle = s.colour;
			g.fillText(s.name, right, y);
			right -= g.measureText(s.name).width + 12;
		}
	}

	pane(g, pane, x, top, w, height) {
		let most = pane.least;
		for (const s of this.samples) for (const {field} of pane.series) if (s[field] > most) most = s[field];
		const scale = ceil(most);
		const y = (v) => top + height - (v / scale) * height;

		g.strokeStyle = "#1d2633";
		g.lineWidth = 1;
		g.beginPath();
		for (const v of [0, 0.5, 1]) {
			const line = Math.round(y(v * scale)) + 0.5;
			g.moveTo(0, line);
			g.lineTo(w, line);
		}
		g.stroke();

		g.save();
		g.beginPath();
		g.rect(0, top - 1, w, height + 2);
		g.clip();
		for (const s of pane.series) this.line(g, s, x, y, top + height);
		g.restore();

		g.textAlign = "left";
		g.fillStyle = "#77859a";
		g.fillText(`${label(scale)} ${pane.unit}`, 2, top + 8);
	}

	// line leaves a gap where a figure or a sample is missing.
	line(g, series, x, y, bottom) {
		let run = [];
		const runs = [];
		let before = 0;
		for (const s of this.samples) {
			const known = Number.isFinite(s[series.field]);
			if (run.length && (!known || s.at - before > 5000)) { runs.push(run); run = []; }
			if (known) run.push([x(s.at), y(s[series.field])]);
			before = s.at;
		}
		if (run.length) runs.push(run);
		for (const points of runs) {
			g.beginPath();
			points.forEach(([px, py], i) => (i ? g.lineTo(px, py) : g.moveTo(px, py)));
			g.strokeStyle = series.colour;
			g.lineWidth = series.width || 1.6;
			g.setLineDash(series.dash || []);
			g.lineJoin = "round";
			g.stroke();
			g.setLineDash([]);
			if (!series.fill) continue;
			g.lineTo(points[points.length - 1][0], bottom);
			g.lineTo(points[0][0], bottom);
			g.closePath();
			g.globalAlpha = 0.16;
			g.fillStyle = series.colour;
			g.fill();
			g.globalAlpha = 1;
		}
	}

	band(g, x, top, w, height, now) {
		g.fillStyle = "#18202c";
		g.fillRect(0, top, w, height);
		for (let i = 0; i < this.samples.length; i++) {
			const s = this.samples[i], next = this.samples[i + 1];
			const until = next ? Math.min(next.at, s.at + 5000) : Math.min(now, s.at + 5000);
			const colour = COLOURS[s.quality];
			if (!colour) continue;
			// Whole pixels leave no seams between neighbors.
			const left = Math.max(0, Math.round(x(s.at)));
			g.fillStyle = colour;
			g.fillRect(left, top, Math.max(0, Math.round(x(until)) - left), height);
		}
	}
}

// ceil returns the smallest of 1, 2, 5, 10, 20, … that is at least v.
function ceil(v) {
	const power = 10 ** Math.floor(Math.log10(v));
	for (const m of [1, 2, 5, 10]) if (v <= m * power * 1.0001) return m * power;
	return 10 * power;
}

function label(v) {
	return v >= 1 ? String(v) : v.toFixed(1);
}
