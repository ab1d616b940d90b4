(async () => {
	const headers = {Authorization: `Bearer ${sessionStorage.getItem("wavry-host-token")}`};
	const pc = new RTCPeerConnection();
	try {
		pc.addTransceiver("video", {direction: "recvonly"});
		const video = document.createElement("video");
		video.muted = true;
		video.autoplay = true;
		document.body.append(video);
		const shown = new Promise((resolve, reject) => {
			setTimeout(() => reject(new Error("no frame within 10 s")), 10000);
			pc.ontrack = (e) => {
				video.srcObject = e.streams[0] || new MediaStream([e.track]);
				video.requestVideoFrameCallback(() => resolve(performance.now()));
				video.play();
			};
		});
		await pc.setLocalDescription(await pc.createOffer());
		await new Promise((resolve) => {
			if (pc.iceGatheringState === "complete") resolve();
			pc.onicegatheringstatechange = () => { if (pc.iceGatheringState === "complete") resolve(); };
		});
		const begun = performance.now();
		const answer = await fetch("/whep/default", {
			method: "POST", headers: {...headers, "Content-Type": "application/sdp"}, body: pc.localDescription.sdp,
		});
		if (answer.status !== 201) throw new Error("status " + answer.status);
		await pc.setRemoteDescription({type: "answer", sdp: await answer.text()});
		const took = (await shown) - begun;
		await fetch(answer.headers.get("Location"), {method: "DELETE", headers});
		video.remove();
		return took;
	} finally {
		pc.close();
	}
})()
