// Package pressure measures how busy a machine is: processor time and memory, of the machine or of the control group that this process runs in where that
// is narrower, what programs wait for (PSI), and this process's own memory and descriptors.
package pressure
