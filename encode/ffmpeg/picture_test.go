package ffmpeg

import "testing"

func TestPSNRKnowsTheColoursOfBT601(t *testing.T) {
	// 2x2 of each color as B, G, R, and its Y, U, V by BT.601 limited range, rounded.
	for _, test := range []struct {
		name     string
		b, g, r  byte
		yuv      [3]byte
		min, max float64
	}{
		{"black", 0, 0, 0, [3]byte{16, 128, 128}, 48, 101},
		{"white", 255, 255, 255, [3]byte{235, 128, 128}, 48, 101},
		{"red", 0, 0, 255, [3]byte{82, 90, 240}, 48, 101},
		{"green", 0, 255, 0, [3]byte{145, 54, 34}, 48, 101},
		{"blue", 255, 0, 0, [3]byte{41, 240, 110}, 48, 101},
		{"red taken for BT.709", 0, 0, 255, [3]byte{63, 102, 240}, 10, provedElsewhere},
		{"red and blue swapped", 0, 0, 255, [3]byte{41, 240, 110}, 0, provedElsewhere},
	} {
		t.Run(test.name, func(t *testing.T) {
			var pix []byte
			for range 4 {
				pix = append(pix, test.b, test.g, test.r, 0)
			}
			y := test.yuv[0]
			p := picture{data: []byte{y, y, y, y, test.yuv[1], test.yuv[2]}, width: 2, height: 2}
			got, err := p.psnr(pix, 2, 2)
			if err != nil || got < test.min || got > test.max {
				t.Errorf("got %.1f dB, %v; want %.0f to %.0f", got, err, test.min, test.max)
			}
		})
	}
}

// provedElsewhere is the bound that a wrong conversion must stay below: Prove refuses what is not above it.
const provedElsewhere = 24

func TestPSNRRefusesAnotherSize(t *testing.T) {
	p := picture{data: make([]byte, 6), width: 2, height: 2}
	if _, err := p.psnr(make([]byte, 4*16), 4, 4); err == nil {
		t.Error("compared pictures of different sizes")
	}
	p.data = p.data[:5]
	if _, err := p.psnr(make([]byte, 4*4), 2, 2); err == nil {
		t.Error("compared a picture with a byte missing")
	}
}
