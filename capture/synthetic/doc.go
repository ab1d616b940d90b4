// Package synthetic is a display that exists only in memory: a test card with moving parts, the same on every machine.
// It is for trying the daemon without a desktop, and for measuring delay and loss from the picture itself.
//
// # The code strip
//
// The top of every picture carries the frame's number and its drawing time as black and white cells, which survive
// scaling and low bitrates. Positions are fractions of the picture, so a reader need not search, whatever the size of
// the picture. A picture of W by H pixels is divided into CodeColumns = 32 columns and CodeGrid = 36 rows; the first
// CodeRows = 4 rows are the strip. The cell in column c and row r covers
//
//	x from c*W/32 to (c+1)*W/32,  y from r*H/36 to (r+1)*H/36
//
// and a reader takes the mean luma of its middle half in both directions:
//
//	x from (c+1/4)*W/32 to (c+3/4)*W/32,  y from (r+1/4)*H/36 to (r+3/4)*H/36
//
// In each row the columns 0 and 31 are white, and the columns 1 and 30 are black. They are the reference: the
// threshold is halfway between the mean of the white and the mean of the black reference cells. If these are less than
// CodeContrast = 48 of 255 levels apart, the picture carries no code.
//
// The columns 2 to 29 of the four rows, read left to right and top to bottom, are 112 bits. A white cell is 1. Each
// field starts with its most significant bit:
//
//	bits 0-31    frame number, modulo 2^32
//	bits 32-79   time, milliseconds since 1970-01-01 UTC
//	bits 80-111  CRC-32 (IEEE 802.3, as in zlib and PNG) of the first 80 bits as ten bytes
//
// A reader with a wrong checksum has no code. Frames are numbered from 1, by the ticks of the source's rate. A missing
// number was never drawn, or was lost on the way.
//
// In a browser: draw the video element into a canvas (the upper ninth of the picture is enough), read it with
// getImageData, use 0.299 R + 0.587 G + 0.114 B as luma, and proceed as above. The delay from drawing to display is
// performance.timeOrigin + performance.now() minus the time in the strip, as far as both clocks agree.
package synthetic
