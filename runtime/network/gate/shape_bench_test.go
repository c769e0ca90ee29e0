package gate

import (
	"io"
	"testing"
	"time"
)

// BenchmarkShaping measures a limit over five seconds in each direction: bit/s of
// payload at the receiver, off by so many percent, and the longest time without a
// byte. Run it with -benchtime 1x, on a machine that does nothing else.
func BenchmarkShaping(b *testing.B) {
	s := up(b)
	for name, rate := range map[string]int64{"10mbit": 10 * mbit, "100mbit": 100 * mbit} {
		p := policyOf(bulkRule())
		p.Limits = bandwidth(rate, rate)
		s.policy(p)
		for _, way := range []string{"egress", "ingress"} {
			b.Run(name+"/"+way, func(b *testing.B) {
				for b.Loop() {
					got, widest := shaped(b, s, way)
					b.ReportMetric(got/mbit, "mbit/s")
					b.ReportMetric((got/float64(rate)-1)*100, "%off")
					b.ReportMetric(float64(widest.Microseconds())/1000, "ms-widest-gap")
				}
			})
		}
	}
}

// shaped is bit/s and the widest gap, behind a second in which buffers fill.
func shaped(b *testing.B, s *sandbox, way string) (float64, time.Duration) {
	c := s.mustDial(web + ":9")
	defer func() { _ = c.Close() }()
	const settle, span = time.Second, 5 * time.Second
	buf := make([]byte, 64<<10)
	if way == "egress" {
		_, _ = io.WriteString(c, "r")
		_ = c.SetDeadline(time.Now().Add(settle + span + time.Second))
		go func() {
			for {
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		}()
		<-time.After(settle)
		internet.bulk.Widest()
		start, before := time.Now(), internet.bulk.Received()
		<-time.After(span)
		return float64(internet.bulk.Received()-before) * 8 / time.Since(start).Seconds(), internet.bulk.Widest()
	}
	_, _ = io.WriteString(c, "s")
	begin, bytes, widest := time.Now().Add(settle), 0, time.Duration(0)
	for last := begin; time.Since(begin) < span; {
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		if now := time.Now(); now.After(begin) {
			bytes, widest, last = bytes+n, max(widest, now.Sub(last)), now
		}
	}
	return float64(bytes) * 8 / time.Since(begin).Seconds(), widest
}
