package capturetest_test

import (
	"image"
	"testing"

	"wavryhost/capture/capturetest"
)

func TestScreenKeepsTheContract(t *testing.T) {
	screen := capturetest.NewScreen(64, 48)
	capturetest.Run(t, screen.Open, capturetest.Options{Change: func() { screen.Touch(image.Rect(1, 1, 9, 9)) }})
}
