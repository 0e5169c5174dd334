// Package bench holds the measurements behind `make bench`. Each prints ratios
// taken in one run on one machine, next to the bare work that it is held
// against; absolute figures say little on machines that are shared.
package bench
