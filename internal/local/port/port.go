// Package port finds ports, and an address, for the servers of tests, benchmarks and devstack.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Free returns a port on the loopback on which nobody listens, below the range that
// systems use for outgoing connections. So no other program takes it before the
// server starts, or while that is restarted, except another caller of Free.
func Free() (int, error) {
	const lowest, end = 10_000, 32_000
	var err error
	for range 100 {
		n := lowest + rand.IntN(end-lowest)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n))); err == nil {
			return n, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d: %w", lowest, end, err)
}
