package probe

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/hostinfo"
	"blast.example/blast/runtime/hostinfo/thread"
)

// firewall tries each feature of nftables that the network kind uses, one
// transaction after the other, in a network namespace that ends with its thread.
func firewall(context.Context) hostinfo.Firewall {
	var w hostinfo.Firewall
	err := thread.Run(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		ns, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer func() { _ = ns.Close() }()
		return try(&w, int(ns.Fd()))
	})
	if err != nil {
		w.Table = hostinfo.Try(err)
	}
	return w
}

// trial is a namespace's ruleset to try features in.
type trial struct {
	conn   *nftables.Conn
	table  *nftables.Table
	filter *nftables.Chain
}

// try fills w. An error means that there is not even a table.
func try(w *hostinfo.Firewall, ns int) error {
	conn, err := nftables.New(nftables.WithNetNSFd(ns), nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer func() { _ = conn.CloseLasting() }()
	t := trial{conn: conn}
	t.table = conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "blast-doctor"})
	drop := nftables.ChainPolicyDrop
	t.filter = conn.AddChain(&nftables.Chain{
		Name: "out", Table: t.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter, Policy: &drop,
	})
	if err := conn.Flush(); err != nil {
		return err
	}
	w.Table = hostinfo.Outcome{State: hostinfo.Works}
	w.Redirect = hostinfo.Try(t.tryRedirect())
	w.Set = hostinfo.Try(t.trySet())
	w.Log = hostinfo.Try(t.tryRule(&expr.Log{
		Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX,
		Group: 1, Data: []byte("blast"),
	}))
	w.Reject = hostinfo.Try(t.tryRule(
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}))
	w.Limit = hostinfo.Try(t.tryRule(&expr.Limit{Type: expr.LimitTypePkts, Rate: 20, Unit: expr.LimitTimeSecond, Burst: 5, Over: true}))
	return nil
}

func (t *trial) tryRule(exprs ...expr.Any) error {
	t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: t.filter, Exprs: exprs})
	return t.conn.Flush()
}

func (t *trial) tryRedirect() error {
	nat := t.conn.AddChain(&nftables.Chain{
		Name: "nat", Table: t.table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	t.conn.AddRule(&nftables.Rule{Table: t.table, Chain: nat, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Immediate{Register: 1, Data: []byte{0x3a, 0x99}}, // port 15001
		&expr.Redir{RegisterProtoMin: 1, RegisterProtoMax: 1},
	}})
	return t.conn.Flush()
}

func (t *trial) trySet() error {
	key, err := nftables.ConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
	if err != nil {
		return err
	}
	set := &nftables.Set{Table: t.table, Name: "peers", KeyType: key, Concatenation: true, HasTimeout: true}
	err = t.conn.AddSet(set, []nftables.SetElement{{
		Key:     []byte{192, 0, 2, 1, 0x01, 0xbb, 0, 0}, // 192.0.2.1 . 443, each padded to 4
		Timeout: time.Minute,
	}})
	if err != nil {
		return err
	}
	return t.conn.Flush()
}
