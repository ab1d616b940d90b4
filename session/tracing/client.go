package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// client sends spans by OTLP over HTTP. That of OpenTelemetry, otlptracehttp, brings all of gRPC with it.
type client struct {
	cfg  Config
	url  string
	http *http.Client
}

var _ otlptrace.Client = (*client)(nil)

// Start does nothing.
func (c *client) Start(context.Context) error { return nil }

// Stop does nothing.
func (c *client) Stop(context.Context) error { return nil }

// UploadTraces sends spans, once.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// It has the form of an ExportTraceServiceRequest, whose package imports gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if r.Header, err = c.headers(); err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("User-Agent", "wavry-host/"+c.cfg.Version)
	resp, err := c.http.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err // without the URL, whose query may have a secret
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case resp.StatusCode >= 400:
		return fmt.Errorf("the collector answers %s", resp.Status)
	case resp.StatusCode >= 300:
		return fmt.Errorf("the collector answers %s; redirects are not followed", resp.Status)
	case err != nil:
		return fmt.Errorf("read the answer of the collector: %w", err)
	}
	if n, why := rejection(answer); n > 0 {
		return fmt.Errorf("the collector rejects %d spans: %.200q", n, why)
	}
	return nil
}

// headers reads the headers of the configuration.
func (c *client) headers() (http.Header, error) {
	if c.cfg.HeadersFile == "" {
		return http.Header{}, nil
	}
	text, err := c.cfg.ReadFile(c.cfg.HeadersFile)
	if err != nil {
		return nil, fmt.Errorf("read tracing.headers_file: %w", err)
	}
	h, err := ParseHeaders(string(text))
	if err != nil {
		return nil, fmt.Errorf("tracing.headers_file: %s: %w", c.cfg.HeadersFile, err)
	}
	return h, nil
}

// ParseHeaders reads headers, one a line, as "Authorization: Bearer …". An error names the line, and does not show it.
func ParseHeaders(text string) (http.Header, error) {
	all := make(http.Header)
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || value == "" || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("line %d is not of the form Name: value", n+1)
		}
		all.Add(name, value)
	}
	return all, nil
}

// rejection returns how many spans an answer rejects, and why. The answer is an ExportTraceServiceResponse. Its field 1
// is the partial success, which has the number in field 1 and the reason in field 2. An answer that cannot be read
// rejects nothing.
func rejection(answer []byte) (spans uint64, why string) {
	partial, _ := field(answer, 1)
	_, spans = field(partial, 1)
	text, _ := field(partial, 2)
	return spans, string(text)
}

// field returns the last value of a field of a protobuf message: bytes, or a number.
func field(message []byte, number protowire.Number) (text []byte, n uint64) {
	for len(message) > 0 {
		at, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return text, n
		}
		message = message[size:]
		switch {
		case at == number && kind == protowire.BytesType:
			text, size = protowire.ConsumeBytes(message)
		case at == number && kind == protowire.VarintType:
			n, size = protowire.ConsumeVarint(message)
		default:
			size = protowire.ConsumeFieldValue(at, kind, message)
		}
		if size < 0 {
			return nil, 0
		}
		message = message[size:]
	}
	return text, n
}
