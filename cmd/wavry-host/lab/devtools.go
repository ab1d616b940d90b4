package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// devtools speaks the DevTools protocol of Chromium over two pipes (--remote-debugging-pipe), so it needs no network.
// Messages are JSON documents that end in a zero byte. It is not for concurrent use.
type devtools struct {
	to      *os.File
	from    *os.File
	answers *bufio.Reader
	last    int
	session string // of the page; empty for the browser itself
	part    []byte // of a message whose rest had not come in time
}

// longestMessage bounds an answer; a screenshot is the largest.
const longestMessage = 64 << 20

// answerTime bounds the wait for an answer. A busy machine takes seconds for a screenshot.
const answerTime = 20 * time.Second

// message is a request or an answer.
type message struct {
	ID      int             `json:"id"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// send sends a request. Its answer is skipped unless call waits for it.
func (d *devtools) send(method string, params any) error {
	d.last++
	data, err := json.Marshal(message{ID: d.last, Method: method, Params: params, Session: d.session})
	if err != nil {
		return err
	}
	if err := d.to.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err = d.to.Write(append(data, 0)); err != nil {
		return fmt.Errorf("lab: send %s to Chromium: %w", method, err)
	}
	return nil
}

// call sends a request, and stores the answer in result unless that is nil. Events are skipped.
func (d *devtools) call(ctx context.Context, method string, params, result any) error {
	if err := d.send(method, params); err != nil {
		return err
	}
	if err := d.from.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = d.from.SetReadDeadline(time.Unix(1, 0)) })
	defer stop() // if it is too late for that, ctx has ended, and so has the use of this browser
	for {
		data, err := d.read()
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return fmt.Errorf("lab: Chromium's answer to %s: %w", method, err)
		}
		var m message
		if err := json.Unmarshal(data, &m); err != nil {
			return fmt.Errorf("lab: Chromium's answer to %s: %w", method, err)
		}
		switch {
		case m.ID != d.last:
		case m.Error != nil:
			return fmt.Errorf("lab: Chromium refuses %s: %s", method, m.Error.Message)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(m.Result, result)
		}
	}
}

// read returns one message.
func (d *devtools) read() ([]byte, error) {
	for {
		part, err := d.answers.ReadSlice(0)
		d.part = append(d.part, part...)
		switch {
		case err == nil:
			data := d.part[:len(d.part)-1]
			d.part = nil
			return data, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(d.part) > longestMessage:
			return nil, fmt.Errorf("it exceeds %d bytes", longestMessage)
		}
	}
}
