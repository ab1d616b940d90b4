// Package pointer sends the pointers of displays to viewers that draw them themselves.
//
// A Hub follows the pointer of each display that such a viewer watches. A Feed is one viewer's view of it, and Encode
// makes the messages of the data channel. Moving the pointer over a still desktop then costs some bytes, and no
// picture is encoded.
package pointer
