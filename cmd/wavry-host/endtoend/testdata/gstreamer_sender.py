"""Sends an X display with GStreamer's webrtcbin: prints its offer, and reads the answer. Both are one line of JSON.

usage: gstreamer_sender.py BITS_PER_SECOND     (DISPLAY names the display)
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402


def main(bits):
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "ximagesrc use-damage=false show-pointer=false ! video/x-raw,framerate=60/1"
        " ! queue max-size-buffers=1 leaky=downstream ! videoconvert ! queue max-size-buffers=1 leaky=downstream"
        f" ! x264enc tune=zerolatency speed-preset=superfast bitrate={int(bits) // 1000} key-int-max=600"
        " ! video/x-h264,profile=main,stream-format=byte-stream"
        " ! rtph264pay aggregate-mode=zero-latency config-interval=-1"
        " ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! webrtcbin name=rtc bundle-policy=max-bundle")
    rtc = pipeline.get_by_name("rtc")
    # The binding frees what a temporary value owns, so each owner here and below has a name.
    ice = rtc.get_property("ice-agent")
    agent = ice.get_property("agent")
    agent.set_property("upnp", False)  # nobody is asked to open ports
    loop = GLib.MainLoop()

    def describe(side, kind, text):
        _, message = GstSdp.SDPMessage.new_from_text(text)
        description = GstWebRTC.WebRTCSessionDescription.new(kind, message)
        rtc.emit(f"set-{side}-description", description, Gst.Promise.new())

    def offered(promise, *_):
        created = promise.get_reply()
        offer = created["offer"]
        describe("local", GstWebRTC.WebRTCSDPType.OFFER, offer.sdp.as_text())

    def gathered(*_):
        if rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            complete = rtc.get_property("local-description")
            print(json.dumps({"sdp": complete.sdp.as_text()}), flush=True)

    def told(source, _):
        line = source.readline()
        if not line:
            loop.quit()
            return False
        describe("remote", GstWebRTC.WebRTCSDPType.ANSWER, json.loads(line)["sdp"])
        return True

    rtc.connect("on-negotiation-needed", lambda _: rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(offered)))
    rtc.connect("notify::ice-gathering-state", gathered)
    GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, told)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)


main(*sys.argv[1:])
