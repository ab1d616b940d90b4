package peer

import "github.com/pion/webrtc/v4"

// Channel is a data channel of the viewer.
type Channel struct{ channel *webrtc.DataChannel }

// Label returns the channel's label.
func (c *Channel) Label() string { return c.channel.Label() }

// Close closes the channel.
func (c *Channel) Close() error { return c.channel.Close() }

// OnClose makes f called when the channel is closed.
func (c *Channel) OnClose(f func()) { c.channel.OnClose(f) }

// OnOpen makes f called when messages can be sent.
func (c *Channel) OnOpen(f func()) { c.channel.OnOpen(f) }

// Send sends a message. It does not wait: a message for which the network has no room is buffered.
func (c *Channel) Send(message []byte) error { return c.channel.Send(message) }

// Buffered returns the number of bytes that are not sent yet.
func (c *Channel) Buffered() int { return int(c.channel.BufferedAmount()) }

// OnMessage makes f called for each message, in order, by the goroutine that reads the channel. Nothing else is read
// from the channel before f returns. f owns the message.
func (c *Channel) OnMessage(f func(message []byte)) {
	c.channel.OnMessage(func(m webrtc.DataChannelMessage) { f(m.Data) })
}
