package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/record"
	"wavryhost/session"
)

// replayCmd is "wavry-host replay".
type replayCmd struct {
	File string `arg:"" help:"Recording, as GET /v1/sessions/ID/recording returns it."`
	SVG  string `name:"svg" placeholder:"FILE" help:"Draw the replay into this file."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// replayed is the machine-readable output.
type replayed struct {
	record.Header

	From        float64                    `json:"from_seconds"`
	To          float64                    `json:"to_seconds"`
	Events      int                        `json:"events"`
	Answers     int                        `json:"answers"`
	Differ      int                        `json:"answers_that_differ"`
	FirstDiffer float64                    `json:"first_differs_seconds,omitempty"`
	Exact       bool                       `json:"same_state_at_start"`
	Recorded    []session.TransitionRecord `json:"recorded"`
	Replayed    []session.TransitionRecord `json:"replayed"`
}

// errReplayDiffers is returned when the same controller decides differently.
var errReplayDiffers = errors.New("the replay differs from the recording")

// Run is called by kong.
func (c *replayCmd) Run(a *app) error {
	rec, err := readRecording(c.File)
	if err != nil {
		return err
	}
	report, err := rec.Replay()
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.SVG != "" {
		if err := drawReplay(c.SVG, rec, report); err != nil {
			return err
		}
	}
	if c.JSON {
		err = writeJSON(a.stdout, replayed{
			Header: rec.Header, From: report.From.Seconds(), To: report.To.Seconds(), Events: report.Events,
			Answers: report.Ticks, Differ: report.Differ, FirstDiffer: report.FirstDiffer.Seconds(), Exact: rec.Exact(),
			Recorded: records(report.Recorded), Replayed: records(report.Replayed),
		})
	} else {
		err = c.print(a, rec, report)
	}
	if err == nil && report.Differ > 0 && rec.Exact() && rec.Version == thisBuild().Version {
		err = errReplayDiffers
	}
	return err
}

func readRecording(path string) (*record.Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the recording: %w", err)
	}
	defer func() { _ = f.Close() }() // the file was only read
	rec, err := record.Read(f)
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, at
	}
	if err != nil {
		return nil, fmt.Errorf(
			"%s: %w; take one with: curl -o FILE http://127.0.0.1:8470/v1/sessions/ID/recording",
			path,
			err,
		)
	}
	return rec, nil
}

func drawReplay(path string, rec *record.Recording, report *record.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("draw the replay: %w", err)
	}
	title := fmt.Sprintf(
		"session %s of %s, from %v on", rec.Session, rec.Display, rec.Base.Add(report.From).Format(time.RFC3339),
	)
	return errors.Join(report.Chart(title).WriteSVG(f), f.Close())
}

func records(list []adapt.Transition) []session.TransitionRecord {
	all := []session.TransitionRecord{}
	for _, t := range list {
		all = append(all, session.RecordOf(t))
	}
	return all
}

func (c *replayCmd) print(a *app, rec *record.Recording, report *record.Report) error {
	say(a.stdout, "session %s of display %s, begun %s, recorded by wavry-host %s\n", rec.Session, rec.Display,
		rec.Base.Format(time.RFC3339), rec.Version)
	say(a.stdout, "from %.1f to %.1f s of the session: %d events, %d answers of the controller\n\n",
		report.From.Seconds(), report.To.Seconds(), report.Events, report.Ticks)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	say(w, "AT\tFROM\tTO\tREASON\tTARGET\tRECEIVED\tRTT\tQUEUE\tLOSS\n")
	for _, t := range report.Replayed {
		say(
			w, "%.3f s\t%v\t%v\t%v\t%.2f Mbit/s\t%.2f Mbit/s\t%d ms\t%d ms\t%.1f %%\n", t.At.Sub(rec.Base).Seconds(), t.From,
			t.To, t.Reason, float64(t.Target)/1e6, float64(t.Received)/1e6, t.RTT.Milliseconds(), t.QueueDelay.Milliseconds(),
			100*t.Loss,
		)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case report.Differ == 0:
		say(a.stdout, "\nThe replay is the same as the recording, bit for bit.\n")
	case !rec.Exact():
		say(
			a.stdout,
			"\n%d answers differ, the first at %.3f s: the recording begins in the middle of a session, with a controller of "+
				"another\n"+
				"version (%s; this is %s). Replay it with that version.\n",
			report.Differ,
			report.FirstDiffer.Seconds(),
			rec.Version,
			thisBuild().Version,
		)
	default:
		say(
			a.stdout, "\n%d answers differ, the first at %.3f s: it was recorded by wavry-host %s, and this is %s.\n",
			report.Differ, report.FirstDiffer.Seconds(), rec.Version, thisBuild().Version,
		)
	}
	return nil
}
