package lab

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"wavryhost/platform/child"
)

// browsers are the names of programs that the lab can use, the preferred one first.
var browsers = []string{"chromium", "chromium-browser", "google-chrome"}

// watch.js runs in the viewer page before its own scripts, and notes when pictures are shown.
//
//go:embed watch.js
var watchScript string

// browser is a page of a headless Chromium.
type browser struct {
	process *child.Process
	tools   *devtools
}

// seen is what the browser knows about the video.
type seen struct {
	Now       float64 `json:"now"`   // ms since the page was opened
	First     float64 `json:"first"` // when the first picture was shown; 0 for none
	Last      float64 `json:"last"`  // when the newest picture was shown
	Shown     int     `json:"shown"` // pictures
	Longest   float64 `json:"longest"`
	LongestAt float64 `json:"longestAt"`
	// From getStats:
	Decoded       int     `json:"framesDecoded"`
	Dropped       int     `json:"framesDropped"`
	Freezes       int     `json:"freezeCount"`
	FrozenSeconds float64 `json:"totalFreezesDuration"`
	Lost          int     `json:"packetsLost"`
	NACKs         int     `json:"nackCount"`
	PLIs          int     `json:"pliCount"`
	Width         int     `json:"frameWidth"`
	Height        int     `json:"frameHeight"`
}

// findBrowser returns the name of the preferred program that is installed, "" if there is none.
func findBrowser() string {
	for _, name := range browsers {
		if child.Find(name) == nil {
			return name
		}
	}
	return ""
}

// startBrowser starts Chromium in a place, with its profile in dir.
func startBrowser(ctx context.Context, in *place, dir string, log *os.File) (b *browser, err error) {
	program := findBrowser()
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	files = append(files, theirIn)
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		_ = ourOut.Close()
		return nil, err
	}
	files = append(files, theirOut)
	b = &browser{tools: &devtools{to: ourOut, from: ourIn, answers: bufio.NewReaderSize(ourIn, 1<<16)}}
	b.process, err = child.Start(child.Command{
		Program: program,
		Args: []string{
			"--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + dir,
			// The only page is the lab's own; Chromium's sandbox refuses to run as root.
			"--no-sandbox", "--ignore-certificate-errors", "--disable-gpu", "--disable-dev-shm-usage",
			"--no-first-run", "--mute-audio", "--window-size=1280,800", "--autoplay-policy=no-user-gesture-required",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
			"--disable-breakpad", "--disable-extensions", "--disable-default-apps",
			// Chromium would paint a hidden page less often.
			"--disable-background-timer-throttling", "--disable-renderer-backgrounding",
			"--disable-backgrounding-occluded-windows", "about:blank",
		},
		Env:   []string{"TMPDIR=" + filepath.Dir(dir)}, // it leaves a folder there when it is killed
		Files: []*os.File{theirIn, theirOut}, Stdout: log, Stderr: log, Network: in.network,
	})
	if err != nil {
		b.process = nil
		b.close()
		return nil, fmt.Errorf("lab: start %s: %w", program, err)
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	var target struct {
		ID string `json:"targetId"`
	}
	var attached struct {
		Session string `json:"sessionId"`
	}
	if err := b.tools.call(ctx, "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	if err := b.tools.call(ctx, "Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true},
		&attached); err != nil {
		return nil, err
	}
	b.tools.session = attached.Session
	if err := b.tools.call(ctx, "Page.enable", nil, nil); err != nil { // without it, the script does not run
		return nil, err
	}
	return b, b.tools.call(ctx, "Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": watchScript}, nil)
}

// open begins to open a page. It does not wait: a slow network may take long.
func (b *browser) open(url string) error {
	return b.tools.send("Page.navigate", map[string]any{"url": url})
}

// errNoPage means that the page is not there yet.
var errNoPage = errors.New("lab: the page is not there yet")

// look returns what the browser knows about the video.
func (b *browser) look(ctx context.Context) (s seen, err error) {
	var answer struct {
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
	}
	err = b.tools.call(ctx, "Runtime.evaluate", map[string]any{
		"expression":   "window.wavryLab ? window.wavryLab.look() : ''",
		"awaitPromise": true, "returnByValue": true,
	}, &answer)
	switch {
	case err != nil:
		return s, err
	case answer.Result.Value == "":
		return s, errNoPage
	}
	return s, json.Unmarshal([]byte(answer.Result.Value), &s)
}

// picture returns a picture of the page, as JPEG.
func (b *browser) picture(ctx context.Context) ([]byte, error) {
	var shot struct {
		Data []byte `json:"data"`
	}
	err := b.tools.call(ctx, "Page.captureScreenshot", map[string]any{"format": "jpeg", "quality": 70}, &shot)
	return shot.Data, err
}

func (b *browser) close() {
	if b.process != nil {
		b.process.Stop()
	}
	_ = b.tools.to.Close()
	_ = b.tools.from.Close()
}
