package port

import "net"

// Outward returns an address of this machine by which others would reach it, over IPv4;
// empty where it has none.
func Outward() (string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String(), nil
		}
	}
	return "", nil
}
