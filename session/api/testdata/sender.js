// The host's end of the sessions in the viewer's test: a page that draws a desktop and sends it by its own WebRTC.
(() => {
	const canvas = document.createElement("canvas");
	canvas.width = 1280;
	canvas.height = 720;
	document.body.append(canvas); // a canvas that is not painted has no frames
	const g = canvas.getContext("2d");
	let frame = 0;
	const lines = ["$ make test", "ok   capture/x11   1.204s", "ok   encode/ffmpeg 3.118s", "ok   session       2.672s", "$ git log --oneline", "be12dd4 all: lay out the contracts"];
	const box = (x, y, w, h, title, fill) => {
		g.fillStyle = "#00000066"; g.fillRect(x + 6, y + 8, w, h);
		g.fillStyle = fill; g.fillRect(x, y, w, h);
		g.fillStyle = "#3b4252"; g.fillRect(x, y, w, 28);
		g.fillStyle = "#d8dee9"; g.font = "15px sans-serif"; g.fillText(title, x + 12, y + 19);
	};
	setInterval(() => {
		window.frames_ = frame++;
		const sky = g.createLinearGradient(0, 0, 1280, 720);
		sky.addColorStop(0, "#2b5876"); sky.addColorStop(1, "#4e4376");
		g.fillStyle = sky; g.fillRect(0, 0, 1280, 720);
		box(70, 60, 620, 420, "xterm", "#10141c");
		g.font = "17px monospace"; g.fillStyle = "#a3e635";
		for (let i = 0; i < 18; i++) g.fillText(lines[(i + Math.floor(frame / 12)) % lines.length], 86, 116 + i * 20);
		box(560, 250 + 30 * Math.sin(frame / 40), 520, 360, "notes", "#eceff4");
		g.fillStyle = "#2e3440"; g.font = "20px serif";
		g.fillText(`frame ${frame}`, 590, 330 + 30 * Math.sin(frame / 40));
		g.fillStyle = "#88c0d0"; g.beginPath(); g.arc(640 + 420 * Math.cos(frame / 50), 560, 40, 0, 7); g.fill();
	}, 33);
	const stream = canvas.captureStream(30);
	stream.getVideoTracks()[0].contentHint = "detail"; // keeps the resolution
	const peers = window.peers = {};
	const gathered = (pc) => new Promise((done) => {
		const look = () => pc.iceGatheringState === "complete" && done();
		pc.addEventListener("icegatheringstatechange", look);
		look();
	});
	const values = (text, name) => text.split(/\r?\n/).filter((l) => l.startsWith(`a=${name}:`)).map((l) => l.slice(name.length + 3));

	window.answer = async (id, sdp) => {
		const pc = peers[id] = new RTCPeerConnection();
		await pc.setRemoteDescription({type: "offer", sdp});
		pc.addTrack(stream.getVideoTracks()[0], stream);
		await pc.setLocalDescription(await pc.createAnswer());
		await gathered(pc);
		return pc.localDescription.sdp;
	};
	window.trickle = async (id, text) => {
		for (const c of values(text, "candidate")) await peers[id].addIceCandidate({candidate: `candidate:${c}`, sdpMLineIndex: 0});
		return "";
	};
	window.restart = async (id, text) => {
		const pc = peers[id], [ufrag] = values(text, "ice-ufrag"), [pwd] = values(text, "ice-pwd");
		const sdp = pc.remoteDescription.sdp.split(/\r?\n/).filter((l) => l && !/^a=(candidate|end-of-candidates)/.test(l))
			.map((l) => (l.startsWith("a=ice-ufrag:") ? `a=ice-ufrag:${ufrag}` : l.startsWith("a=ice-pwd:") ? `a=ice-pwd:${pwd}` : l));
		await pc.setRemoteDescription({type: "offer", sdp: `${[...sdp, ...values(text, "candidate").map((c) => `a=candidate:${c}`)].join("\r\n")}\r\n`});
		await pc.setLocalDescription(await pc.createAnswer());
		await gathered(pc);
		const mine = pc.localDescription.sdp;
		return [`a=ice-ufrag:${values(mine, "ice-ufrag")[0]}`, `a=ice-pwd:${values(mine, "ice-pwd")[0]}`, "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0",
			...values(mine, "candidate").map((c) => `a=candidate:${c}`), "a=end-of-candidates", ""].join("\r\n");
	};
	window.hangUp = async (id) => { if (peers[id]) peers[id].close(); delete peers[id]; return ""; };
})();
