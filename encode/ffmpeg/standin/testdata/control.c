#include "control.h"

#include <math.h>

void control_rate(struct control *c, const struct rate *r) { c->share = r->mean / c->pictures_per_second; }

// Returns the expected bits of a picture. The known sizes are the points of a curve.
static double expected(const struct control *c, const double *size, int quantizer)
{
	int below = quantizer, above = quantizer;
	while (below >= 0 && !size[below])
		below--;
	while (above < QUANTIZERS && !size[above])
		above++;
	if (below < 0 && above == QUANTIZERS)
		return 0;
	if (below < 0)
		return size[above] * exp2((above - quantizer) / c->halving);
	if (above == QUANTIZERS)
		return size[below] * exp2((below - quantizer) / c->halving);
	if (below == above)
		return size[below];
	double part = (double)(quantizer - below) / (above - below);
	return exp2((1 - part) * log2(size[below]) + part * log2(size[above]));
}

int control_begin(struct control *c, int key)
{
	const double *size = c->size[!!key];
	if (!expected(c, size, 0))
		size = c->size[!key];
	double want = fmax(c->share - c->debt, c->share / 4);
	int q = (c->finest + 2 * c->coarsest) / 3, known = c->quantizer && expected(c, size, 0);
	if (known) {
		// Finer than the previous picture by some steps at most: a guess that is far from what is known may be far off.
		for (q = fmax(c->finest, c->quantizer - 2); q < c->coarsest && expected(c, size, q) > want; q++)
			;
	}
	c->quantizer = q;
	return q;
}

void control_end(struct control *c, int key, double bits)
{
	double *size = c->size[!!key], change = size[c->quantizer] ? sqrt(bits / size[c->quantizer]) : 1;
	for (int q = 0; q < QUANTIZERS; q++) {
		size[q] *= change; // sizes depend on the content and on chance, so what is known follows halfway
		if ((q < c->quantizer && size[q] < bits) || (q > c->quantizer && size[q] > bits))
			size[q] = 0;
	}
	if (!size[c->quantizer])
		size[c->quantizer] = bits;
	// At most two shares are saved: a picture must not exceed its share by far.
	c->debt = fmin(fmax(c->debt + bits - c->share, -2 * c->share), 2 * c->share);
}
