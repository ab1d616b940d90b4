package session

import (
	"log/slog"
	"time"
)

// Span is a part of a trace: what took how long, and how it ended. Spans have no secrets.
type Span struct {
	Name       string
	Start, End time.Time
	// Attrs are the details, with the names that a trace has.
	Attrs []slog.Attr
	// Reason is why it failed, a word of a closed set; empty if it did not. Err has the details; it may be nil.
	Reason string
	Err    error
	// Parent is the W3C traceparent of the request that caused the span; empty for none. Only the span at the root has
	// it.
	Parent string
	Parts  []Span // in order of their starts
}

// The names of spans. The parts of a set-up have the names of its stages.
const (
	spanSetup   = "session set-up"
	spanFrame   = "frame"
	spanCapture = "capture"
	spanWait    = "wait"
	spanConvert = "convert"
	spanEncode  = "encode"
	spanSend    = "send"
	spanAck     = "ack"
)

// The attributes of spans.
const (
	attrSession   = "session.id"
	attrDisplay   = "wavry.display"
	attrCodec     = "wavry.codec"
	attrEncoder   = "wavry.encoder"
	attrPath      = "wavry.path"
	attrProtocol  = "wavry.protocol"
	attrHandshake = "wavry.handshake"
	attrEnd       = "wavry.end_reason"
	attrKeyframe  = "wavry.keyframe"
	attrWidth     = "wavry.width"
	attrHeight    = "wavry.height"
	attrBytes     = "wavry.bytes"
	attrPackets   = "wavry.packets"
)
