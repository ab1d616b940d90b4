package wire

import "wavryhost/session/enum"

// FeedbackFault is what can be wrong with a message of feedback, or with what it says of a packet. Such feedback is
// counted and otherwise ignored.
type FeedbackFault uint8

// The faults of feedback.
const (
	FeedbackLost     FeedbackFault = iota // a message is missing between two that came
	FeedbackLate                          // a message came after a later one, or twice
	FeedbackRepeated                      // a packet was reported before
	FeedbackUnknown                       // the packet was never sent, or is too old
	FeedbackUnread                        // nobody read the message in time
	feedbackFaults
)

var feedbackNames = [...]string{
	FeedbackLost:     "lost",
	FeedbackLate:     "late",
	FeedbackRepeated: "repeated",
	FeedbackUnknown:  "unknown",
	FeedbackUnread:   "unread",
}

// FeedbackFaults lists all faults of feedback.
func FeedbackFaults() []FeedbackFault { return enum.All[FeedbackFault](feedbackNames[:]) }

func (f FeedbackFault) String() string { return enum.Name(feedbackNames[:], f) }
