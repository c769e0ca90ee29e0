package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"blast.example/blast/testfixtures/netlab"
)

func nameServer(t *testing.T, at string) *netlab.NameServer {
	t.Helper()
	lab, err := netlab.Local()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lab.Close)
	n, err := lab.ServeNames(at)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func lookup(t *testing.T, r *Resolver, name string) ([]string, error) {
	t.Helper()
	addrs, err := r.Lookup(context.Background(), name)
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return all, err
}

func TestLookup(t *testing.T) {
	n := nameServer(t, "127.53.0.1:5301")
	n.Set("one.example", "93.184.215.14")
	n.Set("both.example", "2606:2800::1", "93.184.215.14", "93.184.215.15")
	n.Set("mapped.example", "::ffff:127.0.0.1")
	n.Set("empty.example")
	n.Alias("alias.example", "one.example")
	r := NewResolver([]string{n.Addr})
	for name, want := range map[string]string{
		"one.example": "93.184.215.14", "both.example": "93.184.215.14 93.184.215.15 2606:2800::1",
		"alias.example": "93.184.215.14", "mapped.example": "::ffff:127.0.0.1",
	} {
		if got, err := lookup(t, r, name); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"absent.example", "empty.example"} {
		if got, err := lookup(t, r, name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestLookupIsRemembered(t *testing.T) {
	n := nameServer(t, "127.53.0.2:5301")
	n.Set("one.example", "93.184.215.14")
	r := NewResolver([]string{n.Addr})
	for range 3 {
		if _, err := lookup(t, r, "one.example"); err != nil {
			t.Fatal(err)
		}
	}
	if asked := n.Asked(); len(asked) != 2 || !slices.Contains(asked, "one.example. A") || !slices.Contains(asked, "one.example. AAAA") {
		t.Errorf("asked %q", asked)
	}
}

func TestTruncatedComesOverTCP(t *testing.T) {
	n := nameServer(t, "127.53.0.3:5301")
	n.Set("one.example", "93.184.215.14")
	n.CutShort()
	if got, err := lookup(t, NewResolver([]string{n.Addr}), "one.example"); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestNextServerIsAsked(t *testing.T) {
	n := nameServer(t, "127.53.0.4:5301")
	n.Set("one.example", "93.184.215.14")
	start := time.Now()
	got, err := lookup(t, NewResolver([]string{"127.53.0.5:5301", n.Addr}), "one.example") // nobody is at the first
	if err != nil || len(got) != 1 || time.Since(start) > 2*queryTimeout {
		t.Errorf("%v, %v after %v", got, err, time.Since(start))
	}
}

func TestNobodyAnswers(t *testing.T) {
	_, err := lookup(t, NewResolver([]string{"127.53.0.5:5301"}), "one.example")
	if err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "127.53.0.5:5301") {
		t.Errorf("%v: want the server's failure, not a missing name", err)
	}
}

// TestReadAnswerTakesNoStrangers: records about other names are no answer, and
// a loop of aliases ends.
func TestReadAnswerTakesNoStrangers(t *testing.T) {
	q := new(dns.Msg).SetQuestion("one.example.", dns.TypeA)
	for what, rrs := range map[string][]string{
		"another name":    {"two.example. 60 IN A 93.184.215.14"},
		"an alias loop":   {"one.example. 60 IN CNAME two.example.", "two.example. 60 IN CNAME one.example."},
		"behind an alias": {"one.example. 60 IN CNAME two.example.", "three.example. 60 IN A 93.184.215.14"},
		"beside an alias": {"one.example. 60 IN CNAME two.example.", "one.example. 60 IN A 93.184.215.14"},
		"another type":    {"one.example. 60 IN AAAA 2606:2800::1"},
		"another class":   {"one.example. 60 CH A 93.184.215.14"},
		"a long chain":    chain(maxAliases + 1),
	} {
		in := new(dns.Msg).SetReply(q)
		for _, s := range rrs {
			rr, err := dns.NewRR(s)
			if err != nil {
				t.Fatal(err)
			}
			in.Answer = append(in.Answer, rr)
		}
		if addrs, _, err := readAnswer(q, in); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, %v", what, addrs, err)
		}
	}
	other := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("two.example.", dns.TypeA))
	if _, _, err := readAnswer(q, other); err == nil {
		t.Error("the answer to another question is taken")
	}
}

// chain is an alias of an alias, and so on, of an address.
func chain(n int) []string {
	all := []string{"one.example. 60 IN CNAME a1.example."}
	for i := 1; i < n; i++ {
		all = append(all, fmt.Sprintf("a%d.example. 60 IN CNAME a%d.example.", i, i+1))
	}
	return append(all, fmt.Sprintf("a%d.example. 60 IN A 93.184.215.14", n))
}

func TestAliasesAreFollowed(t *testing.T) {
	q := new(dns.Msg).SetQuestion("one.example.", dns.TypeA)
	in := new(dns.Msg).SetReply(q)
	for _, s := range chain(maxAliases) {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		in.Answer = append(in.Answer, rr)
	}
	if addrs, _, err := readAnswer(q, in); err != nil || len(addrs) != 1 {
		t.Errorf("%v, %v", addrs, err)
	}
}

func TestOwnAddrs(t *testing.T) {
	own, err := OwnAddrs()
	if err != nil || !slices.Contains(own, netip.MustParsePrefix("127.0.0.1/8")) {
		t.Errorf("%v, %v", own, err)
	}
}

// Who waits for a name that is asked for takes no socket for that, and doesn't depend on
// whoever asked first.
func TestOneLookupServesAll(t *testing.T) {
	n := nameServer(t, "127.53.0.9:5301")
	n.Set("one.example", "93.184.215.14")
	r := NewResolver([]string{n.Addr})
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	n.Hook(func(*dns.Msg, dns.Question) bool { asked <- struct{}{}; <-answer; return false })
	first, cancel := context.WithCancel(context.Background())
	out := make(chan error)
	go func() { _, err := r.Lookup(first, "one.example"); out <- err }()
	<-asked
	cancel()
	if err := <-out; !errors.Is(err, context.Canceled) {
		t.Errorf("the first, who went: %v", err)
	}
	for range 20 {
		go func() {
			got, err := lookup(t, r, "one.example")
			if err == nil && !slices.Equal(got, []string{"93.184.215.14"}) {
				err = errors.New(strings.Join(got, " "))
			}
			out <- err
		}()
	}
	close(answer)
	for range 20 {
		if err := <-out; err != nil {
			t.Error(err)
		}
	}
	if got := n.Asked(); len(got) != 2 {
		t.Errorf("asked %v, want each type once", got)
	}
}
