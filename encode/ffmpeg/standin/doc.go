// Package standin makes graphics devices for tests, on machines that have none: a driver for the real libva, which
// encodes with x264. Limits and faults of a device can be set while it is in use.
package standin
