// Command demo plays the first ten minutes with Blast on an example project, in
// a lab of its own: a package index on loopback with real third-party projects,
// and a small internet with a name server and a web server. It uses the real
// programs, checks what they say, and ends with a search for leftovers.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"blast.example/blast/testfixtures/netlab"
	"blast.example/blast/testfixtures/pypi"
	"blast.example/blast/testfixtures/wheelhouse"
)

// seeds are the Debian packages of the example's requirements: the wheelhouse
// adds what they need. yaml and markupsafe have C extensions.
var seeds = []string{"python3-flask", "python3-requests", "python3-yaml"}

func main() {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "demo: needs root, as blast does")
		os.Exit(77)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	wheels, err := fetch(ctx) // while the machine's own network is there
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	os.Exit(netlab.Main(func() int {
		if err := play(ctx, wheels); err != nil {
			fmt.Fprintln(os.Stderr, "\ndemo: FAILED:", err)
			return 1
		}
		return 0
	}))
}

// fetch makes the wheels, once per machine.
func fetch(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "blast-demo", "wheels")
	return dir, wheelhouse.Build(ctx, seeds, dir, func(what string) { fmt.Fprintln(os.Stderr, "wheelhouse:", what) })
}

func play(ctx context.Context, wheels string) error {
	start := time.Now()
	lab, err := netlab.New()
	if err != nil {
		return fmt.Errorf("make the lab: %w", err)
	}
	defer lab.Close()
	names, err := lab.ServeNames("9.9.9.9:53")
	if err != nil {
		return err
	}
	names.Set("api.shop.example", "93.184.215.14")
	if _, err := lab.ServeTLS("93.184.215.14:443", "api.shop.example"); err != nil {
		return err
	}
	index, err := pypi.Open(wheels)
	if err != nil {
		return err
	}
	server, err := pypi.Start("127.0.0.1:0", index)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	s, err := newStage(ctx, lab.Authority.PEM)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.tutorial(server.URL); err != nil {
		s.destroy() // nothing of the demo stays, whatever went wrong
		return err
	}
	fmt.Printf("\nThe demo took %.0f s.\n", time.Since(start).Seconds())
	return nil
}
