//go:build integration

package synthetic

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
)

// The code survives H.264 at a bitrate far too low for the picture, and scaling, on every frame. At a sixteenth of the
// size some frames are lost, but none is misread.
func TestCodeSurvivesH264(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs the ffmpeg command")
	}
	var raw bytes.Buffer
	var want []Code
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Motion: Full})
		for range 60 {
			f, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			code, err := Decode(f.Pix, f.Stride, f.Width, f.Height)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, code)
			raw.Write(f.Pix)
			f.Release()
		}
	})
	for _, c := range []struct {
		scale, rate   string
		width, height int
		least         int // percent
	}{{"1280:720", "500k", 1280, 720, 100}, {"640:360", "200k", 640, 360, 100}, {"320:180", "100k", 320, 180, 60}} {
		run := func(in []byte, args string) []byte {
			cmd := exec.CommandContext(t.Context(), "ffmpeg", strings.Fields("-v error "+args+" pipe:1")...)
			var errs bytes.Buffer
			cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &errs
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("ffmpeg %s: %v: %s", args, err, errs.Bytes())
			}
			return out
		}
		stream := run(raw.Bytes(), "-f rawvideo -pix_fmt bgr0 -s 1280x720 -r 30 -i pipe:0 -vf scale="+c.scale+
			" -c:v libx264 -threads 1 -preset ultrafast -tune zerolatency"+
			" -b:v "+c.rate+" -maxrate "+c.rate+" -bufsize "+c.rate+" -f h264")
		luma := run(stream, "-f h264 -i pipe:0 -f rawvideo -pix_fmt gray")
		if len(luma) != len(want)*c.width*c.height {
			t.Fatalf("%s: %d bytes came back; want %d pictures", c.scale, len(luma), len(want))
		}
		read := 0
		for i, code := range want {
			got, err := DecodeLuma(luma[i*c.width*c.height:], c.width, c.width, c.height)
			if err == nil && got != code {
				t.Errorf("%s at %s: frame %d is misread as %+v", c.scale, c.rate, code.Frame, got)
			} else if err == nil {
				read++
			}
		}
		if read*100 < c.least*len(want) {
			t.Errorf("%s at %s: %d of %d frames are read; want %d %%", c.scale, c.rate, read, len(want), c.least)
		}
		t.Logf("%s at %s: %d of %d frames are read, from %d bytes", c.scale, c.rate, read, len(want), len(stream))
	}
}
