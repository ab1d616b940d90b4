//go:build cgo && !noffmpeg

package ffmpeg

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/asticode/go-astiav"

	"wavryhost/encode"
)

// TestOptionsAreFFmpegs sets each option of each profile on a fresh context of its codec, which looks the name up in
// FFmpeg's tables and parses the value.
func TestOptionsAreFFmpegs(t *testing.T) {
	for _, p := range encode.Profiles() {
		if p.Name == aomName {
			continue // its options are not FFmpeg's: it opens with none that libaom does not have
		}
		t.Run(p.Name, func(t *testing.T) {
			codec := astiav.FindEncoderByName(p.Name)
			var recorded map[string]recordedOption
			if codec == nil {
				var ok bool
				if recorded, ok = recordedOptions(t, p.Name); !ok {
					t.Skipf("skipped until FFmpeg is built with %s, whose options are not recorded in testdata", p.Name)
				}
			}
			options := p.Options
			for _, h := range p.H264 {
				options = slices.Concat(options, h.Options)
			}
			for _, v := range p.Variants {
				options = slices.Concat(options, v.Options)
			}
			for _, o := range options {
				name, value := o.Name, o.Value
				if option, ok := recorded[name]; ok {
					if !option.takes(value) {
						t.Errorf("%s does not take %q: %+v", name, value, option)
					}
					continue
				}
				// With a nil codec the context has the generic options alone.
				c := astiav.AllocCodecContext(codec)
				if err := setOption(c, name, value); err != nil {
					t.Error(err)
				}
				c.Free()
			}
		})
	}
}

// TestOptionTablesRefuse checks the checks: what is no option, or no value of one, is found out.
func TestOptionTablesRefuse(t *testing.T) {
	c := astiav.AllocCodecContext(astiav.FindEncoderByName("libx264"))
	defer c.Free()
	for name, value := range map[string]string{
		"no-such-option": "1", "sc_threshold": "much", "forced-idr": "2",
		"aq-mode": "none such",
	} {
		if err := setOption(c, name, value); err == nil {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
	recorded, ok := recordedOptions(t, "h264_videotoolbox")
	if !ok {
		t.Fatal("no recorded options of h264_videotoolbox")
	}
	for name, value := range map[string]string{
		"profile": "best", "realtime": "2", "prio_speed": "yes",
		"max_ref_frames": "-1",
	} {
		if option, ok := recorded[name]; !ok || option.takes(value) {
			t.Errorf("%s=%s was taken (recorded %v)", name, value, ok)
		}
	}
}

// recordedOption is a line of testdata/NAME.options.
type recordedOption struct {
	kind            string
	least, greatest int
	names           []string
}

func (o recordedOption) takes(value string) bool {
	if slices.Contains(o.names, value) {
		return true
	}
	n, err := strconv.Atoi(value)
	return err == nil && n >= o.least && n <= o.greatest
}

func recordedOptions(t *testing.T, codec string) (map[string]recordedOption, bool) {
	t.Helper()
	f, err := os.Open("testdata/" + codec + ".options")
	if os.IsNotExist(err) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	limits := map[string]int{"INT_MAX": 1<<31 - 1, "AV_PROFILE_UNKNOWN": -99, "VT_ENTROPY_NOT_SET": 0, "VT_CABAC": 2}
	limit := func(s string) int {
		if n, ok := limits[s]; ok {
			return n
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("testdata of %s: limit %q", codec, s)
		}
		return n
	}
	options := map[string]recordedOption{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 4 && fields[0] != "#" {
			options[fields[0]] = recordedOption{fields[1], limit(fields[2]), limit(fields[3]), fields[4:]}
		}
	}
	return options, true
}
