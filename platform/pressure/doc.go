// Package pressure measures the load of the machine: processor time and memory, of the machine or of this process's
// control group where that is narrower; what programs wait for (PSI); and this process's own memory and descriptors.
package pressure
