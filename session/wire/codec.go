package wire

import (
	"fmt"

	"wavryhost/encode"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// parameters returns what describes a format in SDP, the preferred form first. It returns none if the
// format cannot be packetized.
func parameters(format encode.Format) []webrtc.RTPCodecParameters {
	switch format {
	case encode.H264:
		// The peer selects the payload type of the offer, and with it the profile of the stream.
		return []webrtc.RTPCodecParameters{video(webrtc.MimeTypeH264,
			"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")}
	case encode.VP9:
		return []webrtc.RTPCodecParameters{video(webrtc.MimeTypeVP9, "profile-id=0")}
	case encode.VP8:
		return []webrtc.RTPCodecParameters{video(webrtc.MimeTypeVP8, "")}
	case encode.AV1:
		return []webrtc.RTPCodecParameters{video(webrtc.MimeTypeAV1, "level-idx=5;profile=0;tier=0")}
	case encode.HEVC:
		return []webrtc.RTPCodecParameters{video(webrtc.MimeTypeH265,
			"level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST")}
	default:
		return nil
	}
}

// Parameters returns the fmtp parameters of a format; empty if the format cannot be packetized.
func Parameters(format encode.Format) string {
	if list := parameters(format); len(list) > 0 {
		return list[0].SDPFmtpLine
	}
	return ""
}

// Extensions returns the header extensions that a sender uses.
func Extensions() []string { return []string{TransportCC, uriAbsCaptureTime, uriPlayoutDelay} }

func video(mime, fmtp string) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: mime, ClockRate: clockRate, SDPFmtpLine: fmtp,
		RTCPFeedback: []webrtc.RTCPFeedback{
			{Type: "nack"},
			{Type: "nack", Parameter: "pli"},
			{Type: "ccm", Parameter: "fir"},
			{Type: "transport-cc"},
			{Type: "ack", Parameter: "ccfb"},
		},
	}}
}

// register registers formats with pion, each form of them with a retransmission stream.
func register(media *webrtc.MediaEngine, formats []encode.Format) error {
	payloadType := webrtc.PayloadType(102)
	for _, format := range formats {
		for _, form := range parameters(format) {
			form.PayloadType = payloadType
			rtx := webrtc.RTPCodecParameters{
				RTPCodecCapability: webrtc.RTPCodecCapability{
					MimeType: webrtc.MimeTypeRTX, ClockRate: clockRate, SDPFmtpLine: associated(payloadType),
				},
				PayloadType: payloadType + 1,
			}
			for _, c := range []webrtc.RTPCodecParameters{form, rtx} {
				if err := media.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
					return fmt.Errorf("wire: register codec: %w", err)
				}
			}
			payloadType += 2
		}
	}
	return nil
}

// associated returns the parameters of the payload type for retransmissions of another one (RFC 4588, section 8.1).
func associated(payloadType webrtc.PayloadType) string { return fmt.Sprintf("apt=%d", payloadType) }

// payloader returns the packetizer of a format.
func payloader(format encode.Format) rtp.Payloader {
	switch format.Codec {
	case encode.CodecVP9:
		// RFC 9628 without layers: browsers sort pictures by their numbers, and every picture except a keyframe refers
		// to the previous one. Keyframes contain their size.
		return &codecs.VP9Payloader{}
	case encode.CodecVP8:
		// RFC 7741 without layers. Browsers sort pictures by their numbers, and take each one to refer to the previous one.
		return &codecs.VP8Payloader{EnablePictureID: true}
	case encode.CodecAV1:
		return &codecs.AV1Payloader{} // without layers, and so without a dependency descriptor
	case encode.CodecHEVC:
		return &codecs.H265Payloader{} // RFC 7798, one stream without decoding order numbers
	}
	return &codecs.H264Payloader{} // RFC 6184, packetization mode 1
}
