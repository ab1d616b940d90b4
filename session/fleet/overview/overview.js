// The page of a fleet. It asks its server for the hosts every two seconds, and shows them.

const interval = 2000;
const byId = (id) => document.getElementById(id);

// element returns an element with text, attributes and children.
function element(name, attributes = {}, ...children) {
	const e = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (value !== undefined) e.setAttribute(key, value);
	}
	e.append(...children);
	return e;
}

// bar returns an element as wide as a share.
function bar(share, attributes = {}) {
	const e = element("i", attributes);
	e.style.width = `${Math.round(100 * Math.min(1, Math.max(0, share)))}%`;
	return e;
}

const count = (n) => n.toLocaleString("en");

// fill shows rows in a table. Columns are [heading, class, function of a row].
function fill(table, columns, rows, keep) {
	table.tHead.replaceChildren(element("tr", {}, ...columns.map(([heading, kind]) => element("th", { class: kind }, heading))));
	table.tBodies[0].replaceChildren(...rows.map((row) => {
		const tr = element("tr", keep ? keep(row) : {});
		for (const [, kind, value] of columns) {
			const v = value(row);
			tr.append(element("td", { class: kind }, ...(Array.isArray(v) ? v : [v])));
		}
		return tr;
	}));
}

const states = ["good", "constrained", "degraded", "critical", "stalled"];

// quality shows the shares of the sessions in each state.
function quality(of = {}) {
	const all = states.reduce((sum, s) => sum + (of[s] || 0), 0);
	if (all === 0) return "";
	const text = states.filter((s) => of[s]).map((s) => `${of[s]} ${s}`).join(", ");
	return element("span", { class: "quality", title: text, role: "img", "aria-label": text },
		...states.filter((s) => of[s]).map((s) => bar(of[s] / all, { "data-quality": s })));
}

// use shows a number of sessions and the share of the limit.
function use(sessions, limit) {
	if (!limit) return [count(sessions)];
	return [`${count(sessions)} of ${count(limit)}`, element("span", { class: "meter" }, bar(sessions / limit))];
}

// since returns a time that has passed, in words.
function since(text, now) {
	const s = Math.max(0, (now - new Date(text)) / 1000);
	if (s < 90) return `${Math.round(s)} s`;
	if (s < 5400) return `${Math.round(s / 60)} min`;
	if (s < 129600) return `${Math.round(s / 3600)} h`;
	return `${Math.round(s / 86400)} d`;
}

function figures(f) {
	const list = [
		["hosts present", count(f.present), ""],
		["accept sessions", count(f.accepting), f.present > 0 && f.accepting === 0 ? "bad" : ""],
		["sessions", f.limit ? `${count(f.sessions)} / ${count(f.limit)}` : count(f.sessions), ""],
		["sessions not good", count(f.poor), f.poor > 0 ? "warn" : ""],
		["cordoned or draining", count(f.withheld), f.withheld > 0 ? "warn" : ""],
		["gone", count(f.gone), f.gone > 0 ? "bad" : ""],
		["same identity", count(f.duplicates), f.duplicates > 0 ? "bad" : ""],
	];
	byId("figures").replaceChildren(...list.filter(([name, value]) => name !== "same identity" || value !== "0").map(
		([name, value, tone]) => element("div", { "data-tone": tone }, element("strong", {}, value), element("span", {}, name))));
}

// choose offers the values of a filter.
function choose(id, all, values) {
	const select = byId(id);
	const chosen = select.value;
	const wanted = [all, ...values];
	if (wanted.join("\n") === [...select.options].map((o) => o.textContent).join("\n")) return;
	select.replaceChildren(...wanted.map((v, i) => element("option", { value: i === 0 ? "" : v }, v)));
	select.value = values.includes(chosen) ? chosen : "";
}

function show(v) {
	const now = new Date(v.time);
	choose("pool", "All pools", v.pools);
	choose("region", "All regions", v.regions.map((r) => r.name));
	choose("host-state", "All states", v.states);
	figures(v.figures);
	const group = (heading) => [
		[heading, "", (r) => r.name || "none"],
		["Hosts", "number", (r) => count(r.present)],
		["Accept", "number", (r) => count(r.accepting)],
		["Sessions", "number", (r) => count(r.sessions)],
		["Quality", "", (r) => quality(r.quality)],
	];
	fill(byId("regions"), group("Region"), v.regions);
	fill(byId("versions"), group("Version"), v.versions);
	fill(byId("profiles"), [
		["Profile", "", (p) => p.profile],
		["Further sessions", "number", (p) => count(p.more)],
		["On hosts", "number", (p) => count(p.hosts)],
	], v.profiles);
	fill(byId("hosts"), [
		["Host", "", (h) => [element("span", { class: "dot", "aria-hidden": "true" }), h.name || h.id]],
		["State", "", (h) => h.shown],
		["Reason", "text", (h) => h.state_reason || ""],
		["Since", "number", (h) => since(h.shown_since, now)],
		["Pool", "", (h) => h.labels?.pool || ""],
		["Region", "", (h) => h.labels?.region || ""],
		["Sessions", "number", (h) => use(h.sessions, h.session_limit)],
		["Quality", "", (h) => quality(h.quality)],
		["Room", "number", (h) => (h.capacity?.length ? `${count(h.capacity[0].more)} × ${h.capacity[0].profile}` : "")],
		["Clock", "number", (h) => (Math.abs(h.clock_offset_seconds) < 1 ? "" : `${h.clock_offset_seconds.toFixed(1)} s`)],
		["Version", "", (h) => h.version],
		["ID", "figure", (h) => h.id],
	], v.hosts, (h) => ({ "data-state": h.shown }));
	byId("shown").textContent = v.hosts.length < v.matching ? `Hosts: ${count(v.hosts.length)} of ${count(v.matching)}` : `Hosts: ${count(v.matching)}`;
}

function state(name, text) {
	document.body.dataset.state = name;
	byId("status").textContent = text;
}

let asked = 0;

async function look() {
	const turn = ++asked;
	const query = new URLSearchParams();
	for (const [name, id] of [["pool", "pool"], ["region", "region"], ["state", "host-state"], ["find", "find"]]) {
		if (byId(id).value) query.set(name, byId(id).value);
	}
	try {
		const answer = await fetch(`v1/fleet?${query}`, { signal: AbortSignal.timeout(10000) });
		if (!answer.ok) throw new Error(`status ${answer.status}`);
		const v = await answer.json();
		if (turn !== asked) return;
		show(v);
		if (v.connected) state("live", "live");
		else state("lost", "NATS is not reached");
	} catch {
		if (turn === asked) state("lost", "connection lost");
	}
}

let timer;

async function loop() {
	clearTimeout(timer);
	await look();
	clearTimeout(timer);
	timer = setTimeout(loop, interval);
}

for (const id of ["pool", "region", "host-state"]) byId(id).addEventListener("change", loop);
byId("find").addEventListener("input", loop);
loop();
