// Notes when pictures of the video are shown, for the lab. It runs before the scripts of the page.
(() => {
	const seen = {first: 0, last: 0, shown: 0, longest: 0, longestAt: 0};
	const watch = (video) => {
		const shown = (now) => {
			if (!seen.first) seen.first = now;
			else if (now - seen.last > seen.longest) [seen.longest, seen.longestAt] = [now - seen.last, seen.last];
			seen.last = now;
			seen.shown++;
			video.requestVideoFrameCallback(shown);
		};
		video.requestVideoFrameCallback(shown);
	};
	document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("video").forEach(watch));
	window.wavryLab = {
		look: async () => {
			const result = {now: performance.now(), ...seen};
			const pc = window.wavry && window.wavry.pc;
			if (pc) {
				for (const s of (await pc.getStats()).values()) {
					if (s.type === "inbound-rtp" && s.kind === "video") Object.assign(result, s);
				}
			}
			return JSON.stringify(result);
		},
	};
})();
