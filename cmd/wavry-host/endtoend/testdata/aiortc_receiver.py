"""Receives a display over WHEP with aiortc and prints what it got as one line of JSON.

usage: receive.py URL FRAMES COLUMNS ROWS [TOKEN]
"""

import asyncio
import json
import sys
import time

import aiohttp
import numpy
from aiortc import RTCPeerConnection, RTCSessionDescription


async def main(url, frames, columns, rows, token):
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    tracks = asyncio.Queue()
    pc.on("track", tracks.put_nowait)
    await pc.setLocalDescription(await pc.createOffer())
    headers = {"Content-Type": "application/sdp"}
    if token:
        headers["Authorization"] = "Bearer " + token
    async with aiohttp.ClientSession() as http:
        began = time.monotonic()
        async with http.post(url, data=pc.localDescription.sdp, headers=headers) as answer:
            assert answer.status == 201, (answer.status, await answer.text())
            location = answer.headers["Location"]
            sdp = await answer.text()
        await pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
        track = await asyncio.wait_for(tracks.get(), 10)
        first, stamps = None, []
        for _ in range(frames):
            frame = await asyncio.wait_for(track.recv(), 10)
            first = first or time.monotonic() - began
            stamps.append(frame.pts)
        y = frame.to_ndarray(format="gray").astype(float)
        h, w = y.shape
        cells = numpy.array([[y[r * h // rows:(r + 1) * h // rows, c * w // columns:(c + 1) * w // columns].mean()
                              for c in range(columns)] for r in range(rows)])
        async with http.delete(str(answer.url.join(aiohttp.client.URL(location))), headers=headers) as gone:
            deleted = gone.status
        await pc.close()
    print(json.dumps({"frames": len(stamps), "width": w, "height": h, "first": first, "deleted": deleted,
                      "rising": all(a < b for a, b in zip(stamps, stamps[1:])),
                      "luma": [round(v, 1) for v in cells.flatten()]}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] if len(sys.argv) > 5 else ""))
