(async () => {
	const video = document.querySelector("video");
	const Delays = [];
	let Unread = 0;
	await new Promise((resolve) => {
		const end = setTimeout(resolve, 13000);
		const each = (now, meta) => {
			const drawn = readCode(video).time; // code.js
			if (drawn) Delays.push(performance.timeOrigin + Math.max(now, meta.expectedDisplayTime) - drawn);
			else Unread++;
			if (Delays.length + Unread >= COUNT) { clearTimeout(end); resolve(); } else video.requestVideoFrameCallback(each);
		};
		video.requestVideoFrameCallback(each);
	});
	return {Delays, Unread};
})()
