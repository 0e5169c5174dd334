package tcpproxy

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo starts a server that sends back what it receives.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// roundTrip sends a few bytes and returns how long they took to come back.
func roundTrip(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// TestEveryByteArrivesInOrder: three megabytes arrive in order, with jitter that
// could change it, and one direction ends before the other.
func TestEveryByteArrivesInOrder(t *testing.T) {
	p := ForTest(t, echo(t))
	p.Set(Shape{Delay: time.Millisecond, Jitter: 4 * time.Millisecond})
	conn := dial(t, p)
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came back as they were sent: %v", len(got), len(sent), err)
	}
}

func TestDelayAndLimit(t *testing.T) {
	p := ForTest(t, echo(t))
	conn := dial(t, p)
	p.Set(Shape{Delay: 50 * time.Millisecond})
	if took := roundTrip(t, conn); took < 100*time.Millisecond {
		t.Errorf("there and back took %v, less than the delay both ways", took)
	}
	p.Set(Shape{BytesPerSecond: 200_000})
	began := time.Now()
	go func() { _, _ = conn.Write(make([]byte, 100_000)) }()
	if _, err := io.ReadFull(conn, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	// The last chunk is not waited for.
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("100,000 bytes took %v at 200,000 a second", took)
	}
}

// TestStallLosesNothing: during a stall there is silence and no error, and afterwards
// everything sent meanwhile arrives.
func TestStallLosesNothing(t *testing.T) {
	p := ForTest(t, echo(t))
	conn := dial(t, p)
	roundTrip(t, conn)
	p.Stall()
	if _, err := conn.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 4)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("stalled, %d bytes came: %v", n, err)
	}
	p.Resume()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "late" {
		t.Errorf("after the stall %q came: %v", got, err)
	}
}

// TestCutResets: both sides get an error at once, during a stall too, and new
// connections work.
func TestCutResets(t *testing.T) {
	p := ForTest(t, echo(t))
	for _, stalled := range []bool{false, true} {
		conn := dial(t, p)
		roundTrip(t, conn)
		if stalled {
			p.Stall()
		}
		if n := p.Cut(); n != 1 {
			t.Errorf("%d connections were cut", n)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("cut, reading gives %v", err)
		}
		p.Resume()
		roundTrip(t, dial(t, p))
		p.Cut()
	}
}

// TestLostConnectionsAreSilent: neither data nor the end of one side reaches the
// other, and new connections work.
func TestLostConnectionsAreSilent(t *testing.T) {
	p := ForTest(t, echo(t))
	conn := dial(t, p)
	roundTrip(t, conn)
	if n := p.Blackhole(); n != 1 {
		t.Errorf("%d connections were lost", n)
	}
	_, _ = conn.Write([]byte("lost"))
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 4)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("lost, %d bytes came: %v", n, err)
	}
	roundTrip(t, dial(t, p))
}
