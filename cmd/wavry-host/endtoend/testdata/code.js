// A function that reads the strip of capture/synthetic, whose documentation has its layout, from a video. The number and
// the time (ms since 1970) are 0 if the strip cannot be read.
(() => {
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
	const canvas = document.createElement("canvas");
	const context = canvas.getContext("2d", {willReadFrequently: true});
	return (video) => {
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
})()
