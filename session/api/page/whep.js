// A WHEP client (draft-ietf-wish-whep): one session, its trickled candidates and its ICE restarts.

// Refused is thrown when the host answers with an error. message and code are the host's.
export class Refused extends Error {
	constructor(status, code, message, retryAfter, reasons, resource) {
		super(message);
		this.status = status;
		this.code = code;
		this.retryAfter = retryAfter; // seconds, or 0
		this.reasons = reasons;
		this.resource = resource; // what is short, with "full"
	}
}

// HOST is the root of the daemon's paths. A proxy may have put it under a path prefix, so no path here starts with a
// slash.
const HOST = new URL("../", import.meta.url);

// request is fetch with the token, a deadline, and errors as texts. A path is relative to the host's root, such as
// "v1/displays".
export async function request(path, token, {headers = {}, timeout = 15000, ...options} = {}) {
	const all = {...headers};
	if (token) all.Authorization = `Bearer ${token}`;
	const abort = new AbortController();
	const timer = setTimeout(() => abort.abort(), timeout);
	let response;
	try {
		response = await fetch(new URL(path, HOST), {...options, headers: all, cache: "no-store", credentials: "omit", signal: abort.signal});
	} catch (e) {
		throw new Refused(0, "unreachable", abort.signal.aborted ? "The host does not answer." : "The host cannot be reached.", 0);
	} finally {
		clearTimeout(timer);
	}
	if (response.ok) return response;
	let body = {};
	try { body = await response.json(); } catch (e) { /* not an answer of the host: only the status is known */ }
	throw new Refused(response.status, body.code || `http_${response.status}`, body.detail || `The host answered ${response.status}.`,
		Number(response.headers.get("Retry-After")) || 0, body.reasons, body.resource);
}

// iceServers reads the ICE servers from a Link header (RFC 8288). Browsers join several headers by commas.
export function iceServers(header) {
	const servers = [];
	const link = /<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))*)/g;
	for (const [, url, rest] of (header || "").matchAll(link)) {
		const params = {};
		for (const [, name, quoted, plain] of rest.matchAll(/;\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))/g)) {
			params[name.toLowerCase()] = quoted === undefined ? plain : quoted.replace(/\\(.)/g, "$1");
		}
		if (params.rel !== "ice-server") continue;
		const server = {urls: url};
		if (params.username) { server.username = params.username; server.credential = params.credential; }
		servers.push(server);
	}
	return servers;
}

// lines returns the values of an attribute in a session description or a fragment.
function values(sdp, name) {
	return sdp.split(/\r?\n/).filter((l) => l.startsWith(`a=${name}:`)).map((l) => l.slice(name.length + 3));
}

// fragment returns a trickle-ice-sdpfrag (RFC 8840 section 9) for the first media section, which is the only one.
export function fragment(sdp, candidates, end) {
	const mline = sdp.split(/\r?\n/).find((l) => l.startsWith("m=")) || "m=video 9 UDP/TLS/RTP/SAVPF 0";
	const out = [`a=ice-ufrag:${values(sdp, "ice-ufrag")[0]}`, `a=ice-pwd:${values(sdp, "ice-pwd")[0]}`, mline, `a=mid:${values(sdp, "mid")[0] || 0}`];
	for (const c of candidates) out.push(`a=${c.replace(/^a=/, "")}`);
	if (end) out.push("a=end-of-candidates");
	return `${out.join("\r\n")}\r\n`;
}

// restarted returns the answer with the ICE credentials and candidates of a fragment. The candidates belong to the
// first section, whose transport the others use (RFC 9143). Browsers ignore candidates elsewhere.
export function restarted(sdp, frag) {
	const ufrag = values(frag, "ice-ufrag")[0], pwd = values(frag, "ice-pwd")[0];
	if (!ufrag || !pwd) throw new Refused(0, "bad_fragment", "The host's answer to the ICE restart is not understood.", 0);
	const kept = sdp.split(/\r?\n/).filter((l) => l && !/^a=(candidate:|end-of-candidates)/.test(l))
		.map((l) => (l.startsWith("a=ice-ufrag:") ? `a=ice-ufrag:${ufrag}` : l.startsWith("a=ice-pwd:") ? `a=ice-pwd:${pwd}` : l));
	const fresh = frag.split(/\r?\n/).filter((l) => /^a=(candidate:|end-of-candidates)/.test(l));
	const first = kept.findIndex((l) => l.startsWith("m=")), second = kept.findIndex((l, i) => i > first && l.startsWith("m="));
	kept.splice(second < 0 ? kept.length : second, 0, ...fresh);
	return `${kept.join("\r\n")}\r\n`;
}

// Session is one WHEP session. onstate is called when the peer connection's state may have changed.
export class Session {
	constructor(endpoint, token, {ontrack, onstate, oninput, onpointer}) {
		this.endpoint = endpoint;
		this.token = token;
		this.ontrack = ontrack;
		this.onstate = onstate;
		this.oninput = oninput; // called with the data channels for input and held keys, if the host accepts any
		this.onpointer = onpointer; // called with the data channel for the display's pointer
		this.pc = null;
		this.location = null; // absolute URL of the session
		this.id = "";
		this.etag = "";
		this.pending = []; // candidates that wait for the session's location
		this.gathered = false;
		this.trickle = false;
		this.queue = Promise.resolve(); // PATCH requests, one at a time
		this.closed = false;
	}

	async open() {
		const options = await request(this.endpoint, this.token, {method: "OPTIONS"});
		if (this.closed) return;
		this.trickle = (options.headers.get("Access-Control-Allow-Methods") || "").split(/\s*,\s*/).includes("PATCH");
		const pc = this.pc = new RTCPeerConnection({iceServers: iceServers(options.headers.get("Link")), bundlePolicy: "max-bundle"});
		const transceiver = pc.addTransceiver("video", {direction: "recvonly"});
		extend(transceiver);
		if (options.headers.get("Wavry-Input") === "taken") {
			this.oninput(pc.createDataChannel("input"), pc.createDataChannel("held", {ordered: false, maxRetransmits: 0}));
		}
		// A shape may take several messages, and a position must not wait for one that was lost.
		this.onpointer(pc.createDataChannel("pointer", {ordered: false}));
		pc.ontrack = (e) => {
			// The buffer is as small as the network allows: the host paces, so no buffer is needed for smoothing.
			if ("jitterBufferTarget" in e.receiver) e.receiver.jitterBufferTarget = 0;
			if ("playoutDelayHint" in e.receiver) e.receiver.playoutDelayHint = 0;
			this.ontrack(e);
		};
		pc.onicecandidate = (e) => {
			if (e.candidate && e.candidate.candidate) this.pending.push(e.candidate.candidate);
			else if (!e.candidate) this.gathered = true;
			this.flush();
		};
		pc.onconnectionstatechange = () => this.onstate(pc.connectionState);
		pc.oniceconnectionstatechange = () => this.onstate(pc.connectionState || pc.iceConnectionState);
		await pc.setLocalDescription(await pc.createOffer());
		if (!this.trickle) await complete(pc);
		const response = await request(this.endpoint, this.token, {
			method: "POST", headers: {"Content-Type": "application/sdp", Accept: "application/sdp"}, body: pc.localDescription.sdp,
		});
		const answer = await response.text();
		this.location = new URL(response.headers.get("Location"), new URL(this.endpoint, HOST)).href;
		this.id = this.location.slice(this.location.lastIndexOf("/") + 1);
		this.etag = response.headers.get("ETag") || "";
		if (this.closed) { this.end(); return; }
		await pc.setRemoteDescription({type: "answer", sdp: answer});
		this.flush();
	}

	// flush sends the candidates found so far. It runs at the end of the event loop's turn and so collects several.
	flush() {
		if (!this.trickle || !this.location || this.restarting || this.closed || this.flushing) return;
		if (this.pc.signalingState !== "stable") return; // the host does not know this ICE session yet
		if (!this.pending.length && !this.gathered) return;
		this.flushing = true;
		this.queue = this.queue.then(() => new Promise((r) => { setTimeout(r, 5); })).then(async () => {
			this.flushing = false;
			if (this.closed || this.ended) return;
			const candidates = this.pending.splice(0), end = this.gathered;
			if (!candidates.length && !end) return;
			if (end) { this.ended = true; }
			await request(this.location, this.token, {
				method: "PATCH", headers: {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": this.etag},
				body: fragment(this.pc.localDescription.sdp, candidates, end),
			});
		}).catch((e) => console.warn("trickle ICE:", e.message)); // the connection's state shows whether it mattered
	}

	// restart looks for a new path and keeps everything else (RFC 9725 section 4.3.3). A failed restart can be
	// repeated.
	async restart() {
		const pc = this.pc;
		if (!this.trickle || !this.location || !["stable", "have-local-offer"].includes(pc.signalingState)) throw new Error("ICE restart is not possible");
		this.restarting = true;
		try {
			// The usable relays may have changed with the path, and credentials expire. A host that does not answer
			// this would not answer the offer.
			const options = await request(this.endpoint, this.token, {method: "OPTIONS", timeout: 3000});
			if (this.closed) return;
			pc.setConfiguration({...pc.getConfiguration(), iceServers: iceServers(options.headers.get("Link"))});
			this.pending = [];
			this.gathered = this.ended = false;
			const answer = pc.remoteDescription.sdp;
			await pc.setLocalDescription(await pc.createOffer({iceRestart: true}));
			await complete(pc, 1500);
			const found = values(pc.localDescription.sdp, "candidate").map((c) => `candidate:${c}`);
			const response = await request(this.location, this.token, {
				method: "PATCH", headers: {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}, timeout: 5000,
				body: fragment(pc.localDescription.sdp, found, pc.iceGatheringState === "complete"),
			});
			this.etag = response.headers.get("ETag") || this.etag;
			await pc.setRemoteDescription({type: "answer", sdp: restarted(answer, await response.text())});
			this.pending = this.pending.filter((c) => !found.includes(c.replace(/^a=/, "")));
			this.ended = pc.iceGatheringState === "complete";
		} finally {
			this.restarting = false;
		}
		this.flush();
	}

	// end ends the session on the host, even while the user leaves the page, and releases everything here.
	end() {
		this.closed = true;
		if (this.location) {
			const headers = this.token ? {Authorization: `Bearer ${this.token}`} : {};
			fetch(this.location, {method: "DELETE", keepalive: true, headers, credentials: "omit"}).catch(() => {});
			this.location = null;
		}
		this.drop();
	}

	// drop releases everything here without a request, for a session that the host does not know any more.
	drop() {
		this.closed = true;
		if (!this.pc) return;
		for (const name of ["ontrack", "onicecandidate", "onconnectionstatechange", "oniceconnectionstatechange"]) this.pc[name] = null;
		this.pc.close();
	}
}

// extend requests the header extensions that measure and shorten the delay, where the browser lets pages choose.
function extend(transceiver) {
	if (!transceiver.getHeaderExtensionsToNegotiate || !transceiver.setHeaderExtensionsToNegotiate) return;
	try {
		const all = transceiver.getHeaderExtensionsToNegotiate();
		for (const e of all) if (/abs-capture-time|playout-delay/.test(e.uri)) e.direction = "sendrecv";
		transceiver.setHeaderExtensionsToNegotiate(all);
	} catch (e) { /* the defaults do */ }
}

// complete waits until pc has gathered its candidates, within a limit.
function complete(pc, most = 3000) {
	if (pc.iceGatheringState === "complete") return Promise.resolve();
	return new Promise((resolve) => {
		const done = () => {
			if (pc.iceGatheringState !== "complete" && pc.signalingState !== "closed") return;
			pc.removeEventListener("icegatheringstatechange", done);
			resolve();
		};
		pc.addEventListener("icegatheringstatechange", done);
		setTimeout(resolve, most);
	});
}
