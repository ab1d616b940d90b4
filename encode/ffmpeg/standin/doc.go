// Package standin makes graphics devices for tests, on machines that have none: a driver for the real libva, and the
// pair of libraries through which libavcodec uses NVENC. Both encode with x264. Limits and faults of a device can be
// set while it is in use.
package standin
