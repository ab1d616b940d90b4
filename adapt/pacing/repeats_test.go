package pacing

import (
	"testing"
	"time"
)

// Sequence numbers wrap. A keyframe of long ago must not pass for a coming one.
func TestAPacketBeyondRepairBreaksTheStreamLongAfterTheKeyframe(t *testing.T) {
	for _, packets := range []int{10, 20_000, 40_000, 60_000, 90_000} {
		var r Repeats
		now := begun
		r.Keyframe(7)
		for n := range packets {
			now = now.Add(time.Millisecond)
			r.Sent(uint16(7+n), now)
		}
		if !r.Broken(uint16(7+packets-1), RefusedOld, now.Add(time.Second), 0) {
			t.Errorf("a packet beyond repair, %d packets after the keyframe, does not break the stream", packets)
		}
	}
}
