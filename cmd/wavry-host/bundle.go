package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/platform/child"
)

const (
	// largestPart bounds each file of a bundle, in bytes.
	largestPart = 64 << 20
	// quietEvents is the pause after which the kept events have all come.
	quietEvents = 500 * time.Millisecond
	// partTime bounds the wait for a part.
	partTime = 30 * time.Second
)

// bundleCmd is "wavry-host bundle".
type bundleCmd struct {
	Last     time.Duration `default:"1h" placeholder:"DURATION" help:"Length of the time window. Default: ${default}."`
	Until    string        `placeholder:"TIME" help:"End of the time window, such as 2026-11-29T10:00:00Z. Default: now."`
	Out      string        `placeholder:"FILE" help:"File to write. Default: wavry-host-bundle-HOST-TIME.tar.gz in this folder."` //nolint:lll // a struct tag is one line
	Log      string        `placeholder:"FILE" help:"File with the daemon's log, where journald does not have it."`
	Socket   string        `placeholder:"PATH" help:"Socket of the daemon. Default: your own daemon's, else the service's."` //nolint:lll // a struct tag is one line
	Settings settingFlags  `embed:""`
}

// manifest describes a bundle, as its file manifest.json.
type manifest struct {
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Program build     `json:"program"`
	// Files has the size of each file in bytes, Missing the reason for each absent file.
	Files   map[string]int    `json:"files"`
	Missing map[string]string `json:"missing"`
}

// bundle is a bundle that is being written.
type bundle struct {
	manifest
	tar    *tar.Writer
	folder string
	scrub  scrubber
}

// Run is called by kong.
func (c *bundleCmd) Run(ctx context.Context, a *app) error {
	b := &bundle{manifest: manifest{
		Version: 1, Time: time.Now().UTC(), Program: thisBuild(), Files: map[string]int{}, Missing: map[string]string{},
	}}
	b.To = b.Time
	if c.Until != "" {
		to, err := time.Parse(time.RFC3339, c.Until)
		if err != nil {
			return &coded{exitUsage, fmt.Errorf("--until: %q is not a time such as 2026-11-29T10:00:00Z", c.Until)}
		}
		b.To = to.UTC()
	}
	if c.Last <= 0 {
		return &coded{exitUsage, fmt.Errorf("--last: %v is not a length of time", c.Last)}
	}
	b.From = b.To.Add(-c.Last)
	host, _ := os.Hostname() // an unknown name stays empty
	b.folder = "wavry-host-bundle-" + host + "-" + b.Time.Format("20060102T150405Z")
	path := c.Out
	if path == "" {
		path = b.folder + ".tar.gz"
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &coded{exitUsage, fmt.Errorf("%s exists; name another file with --out", path)}
	}
	if err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	zip := gzip.NewWriter(f)
	b.tar = tar.NewWriter(zip)
	err = errors.Join(b.fill(ctx, a, c), b.tar.Close(), zip.Close(), f.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path))
	}
	say(a.stdout, "%s: %d files; secrets are removed, names of users and hosts are not\n", path, len(b.Files)+1)
	for name, why := range b.Missing {
		say(a.stdout, "missing: %s: %s\n", name, why)
	}
	return nil
}

// fill collects all parts. A part that cannot be had is missing, and the others follow. The error is one of writing.
func (b *bundle) fill(ctx context.Context, a *app, c *bundleCmd) error {
	l, refusal := c.Settings.load(a)
	b.scrub = newScrubber(l, cmp.Or(c.Settings.Config, a.variable("WAVRY_HOST_CONFIG"), config.DefaultPath), a.env)
	parts := []struct {
		name string
		make func(ctx context.Context, w io.Writer) error
	}{
		{"doctor.json", func(ctx context.Context, w io.Writer) error {
			return examine(ctx, a, c.Settings, c.Socket).print(w, true)
		}},
		{"config.yaml", func(_ context.Context, w io.Writer) error {
			if refusal != nil {
				return refusal
			}
			return l.Print(w)
		}},
		{"log.txt", func(ctx context.Context, w io.Writer) error { return c.log(ctx, w, b.From, b.To) }},
		{"kernel.txt", func(ctx context.Context, w io.Writer) error {
			return journal(ctx, w, b.From, b.To, "--dmesg", "--priority=warning")
		}},
	}
	for _, p := range parts {
		if err := b.part(ctx, p.name, p.make); err != nil {
			return err
		}
	}
	if err := b.daemon(ctx, a, c.Socket); err != nil {
		return err
	}
	text, err := json.MarshalIndent(b.manifest, "", "  ")
	if err != nil {
		return err
	}
	return b.write("manifest.json", text)
}

// daemon collects what the running daemon has.
func (b *bundle) daemon(ctx context.Context, a *app, socket string) error {
	client, err := clientFlags{Socket: socket}.connect(a)
	if err != nil {
		b.Missing["what the daemon has"] = string(b.scrub.scrub([]byte(err.Error())))
		return nil //nolint:nilerr // the bundle says so, and has the rest
	}
	for _, p := range []struct{ name, path string }{
		{"host.json", "/v1/host"},
		{"capacity.json", "/v1/capacity"},
		{"metrics.txt", "/metrics"},
	} {
		err := b.part(ctx, p.name, func(ctx context.Context, w io.Writer) error { return client.copy(ctx, "GET", p.path, w) })
		if err != nil {
			return err
		}
	}
	if err := b.part(ctx, "events.jsonl", func(ctx context.Context, w io.Writer) error {
		return client.kept(ctx, w, b.From, b.To)
	}); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := b.part(ctx, "sessions.json", func(ctx context.Context, w io.Writer) error {
		return client.copy(ctx, "GET", "/v1/sessions?page_size=1000", io.MultiWriter(w, &text))
	}); err != nil {
		return err
	}
	var list struct{ Sessions []struct{ ID string } }
	if err := json.Unmarshal(text.Bytes(), &list); err != nil {
		b.Missing["recordings"] = cmp.Or(b.Missing["sessions.json"], err.Error())
	}
	for _, s := range list.Sessions {
		name := "recordings/" + filepath.Base(s.ID) + ".wavryrec"
		if err := b.part(ctx, name, func(ctx context.Context, w io.Writer) error {
			return client.copy(ctx, "GET", "/v1/sessions/"+s.ID+"/recording", w)
		}); err != nil {
			return err
		}
	}
	return nil
}

// part adds a file, without secrets.
func (b *bundle) part(ctx context.Context, name string, fill func(ctx context.Context, w io.Writer) error) error {
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	text := &child.Output{Max: largestPart, Last: true}
	if err := fill(ctx, text); err != nil {
		b.Missing[name] = string(b.scrub.scrub([]byte(err.Error())))
		return nil
	}
	content := text.Bytes()
	if !strings.HasSuffix(name, ".wavryrec") { // a recording is binary, and has figures only
		content = b.scrub.scrub(content)
	}
	b.Files[name] = len(content)
	return b.write(name, content)
}

func (b *bundle) write(name string, content []byte) error {
	err := b.tar.WriteHeader(&tar.Header{
		Name: b.folder + "/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: b.Time, Typeflag: tar.TypeReg,
	})
	if err == nil {
		_, err = b.tar.Write(content)
	}
	return err
}

// log writes the daemon's log: of a file all of it, of the journal the time window.
func (c *bundleCmd) log(ctx context.Context, w io.Writer, from, to time.Time) error {
	if c.Log == "" {
		return journal(ctx, w, from, to, "--unit=wavry-host", "--unit=wavry-host-desktop")
	}
	f, err := os.Open(c.Log)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// journal writes a time window of the journal.
func journal(ctx context.Context, w io.Writer, from, to time.Time, args ...string) error {
	problems := &child.Output{Max: 4096, Last: true}
	err := child.Run(ctx, child.Command{
		Program: "journalctl", Stdout: w, Stderr: problems,
		Args: append([]string{
			"--no-pager", "--output=short-iso-precise", fmt.Sprintf("--since=@%d", from.Unix()),
			fmt.Sprintf("--until=@%d", to.Unix()),
		}, args...),
	})
	if err != nil {
		return fmt.Errorf("journalctl: %w: %s", err, bytes.TrimSpace(problems.Bytes()))
	}
	return nil
}

// copy writes an answer of the daemon.
func (c *client) copy(ctx context.Context, method, path string, w io.Writer) error {
	body, err := c.open(ctx, method, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// kept writes the events that the daemon still has, of a time window, one a line.
func (c *client) kept(ctx context.Context, w io.Writer, from, to time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := c.open(ctx, "GET", "/v1/events?after=1", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	quiet := time.AfterFunc(quietEvents, cancel) // the stream has no end
	defer quiet.Stop()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		quiet.Reset(quietEvents)
		var e struct{ At time.Time }
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.At.Before(from) || e.At.After(to) {
			continue
		}
		if _, err := fmt.Fprintln(w, strings.TrimSpace(data)); err != nil {
			return err
		}
	}
	return nil // cut off by the pause, or by the daemon's end: what came is there
}
