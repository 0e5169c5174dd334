// Package port finds ports for servers of tests, benchmarks and devstack.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Free is a port of the loopback that nobody listens on, below those that a
// system gives to outgoing connections: nobody else comes by it before the
// server that it is for, or while that is away to be started again, unless
// asking for a port of its own, too.
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
