// Package pipeline captures displays and encodes them for subscribers.
//
// A Pool holds one Pipeline for each display with subscribers, or two if only some of them see the pointer in the
// picture. A Pipeline is one capture loop and up to MaxEncodings encodings for each format. An Encoding is one encode
// loop; all its subscribers receive the same access units. A Subscriber is a viewer as its encoding sees it. The
// package does not know peers, networks or HTTP.
//
//	display ─▶ capture loop ─▶ mailbox ─▶ encode loop ─▶ Subscriber.Deliver
//	           (one a display)  (one frame) (one an Encoding)  (one call a subscriber)
//
// # Goroutines
//
// A Pipeline runs its capture loop, a watchdog for the capture driver, and one encode loop for each Encoding. An open
// encoder has a goroutine that makes all calls on it. A call of a driver that does not return costs the goroutine that
// made it, and nothing else.
//
// # Locks
//
// A lock may be taken while those to its left are held, and while no other is, least of all another of its own kind.
// The tests fail when one is taken in another order (see session/lockorder):
//
//	poolLock ─▶ pipelineLock, encodingLock, encoderPoolLock
//
// The mutexes of a mailbox and of a guarded encoder are taken with no other one held. The encode loop calls a
// Subscriber, and a Pipeline its Observer, with no lock held, so that both may take locks of their own and may call
// Encoding.Subscribe, Encoding.Unsubscribe, Encoding.Status and Pool.Release.
package pipeline
