// The rate control of encoders that have none for a buffer of one picture: each picture gets its share of the rate,
// more or less what earlier pictures left or took.
#ifndef CONTROL_H
#define CONTROL_H

#include <stdint.h>

#include "codec.h"

#define QUANTIZERS 64

struct control {
	int finest, coarsest; // quantizers
	double halving;       // the difference of quantizers that usually halves a picture
	double pictures_per_second;
	double share;         // bits
	double debt;          // bits that earlier pictures took beyond their shares
	double size[2][QUANTIZERS]; // bits of a picture of either kind, as far as known
	int quantizer;              // of the current picture
};

void control_rate(struct control *c, const struct rate *r);
// Returns the quantizer of the next picture.
int control_begin(struct control *c, int key);
// Notes the bits of that picture.
void control_end(struct control *c, int key, double bits);

#endif
