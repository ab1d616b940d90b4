package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/session/api/custody"
)

// clientFlags say which daemon a command asks, and how it prints.
type clientFlags struct {
	Socket    string `placeholder:"PATH" help:"Socket of the daemon. Default: your own daemon's, else the service's."`
	URL       string `name:"url" placeholder:"URL" help:"Address of another daemon, such as https://host7.example.net:8470, instead of a socket."` //nolint:lll // a struct tag is one line
	TokenFile string `placeholder:"FILE" help:"File with the operator's token for --url."`
	JSON      bool   `name:"json" help:"Print JSON, as the API has it."`
}

// client asks a daemon.
type client struct {
	http  *http.Client
	base  string
	token config.Secret
	where string // for errors
}

// answerTimeout bounds the wait for an answer that is not a stream.
const answerTimeout = 30 * time.Second

// connect returns a client of the daemon that the flags name.
func (f clientFlags) connect(a *app) (*client, error) {
	if f.URL != "" {
		return f.remote()
	}
	if f.TokenFile != "" {
		return nil, &coded{exitUsage, errors.New("--token-file is for --url: on the socket the daemon knows its user")}
	}
	c, path, err := f.dial(a)
	if err != nil {
		return nil, err
	}
	_ = c.Close()
	var dialer net.Dialer
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", path)
	}
	return &client{
		http: &http.Client{Transport: &http.Transport{DialContext: dial}}, base: "http://localhost", where: path,
	}, nil
}

// dial connects to the socket of the daemon that the flags name, and returns its path.
func (f clientFlags) dial(a *app) (net.Conn, string, error) {
	paths := []string{f.Socket}
	if f.Socket == "" {
		paths = paths[:0]
		if own := socketPath(config.Auto, a.env); own != "" && own != serviceSocket {
			paths = append(paths, own)
		}
		paths = append(paths, serviceSocket)
	}
	var dialer net.Dialer
	var tried []string
	for _, path := range paths {
		c, err := dialer.Dial("unix", path)
		if err == nil {
			return c, path, nil
		}
		tried = append(tried, path+": "+dialReason(err))
	}
	return nil, "", &coded{exitUnreachable, fmt.Errorf("no daemon answers (%s); start one, or name another with --url "+
		"and --token-file", strings.Join(tried, "; "))}
}

// remote returns a client of the daemon at the URL.
func (f clientFlags) remote() (*client, error) {
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, &coded{exitUsage, fmt.Errorf("--url: %q is not an address such as https://host:8470", f.URL)}
	}
	if f.TokenFile == "" {
		return nil, &coded{exitUsage, errors.New("--url requires --token-file, the file with the operator's token")}
	}
	if u.Scheme == "http" && !config.Loopback(u.Hostname()) {
		return nil, &coded{exitUsage, fmt.Errorf("--url: %s would send the token in clear text: use https", f.URL)}
	}
	data, _, err := custody.Read(f.TokenFile, 4096, custody.Secret)
	if err != nil {
		return nil, &coded{exitUsage, fmt.Errorf("--token-file: %s: %s", f.TokenFile, config.Reason(err))}
	}
	token, ok := config.ParseToken(strings.TrimSpace(string(data)))
	if !ok {
		return nil, &coded{exitUsage, fmt.Errorf("--token-file: %s does not hold a token", f.TokenFile)}
	}
	// A redirect would take the token to another host.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{
		http: &http.Client{CheckRedirect: stay}, base: strings.TrimRight(f.URL, "/"), token: token, where: f.URL,
	}, nil
}

// dialReason returns why a socket cannot be reached, without its path.
func dialReason(err error) string {
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err.Error()
	}
	return err.Error()
}

// problemDocument is an error of the API, in either of its forms.
type problemDocument struct{ Detail, Error, Title, Code string }

// refusalError is an answer of the daemon that is an error.
type refusalError struct {
	status int
	text   string
}

func (e *refusalError) Error() string { return e.text }

// open makes a request and returns the body of a good answer.
func (c *client) open(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return nil, &coded{exitUnreachable, fmt.Errorf("%s: %w", c.where, err)}
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var p problemDocument
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	_ = json.Unmarshal(text, &p) // a proxy may answer with something else
	for _, detail := range []string{p.Detail, p.Error, p.Title} {
		if detail != "" {
			return nil, &refusalError{
				resp.StatusCode, fmt.Sprintf("%s: %s (%s)", c.where, detail, strings.TrimSpace(resp.Status+" "+p.Code)),
			}
		}
	}
	return nil, &refusalError{resp.StatusCode, c.where + ": " + resp.Status}
}

// call makes a request and reads the answer into out, or prints it as it is if raw is set.
func (c *client) call(ctx context.Context, method, path string, in, out any, raw io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := c.open(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("%s: read the answer: %w", c.where, err)
	}
	if raw != nil {
		var b bytes.Buffer
		if err := json.Indent(&b, bytes.TrimSpace(text), "", "  "); err != nil {
			return fmt.Errorf("%s: the answer is not JSON: %w", c.where, err)
		}
		b.WriteByte('\n')
		_, err = raw.Write(b.Bytes())
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s: the answer is not of this API: %w", c.where, err)
	}
	return nil
}
