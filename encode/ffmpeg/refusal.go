package ffmpeg

import (
	"errors"
	"image"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wavryhost/encode"
)

// The meaning of drivers' messages when opening fails, as libavcodec 5.1 to 7.1 and the drivers log them.
var refusals = []struct {
	words *regexp.Regexp
	means error
}{
	// NVENC beyond its session limit: "OpenEncodeSessionEx failed: out of memory (10)" with drivers up to 530,
	// "incompatible client key (21)" since.
	{regexp.MustCompile(`OpenEncodeSessionEx failed: (out of memory|incompatible client key)`), encode.ErrBusy},
	// VAAPI: VA_STATUS_ERROR_MAX_NUM_EXCEEDED, VA_STATUS_ERROR_HW_BUSY and VA_STATUS_ERROR_ALLOCATION_FAILED, as libva
	// words them.
	{
		regexp.MustCompile(
			`(?i)list argument exceeds maximum number|\bhardware busy\b|\bHW busy\b|resource allocation failed`,
		),
		encode.ErrBusy,
	},
	// VideoToolbox: kVTVideoEncoderNotAvailableNowErr.
	{regexp.MustCompile(`-12915\b`), encode.ErrBusy},
	// NVENC's own check, and its answer where the check is incomplete.
	{
		regexp.MustCompile(
			`(?i)\b(width|height) \d+ exceeds \d+|dimension less than the minimum|invalid param \(8\): .*dimension`,
		),
		encode.ErrSize,
	},
	// VAAPI's constraints.
	{regexp.MustCompile(`(?i)does not support encoding at size|resolution not supported`), encode.ErrSize},
	// VideoToolbox: kVTParameterErr of a compression session whose other parameters are right concerns its size.
	{regexp.MustCompile(`(?i)cannot create compression session: -12902\b`), encode.ErrSize},
	// NVENC without its library, without a card, or with too old a driver or card.
	{
		regexp.MustCompile(
			`(?i)cannot load lib|CUDA_ERROR_NO_DEVICE|minimum required nvidia driver|` +
				`OpenEncodeSessionEx failed: (no encode device|unsupported device)`,
		),
		encode.ErrNoEncoder,
	},
	// A card that is there and fails. libavcodec says then, too, that no device is capable.
	{regexp.MustCompile(`cuCtxCreate\(.*failed|OpenEncodeSessionEx failed`), errRefused},
	{regexp.MustCompile(`(?i)no (NVENC |CUDA-)?capable device`), encode.ErrNoEncoder},
	// VAAPI on a device that does not encode, and kVTCouldNotFindVideoEncoderErr.
	{
		regexp.MustCompile(`(?i)no usable encoding (entrypoint|profile)|cannot create compression session: -12908\b`),
		encode.ErrNoEncoder,
	},
}

// errRefused is any other failure: the encoder is there and does not work.
var errRefused = errors.New("refused by the driver")

// refusal returns the reason for a failure in the lines, or errRefused if they contain none.
func refusal(lines []string) error {
	for _, r := range refusals {
		if !slices.ContainsFunc(lines, r.words.MatchString) {
			continue
		}
		if r.means == encode.ErrSize { //nolint:errorlint // an entry of the table
			return &encode.SizeError{Limits: sizesIn(lines)}
		}
		return r.means
	}
	return errRefused
}

// The sizes in drivers' messages: NVENC has one side at a time, VAAPI all of them.
var (
	tooLong     = regexp.MustCompile(`(?i)\b(width|height) \d+ exceeds (\d+)`)
	constraints = regexp.MustCompile(`constraints: width (\d+)-(\d+) height (\d+)-(\d+)`)
)

// sizesIn returns the supported sizes as far as the lines of a refusal contain them.
func sizesIn(lines []string) (l encode.Limits) {
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil || n > encode.MaxSide {
			return 0 // libavutil says INT_MAX for no limit
		}
		return n
	}
	for _, line := range lines {
		if m := constraints.FindStringSubmatch(line); m != nil {
			l.Min, l.Max = image.Pt(number(m[1]), number(m[3])), image.Pt(number(m[2]), number(m[4]))
		}
		if m := tooLong.FindStringSubmatch(line); m != nil {
			if strings.EqualFold(m[1], "width") {
				l.Max.X = number(m[2])
			} else {
				l.Max.Y = number(m[2])
			}
		}
	}
	return l
}
