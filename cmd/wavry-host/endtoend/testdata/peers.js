// The viewer of a comparison: one peer connection that receives video, and what its pictures look like.
window.viewer = (() => {
	let pc, video;
	const wanted = {H264: "video/H264", VP9: "video/VP9", AV1: "video/AV1"};
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
	const only = (transceiver, codec) => transceiver.setCodecPreferences(
		RTCRtpReceiver.getCapabilities("video").codecs.filter((c) => c.mimeType === wanted[codec] || c.mimeType === "video/rtx"));
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
			only(pc.addTransceiver("video", {direction: "recvonly"}), codec);
			await pc.setLocalDescription();
			await gathered();
			return pc.localDescription.sdp;
		},
		async accept(answer) {
			await pc.setRemoteDescription({type: "answer", sdp: answer});
			return true;
		},
		async answer(offer) {
			open();
			await pc.setRemoteDescription({type: "offer", sdp: offer});
			await pc.setLocalDescription();
			await gathered();
			return pc.localDescription.sdp;
		},
		async decoded() {
			return (await received()).framesDecoded ?? 0;
		},
		// Watches for some seconds. Each picture is noted by its time and its strip; each so many, the whole picture is kept.
		async watch(seconds, every) {
			shown = [];
			const canvas = document.createElement("canvas");
			const context = canvas.getContext("2d", {willReadFrequently: true});
			const before = await received(), begun = performance.now();
			const times = [];
			let pending = Promise.resolve(), kept = 0, failed = "";
			await new Promise((resolve) => {
				const each = (now, meta) => {
					const at = performance.timeOrigin + Math.max(now, meta.expectedDisplayTime);
					const drawn = readCode(video, canvas, context);
					times.push({at, drawn: drawn.time, number: drawn.number});
					if (performance.now() - begun >= 1000 * every * kept) {
						kept++;
						const frame = new VideoFrame(video);
						pending = pending.then(() => luma(frame)).then((p) => shown.push(p), (e) => { failed = String(e); })
							.finally(() => frame.close());
					}
					if (performance.now() - begun >= 1000 * seconds) resolve(); else video.requestVideoFrameCallback(each);
				};
				video.requestVideoFrameCallback(each);
				setTimeout(resolve, 1000 * seconds + 2000);
			});
			await pending;
			const after = await received(), took = (performance.now() - begun) / 1000;
			return {
				times, took, failed, kept: shown.length,
				bytes: after.bytesReceived - before.bytesReceived, decoded: after.framesDecoded - before.framesDecoded,
				dropped: after.framesDropped - before.framesDropped, decoder: after.decoderImplementation,
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

// readCode reads the strip of capture/synthetic, whose documentation has its layout.
const readCode = (() => {
	const COLUMNS = 32, ROWS = 4, GRID = 36;
	const table = Array.from({length: 256}, (_, n) => {
		for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
		return n >>> 0;
	});
	const crc = (bytes) => {
		let c = 0xffffffff;
		for (const b of bytes) c = table[(c ^ b) & 255] ^ (c >>> 8);
		return (c ^ 0xffffffff) >>> 0;
	};
	return (video, canvas, context) => {
		const w = video.videoWidth, h = video.videoHeight, strip = Math.ceil(h * ROWS / GRID);
		if (canvas.width !== w || canvas.height !== strip) {
			canvas.width = w;
			canvas.height = strip;
		}
		context.drawImage(video, 0, 0, w, strip, 0, 0, w, strip);
		const d = context.getImageData(0, 0, w, strip).data;
		const luma = (c, r) => {
			const x0 = Math.ceil((c + .25) * w / COLUMNS), x1 = Math.floor((c + .75) * w / COLUMNS);
			const y0 = Math.ceil((r + .25) * h / GRID), y1 = Math.floor((r + .75) * h / GRID);
			let sum = 0, n = 0;
			for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++, n++) {
				const i = 4 * (y * w + x);
				sum += .299 * d[i] + .587 * d[i + 1] + .114 * d[i + 2];
			}
			return sum / n;
		};
		let white = 0, black = 0;
		for (let r = 0; r < ROWS; r++) { white += luma(0, r) + luma(31, r); black += luma(1, r) + luma(30, r); }
		const middle = (white + black) / (4 * ROWS);
		const bytes = new Uint8Array(14);
		for (let k = 0; k < 112; k++) if (luma(2 + k % 28, Math.floor(k / 28)) > middle) bytes[k >> 3] |= 128 >> (k & 7);
		const v = new DataView(bytes.buffer);
		return crc(bytes.subarray(0, 10)) === v.getUint32(10) ?
			{number: v.getUint32(0), time: v.getUint16(4) * 2 ** 32 + v.getUint32(6)} : {number: 0, time: 0};
	};
})();
