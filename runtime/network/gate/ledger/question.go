package ledger

import (
	"time"

	"blast.example/blast/runtime/network/gate/who"
	"blast.example/blast/runtime/network/traffic"
)

// asked is what makes two questions the same to a person.
type asked struct{ host, record string }

// Question notes one that a rule allowed, and who asked it, unless it was asked
// just now or there are too many. It comes before the answer: who has that closes
// the socket.
func (l *Ledger) Question(q traffic.Question, s who.Socket) {
	if l == nil {
		return
	}
	q.Type, q.Time = traffic.TypeQuestion, time.Now()
	if !l.asks(&q) {
		return
	}
	q.Process = l.process(s, q.Host)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(q)
}

// asks counts a question and reports whether it is to be noted.
func (l *Ledger) asks(q *traffic.Question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(traffic.KeyOf(traffic.Out, q.Rule), traffic.Sum{Questions: 1})
	if l.closed || l.repeated(*q) {
		return false
	}
	if !l.questions.Allow() {
		l.missed.questions++
		return false
	}
	q.Missed, l.missed.questions = l.missed.questions, 0
	return true
}

// repeated remembers a question and reports whether it was asked already, by
// whomever. l.mu is held.
func (l *Ledger) repeated(q traffic.Question) bool {
	if len(l.recent) >= maxRecent {
		for k, t := range l.recent {
			if q.Time.Sub(t) >= sameFor {
				delete(l.recent, k)
			}
		}
		if len(l.recent) >= maxRecent {
			clear(l.recent)
		}
	}
	k := asked{q.Host, q.Record}
	t, ok := l.recent[k]
	if ok && q.Time.Sub(t) < sameFor {
		return true
	}
	l.recent[k] = q.Time
	return false
}
