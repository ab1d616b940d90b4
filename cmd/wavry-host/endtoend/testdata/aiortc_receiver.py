"""Receives a display over WHEP with aiortc.

usage: aiortc_receiver.py URL COLUMNS ROWS [TOKEN] [audio|vp8]
"""

import asyncio
import functools
import sys

from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription

from receiving import Pictures, Resource, until_told


async def main(url, columns, rows, token="", first=""):
    loop = asyncio.get_running_loop()
    pc = RTCPeerConnection()
    if first == "audio":
        pc.addTransceiver("audio", direction="recvonly")
    video = pc.addTransceiver("video", direction="recvonly")
    if first == "vp8":
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in codecs if c.mimeType in ("video/VP8", "video/rtx")])
    tracks = asyncio.Queue()
    pc.on("track", lambda track: track.kind == "video" and tracks.put_nowait(track))
    await pc.setLocalDescription(await pc.createOffer())
    pictures = Pictures(int(columns), int(rows))
    resource = await loop.run_in_executor(None, Resource, url, token, pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(sdp=resource.answer, type="answer"))
    track = await asyncio.wait_for(tracks.get(), 60)

    async def receive():
        while True:
            frame = await track.recv()
            pictures.add(frame.pts, functools.partial(frame.to_ndarray, format="gray"))

    receiving = asyncio.ensure_future(receive())
    await loop.run_in_executor(None, until_told, pictures)
    receiving.cancel()
    pictures.report(deleted=await loop.run_in_executor(None, resource.delete))
    await pc.close()


asyncio.run(main(*sys.argv[1:]))
