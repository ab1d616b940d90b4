// Package tuning is the table of the constants that were chosen, for the control law and what goes with it: law.go for
// the law, path.go for how the path is measured, stream.go for the encoder, the ladder, probes and quality states.
//
// Each constant has its unit, if it is no duration, and where it comes from: a document, a product, perception, or
// arithmetic; "measured" means tried on the cases of package simulate. docs/develop/constants.md has the
// cases that pin each of them, by a sweep of 30 % in both directions (make sweep). A number that follows from others,
// the size of a ring or a unit is no tuning, and stays where it is used.
package tuning
