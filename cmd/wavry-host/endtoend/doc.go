// Package endtoend tests the daemon as users run it: the built binary, a real X server, real browsers, WebRTC stacks
// that share no code with ours, and real network namespaces. All tests carry the build tag integration.
//
// Tests run in parallel, each with its own X server, daemon and browser: they mostly wait. The few tests that judge
// bitrates or pictures run alone.
package endtoend
