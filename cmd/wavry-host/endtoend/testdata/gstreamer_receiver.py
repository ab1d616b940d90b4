"""Receives a display over WHEP with GStreamer's webrtcbin.

usage: gstreamer_receiver.py URL COLUMNS ROWS [TOKEN] [twcc|default|audio|vp8]
"""

import contextlib
import functools
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

import numpy  # noqa: E402

from receiving import Pictures, Resource, until_told  # noqa: E402

TWCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"


# The binding frees what a temporary value owns as soon as it can, while a part of it is still in use: hence every owner has a name below.


def reply(element, signal, *arguments):
    """Has webrtcbin do what it answers with a promise."""
    promise = Gst.Promise.new()
    element.emit(signal, *arguments, promise)
    promise.wait()
    return promise, promise.get_reply()


def describe(webrtc, signal, kind, text):
    _, message = GstSdp.SDPMessage.new_from_text(text)
    description = GstWebRTC.WebRTCSessionDescription.new(kind, message)
    reply(webrtc, signal, description)


def size(caps):
    form = caps.get_structure(0)
    # From GStreamer 1.26 on the structure is to be had within a block alone.
    with form if hasattr(form, "__enter__") else contextlib.nullcontext(form) as fields:
        return fields.get_value("width"), fields.get_value("height")


def main(url, columns, rows, token="", feedback=""):
    Gst.init(None)
    pictures = Pictures(int(columns), int(rows))
    pipeline = Gst.Pipeline.new()
    webrtc = Gst.ElementFactory.make("webrtcbin")
    if feedback in ("", "twcc", "vp8"):
        webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    pipeline.add(webrtc)
    ice = webrtc.get_property("ice-agent")
    agent = ice.get_property("agent")
    agent.set_property("upnp", False)  # nobody is asked to open ports

    last = None

    def arrived(_, info):
        # What a decoded picture carries is a time of the receiver's own clock, so the sender's is read from the packets, which come here in order.
        nonlocal last
        stamp = int.from_bytes(info.get_buffer().extract_dup(4, 4), "big")
        pictures.rising = pictures.rising and (last is None or (stamp - last) % 2**32 < 2**31)
        last = stamp
        return Gst.PadProbeReturn.OK

    def decode(_, pad):
        pad.add_probe(Gst.PadProbeType.BUFFER, arrived)
        # decodebin does not find its way here: the caps of the pad have no stream format.
        decoder = "rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse ! avdec_h264 max-threads=1"
        if feedback == "vp8":
            decoder = "rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec"
        chain = Gst.parse_bin_from_description(
            decoder + " ! videoconvert ! video/x-raw,format=GRAY8 !"
            " appsink name=sink sync=false emit-signals=true max-buffers=4 drop=true", True)
        chain.get_by_name("sink").connect("new-sample", decoded)
        pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    def plane(sample):
        w, h = size(sample.get_caps())
        buffer = sample.get_buffer()
        y = numpy.frombuffer(buffer.extract_dup(0, buffer.get_size()), numpy.uint8).reshape(h, -1)[:, :w]
        return numpy.clip((y - 16.0) * 255 / 219, 0, 255)  # the plane as it is coded, where black is 16 and white 235

    def decoded(sink):
        sample = sink.emit("pull-sample")
        pictures.add(None, functools.partial(plane, sample))
        return Gst.FlowReturn.OK

    webrtc.connect("pad-added", decode)
    caps = "application/x-rtp,media=video,encoding-name=H264,payload=102,clock-rate=90000"
    if feedback == "vp8":
        caps = "application/x-rtp,media=video,encoding-name=VP8,payload=102,clock-rate=90000"
    if feedback in ("", "twcc"):
        caps += ",packetization-mode=(string)1"
    if feedback == "audio":
        audio = "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,encoding-params=(string)2"
        webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(audio))
    if feedback == "twcc":
        caps += ",extmap-3=" + TWCC + ",rtcp-fb-transport-cc=(boolean)true"
    transceiver = webrtc.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
    transceiver.set_property("do-nack", True)
    pipeline.set_state(Gst.State.PLAYING)

    promise, created = reply(webrtc, "create-offer", None)  # noqa: F841
    offer = created["offer"]
    describe(webrtc, "set-local-description", GstWebRTC.WebRTCSDPType.OFFER, offer.sdp.as_text())
    while webrtc.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        pipeline.get_bus().timed_pop(Gst.MSECOND * 20)
    complete = webrtc.get_property("local-description")
    resource = Resource(url, token, complete.sdp.as_text())
    describe(webrtc, "set-remote-description", GstWebRTC.WebRTCSDPType.ANSWER, resource.answer)
    until_told(pictures)
    pictures.report(deleted=resource.delete())
    pipeline.set_state(Gst.State.NULL)


main(*sys.argv[1:])
