package ffmpeg

import (
	"regexp"
	"slices"

	"wavryhost/encode"
)

// What drivers' words about a failure to open mean, as libavcodec 5.1 to 7.1 and the drivers log them.
var refusals = []struct {
	words *regexp.Regexp
	means error
}{
	// NVENC beyond its sessions: "OpenEncodeSessionEx failed: out of memory (10)" with drivers to 530, "incompatible
	// client key (21)" since.
	{regexp.MustCompile(`OpenEncodeSessionEx failed: (out of memory|incompatible client key)`), encode.ErrBusy},
	// VAAPI: VA_STATUS_ERROR_MAX_NUM_EXCEEDED and VA_STATUS_ERROR_HW_BUSY.
	{
		regexp.MustCompile(`(?i)maximum number exceeded|\bhardware busy\b|\bHW busy\b|resource allocation failed`),
		encode.ErrBusy,
	},
	// VideoToolbox: kVTVideoEncoderNotAvailableNowErr.
	{regexp.MustCompile(`-12915\b`), encode.ErrBusy},
	// NVENC's own check, and its answer where that knows too little.
	{
		regexp.MustCompile(
			`(?i)\b(width|height) \d+ exceeds \d+|dimension less than the minimum|invalid param \(8\): .*dimension`,
		),
		encode.ErrSize,
	},
	// VAAPI's constraints.
	{regexp.MustCompile(`(?i)does not support encoding at size|resolution not supported`), encode.ErrSize},
	// VideoToolbox: kVTParameterErr of a compression session that has everything else right is its size.
	{regexp.MustCompile(`(?i)cannot create compression session: -12902\b`), encode.ErrSize},
}

// refusal returns what the lines say of why an encoder is not to be had, encode.ErrNoEncoder where they say nothing
// else.
func refusal(lines []string) error {
	for _, r := range refusals {
		if slices.ContainsFunc(lines, r.words.MatchString) {
			return r.means
		}
	}
	return encode.ErrNoEncoder
}
