package api

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// stopReading requests a document and stops reading after the status code.
func stopReading(t *testing.T, a *api, authorization string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", exportPath, authorization); err != nil {
		t.Fatal(err)
	}
	var status [len("HTTP/1.1 200")]byte
	if _, err := io.ReadFull(c, status[:]); err != nil || string(status[:]) != "HTTP/1.1 200" {
		t.Fatalf("answer: %s, %v", status[:], err)
	}
}
