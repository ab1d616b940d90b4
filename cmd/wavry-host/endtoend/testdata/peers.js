// One end of a comparison. The viewer receives video and keeps pictures of it. The sender shares the screen. readCode is
// in code.js.
window.peer = (() => {
	let pc, video;
	const gathered = () => new Promise((resolve) => {
		const check = () => pc.iceGatheringState === "complete" && resolve();
		pc.addEventListener("icegatheringstatechange", check);
		check();
	});
	const open = () => {
		pc = new RTCPeerConnection();
		video = document.querySelector("video");
		pc.ontrack = (event) => {
			video.srcObject = event.streams[0] ?? new MediaStream([event.track]);
			void video.play();
		};
	};
	const only = (transceiver, from, codec) => transceiver.setCodecPreferences(
		from.getCapabilities("video").codecs.filter((c) => c.mimeType === `video/${codec}` || c.mimeType === "video/rtx"));
	const described = async () => {
		await pc.setLocalDescription();
		await gathered();
		return pc.localDescription.sdp;
	};
	const received = async () => {
		for (const s of (await pc.getStats()).values()) if (s.type === "inbound-rtp" && s.kind === "video") return s;
		return {};
	};
	// The plane of luma as it was decoded.
	const luma = async (frame) => {
		const size = frame.allocationSize();
		const all = new Uint8Array(size);
		const planes = await frame.copyTo(all);
		const {width, height} = frame.visibleRect;
		const y = new Uint8Array(width * height);
		for (let row = 0; row < height; row++) {
			const from = planes[0].offset + row * planes[0].stride;
			y.set(all.subarray(from, from + width), row * width);
		}
		return {width, height, y};
	};
	const text = (bytes) => new Promise((resolve) => {
		const reader = new FileReader();
		reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
		reader.readAsDataURL(new Blob([bytes]));
	});
	let shown = [];
	return {
		async offer(codec) {
			open();
			only(pc.addTransceiver("video", {direction: "recvonly"}), RTCRtpReceiver, codec);
			return described();
		},
		async share(codec, bits) {
			const stream = await navigator.mediaDevices.getDisplayMedia({video: {frameRate: 60, cursor: "never"}});
			open();
			const [track] = stream.getVideoTracks();
			only(pc.addTransceiver(track, {direction: "sendonly", streams: [stream], sendEncodings: [{maxBitrate: bits}]}),
				RTCRtpSender, codec);
			return described();
		},
		async accept(answer) {
			await pc.setRemoteDescription({type: "answer", sdp: answer});
			return true;
		},
		async answer(offer) {
			open();
			await pc.setRemoteDescription({type: "offer", sdp: offer});
			return described();
		},
		async decoded() {
			return (await received()).framesDecoded ?? 0;
		},
		// Watches for some seconds. Each picture is noted by its time and its strip. After each so many, what is shown is
		// kept, whether it is new or not: a picture that stands still was refined before.
		async watch(seconds, every) {
			shown = [];
			const before = await received(), begun = performance.now();
			const times = [];
			let pending = Promise.resolve(), failed = "";
			const keep = () => {
				const frame = new VideoFrame(video);
				pending = pending.then(() => luma(frame)).then((p) => shown.push(p), (e) => { failed = String(e); })
					.finally(() => frame.close());
			};
			const timer = setInterval(keep, 1000 * every);
			await new Promise((resolve) => {
				const each = (now, meta) => {
					const at = performance.timeOrigin + Math.max(now, meta.expectedDisplayTime);
					const drawn = readCode(video);
					times.push({at, drawn: drawn.time, number: drawn.number});
					if (performance.now() - begun >= 1000 * seconds) resolve(); else video.requestVideoFrameCallback(each);
				};
				video.requestVideoFrameCallback(each);
				setTimeout(resolve, 1000 * seconds + 2000);
			});
			clearInterval(timer);
			await pending;
			const after = await received(), took = (performance.now() - begun) / 1000;
			return {
				times, took, failed, kept: shown.length,
				bytes: after.bytesReceived - before.bytesReceived,
			};
		},
		async picture(i) {
			const {width, height, y} = shown[i];
			return {width, height, luma: await text(y)};
		},
		close() {
			pc?.close();
			return true;
		},
	};
})();
