package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// BenchmarkBounds makes cmd/api, with default settings, use as much memory as it may: as many
// connections as it accepts, idle or with an answer that the client does not read, of medium and of
// large documents, plain and compressed. It prints the most memory that was used, which
// API_MEMORY_LIMIT (256 MiB) bounds.
func BenchmarkBounds(b *testing.B) {
	const idle, stalled = 4000, 1000
	shapes := []*documentSize{{bytes: 10_000, accounts: 100}, {bytes: 300_000, accounts: 300}, {bytes: 38_000_000, accounts: 3}}
	r := newReport(b, "Memory of the API at most, limit 256 MiB")
	s := newSizesDatabase(b, shapes)
	for b.Loop() {
		p := startAPIAt(b, s.url)
		figure := func(what string) {
			m := p.memory(b)
			r.add(what+": most", "MiB", mebi(m.peak))
			r.add(what+": then", "MiB", mebi(m.now))
			p.resetPeak(b)
		}
		figure("at its start")
		hold := func(n int, sh *documentSize, all bool, headers ...string) (held []net.Conn, refused int) {
			for i := range n {
				c, err := net.Dial("tcp", p.HTTP)
				if err != nil {
					b.Fatal(err)
				}
				held = append(held, c)
				if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
					b.Fatal(err)
				}
				if _, err := io.WriteString(c, getExport(b, sh.ids[i%len(sh.ids)], headers...)); err != nil {
					b.Fatal(err)
				}
				if all {
					if err := readDocument(bufio.NewReaderSize(c, 512)); err != nil {
						b.Fatal(err)
					}
				}
			}
			if all {
				return held, 0
			}
			for _, c := range held {
				var status [len("HTTP/1.1 200")]byte
				if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, status[:]); err != nil {
					b.Fatal(err)
				}
				if string(status[:]) != "HTTP/1.1 200" {
					refused++
				}
			}
			return held, refused
		}
		release := func(held []net.Conn) {
			for _, c := range held {
				c.Close()
			}
		}
		held, _ := hold(idle, shapes[0], true)
		figure(fmt.Sprintf("%d idle connections", idle))
		release(held)
		for _, step := range []struct {
			what    string
			n       int
			of      *documentSize
			headers []string
		}{
			{"do not read 300 kB", stalled, shapes[1], nil},
			{"do not read 38 MB", 64, shapes[2], nil},
			{"do not read 38 MB of zstd", 64, shapes[2], []string{"Accept-Encoding: zstd"}},
		} {
			held, refused := hold(step.n, step.of, false, step.headers...)
			what := fmt.Sprintf("%d %s", step.n, step.what)
			figure(what)
			r.add(what+": refused", "", float64(refused))
			release(held)
		}
		p.stop(b)
	}
}
