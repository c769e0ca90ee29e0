package flood

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"blast.example/blast/testfixtures/attack/probes"
)

// Neighbour serves what the other environment would like to reach, and for each line of in asks
// an allowed host as a program does, and says how that went: "ok", or what didn't.
func Neighbour(in io.Reader, out io.Writer) error {
	for _, at := range [][2]string{{"tcp", fmt.Sprintf("127.0.0.1:%d", probes.NeighbourInside)}, {"unix", "@" + probes.NeighbourUnix}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			return err
		}
		go serve(l)
	}
	if err := os.WriteFile("/tmp/attack-neighbour", []byte("secret"), 0o644); err != nil { //nolint:gosec // everybody may read it, who can see it
		return err
	}
	for s := bufio.NewScanner(in); s.Scan(); {
		start := time.Now()
		answer := "ok"
		if err := browse(); err != nil {
			answer = err.Error()
		}
		if _, err := fmt.Fprintf(out, "%s (%v)\n", answer, time.Since(start).Round(time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			buf := make([]byte, 4096)
			if n, err := c.Read(buf); err == nil {
				_, _ = c.Write(append([]byte(probes.NeighbourSays+" "), buf[:n]...))
			}
		}()
	}
}

// browse looks a name up anew and asks for a page by TLS.
func browse() error {
	known.Clear()
	c, err := opened("good.example", 443, "", false)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	t := tls.Client(c, &tls.Config{ServerName: "good.example", InsecureSkipVerify: true}) //nolint:gosec // whose it is matters not here
	if _, err := fmt.Fprint(t, "GET / HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.ReadAll(t)
	return err
}
