// Package gauges tells what the database knows of projecting as a whole, as metrics:
// problems on record, partitions that nobody projects, erasures that are not finished,
// and a generation that nobody builds any more.
//
// The projector and the API expose the same ones by it, so that they are there when no
// projector runs. It costs one statement every five seconds, which the API's role may
// send as well, and which works on a standby and through a pooler of transactions. While
// the database cannot be read the metrics are absent, and never those of before.
package gauges
