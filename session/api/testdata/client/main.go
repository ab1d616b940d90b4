// Command client drives a host by the client that is generated from its OpenAPI document: client URL TOKEN. It says "ok" when all
// answers have the types that the document promises.
package main

import (
	"bufio"
	"client/wavry"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := drive(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func drive(ctx context.Context, url, token string) error {
	anonymous, err := wavry.NewClientWithResponses(url)
	if err != nil {
		return err
	}
	ready, err := anonymous.GetReadinessWithResponse(ctx)
	if err != nil || ready.JSON200 == nil || ready.JSON200.Status != wavry.ReadinessStatusReady {
		return fmt.Errorf("readiness: %+v, %w", ready, err)
	}
	refused, err := anonymous.GetHostWithResponse(ctx)
	if err != nil || refused.ApplicationproblemJSON401 == nil || refused.ApplicationproblemJSON401.Code != wavry.ErrorCodeUnauthorized {
		return fmt.Errorf("without the token: %+v, %w", refused, err)
	}
	c, err := wavry.NewClientWithResponses(url, wavry.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	if err != nil {
		return err
	}
	return errors.Join(control(ctx, c), session(ctx, c), events(ctx, c))
}

func control(ctx context.Context, c *wavry.ClientWithResponses) error {
	host, err := c.GetHostWithResponse(ctx)
	if err != nil || host.JSON200 == nil || host.JSON200.State != wavry.HostStateActive || host.JSON200.Displays[0].Width != 1280 {
		return fmt.Errorf("host: %+v, %w", host, err)
	}
	list, err := c.ListSessionsWithResponse(ctx, &wavry.ListSessionsParams{})
	if err != nil || list.JSON200 == nil || len(list.JSON200.Sessions) != 1 || list.JSON200.Sessions[0].Quality == nil ||
		*list.JSON200.Sessions[0].Quality != wavry.QualityGood {
		return fmt.Errorf("sessions: %+v, %w", list, err)
	}
	drained, err := c.DrainWithResponse(ctx, wavry.Draining{DeadlineSeconds: 1.5})
	if err != nil || drained.JSON200 == nil {
		return fmt.Errorf("drain: %+v, %w", drained, err)
	}
	wrong, err := c.DrainWithResponse(ctx, wavry.Draining{DeadlineSeconds: -1})
	if err != nil || wrong.ApplicationproblemJSON400 == nil || wrong.ApplicationproblemJSON400.Code != wavry.ErrorCodeBadJson {
		return fmt.Errorf("a negative deadline: %+v, %w", wrong, err)
	}
	resumed, err := c.ResumeWithResponse(ctx)
	if err != nil || resumed.JSON200 == nil {
		return fmt.Errorf("resume: %+v, %w", resumed, err)
	}
	return nil
}

func session(ctx context.Context, c *wavry.ClientWithResponses) error {
	opened, err := c.OpenSessionWithBodyWithResponse(ctx, "default", nil, "application/sdp", strings.NewReader("v=0\r\n"))
	if err != nil || opened.StatusCode() != http.StatusCreated || !strings.HasPrefix(string(opened.Body), "v=0") {
		return fmt.Errorf("open: %+v, %w", opened, err)
	}
	id := path.Base(opened.HTTPResponse.Header.Get("Location")) // relative to the request's
	one, err := c.GetSessionWithResponse(ctx, id)
	if err != nil || one.JSON200 == nil || one.JSON200.Id != id || one.JSON200.State != wavry.SessionStateConnected {
		return fmt.Errorf("session: %+v, %w", one, err)
	}
	key, err := c.RequestKeyframeWithResponse(ctx, id)
	if err != nil || key.StatusCode() != http.StatusAccepted {
		return fmt.Errorf("keyframe: %+v, %w", key, err)
	}
	happened, err := c.GetTimelineWithResponse(ctx, id, nil)
	if err != nil || happened.JSON200 == nil || !happened.JSON200.Complete {
		return fmt.Errorf("timeline: %+v, %w", happened, err)
	}
	first, err := happened.JSON200.Events[0].ValueByDiscriminator()
	if _, ok := first.(wavry.SessionCreatedEvent); err != nil || !ok {
		return fmt.Errorf("first event: %+v, %w", first, err)
	}
	taken, err := c.GetRecordingWithResponse(ctx, id)
	if err != nil || string(taken.Body) != "a recording of "+id {
		return fmt.Errorf("recording: %+v, %w", taken, err)
	}
	why := "the generated client is done"
	ended, err := c.EndSessionWithResponse(ctx, id, &wavry.EndSessionParams{Reason: &why})
	if err != nil || ended.StatusCode() != http.StatusNoContent {
		return fmt.Errorf("end: %+v, %w", ended, err)
	}
	gone, err := c.GetSessionWithResponse(ctx, "nobody")
	if err != nil || gone.ApplicationproblemJSON404 == nil || gone.ApplicationproblemJSON404.Code != wavry.ErrorCodeUnknownSession {
		return fmt.Errorf("no session: %+v, %w", gone, err)
	}
	return nil
}

func events(ctx context.Context, c *wavry.ClientWithResponses) error {
	after := int64(0)
	stream, err := c.FollowEvents(ctx, &wavry.FollowEventsParams{After: &after})
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	defer stream.Body.Close()
	for s := bufio.NewScanner(stream.Body); s.Scan(); {
		if s.Text() == "event: session_created" {
			return nil
		}
	}
	return errors.New("events: the stream ended before its first event")
}
