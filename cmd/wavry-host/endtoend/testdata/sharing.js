async (codec, bits) => {
	const stream = await navigator.mediaDevices.getDisplayMedia({video: {frameRate: 60, cursor: "never"}});
	const [track] = stream.getVideoTracks();
	const pc = window.pc = new RTCPeerConnection();
	const transceiver = pc.addTransceiver(track, {direction: "sendonly", streams: [stream], sendEncodings: [{maxBitrate: bits}]});
	const wanted = "video/" + codec;
	transceiver.setCodecPreferences(
		RTCRtpSender.getCapabilities("video").codecs.filter((c) => c.mimeType === wanted || c.mimeType === "video/rtx"));
	await pc.setLocalDescription();
	await new Promise((resolve) => {
		const check = () => pc.iceGatheringState === "complete" && resolve();
		pc.addEventListener("icegatheringstatechange", check);
		check();
	});
	// Without it, the estimate of the rate takes a minute to rise.
	window.accept = async (answer) => {
		const sdp = answer.replace(/^(a=fmtp:\d+ (?!apt).*)$/gm, `$1;x-google-start-bitrate=${Math.round(bits / 1000)}`);
		await pc.setRemoteDescription({type: "answer", sdp});
		return true;
	};
	return pc.localDescription.sdp;
}
