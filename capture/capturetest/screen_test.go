package capturetest_test

import (
	"image"
	"testing"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

func TestScreenKeepsTheContract(t *testing.T) {
	var screen *capturetest.Screen
	open := func(t *testing.T) capture.Source {
		screen = capturetest.NewScreen(64, 48)
		s, err := screen.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	capturetest.Run(t, open, capturetest.Options{Change: func(*testing.T) { screen.Touch(image.Rect(1, 1, 9, 9)) }})
}
