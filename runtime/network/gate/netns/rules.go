package netns

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// explained is the routing table, and the place among the rules, of what is refused in
// words; see HTTPPort. Without the rule, or the route that it leads to, the route of all
// else forbids it.
const explained = 780

// routingRules are all rules beside the kernel's own; see ip-rule(8).
func routingRules() []*netlink.Rule {
	r := netlink.NewRule()
	r.Family = unix.AF_INET
	r.Priority, r.Table = explained, explained
	r.Dst = ipNet(Refused.String())
	r.IPProto, r.Dport = unix.IPPROTO_TCP, netlink.NewRulePortRange(HTTPPort, HTTPPort)
	return []*netlink.Rule{r}
}

func plumbRules(h *netlink.Handle) error {
	there, err := listRules(h)
	if err != nil {
		return err
	}
	want := map[string]*netlink.Rule{}
	for _, r := range routingRules() {
		want[ruleText(r)] = r
	}
	for i := range there {
		text := ruleText(&there[i])
		if want[text] != nil {
			delete(want, text) // and a second one of it goes
			continue
		}
		if err := h.RuleDel(&there[i]); err != nil {
			return fmt.Errorf("remove routing rule %d: %w", there[i].Priority, err)
		}
	}
	for text, r := range want {
		if err := h.RuleAdd(r); err != nil {
			return fmt.Errorf("add routing rule %s: %w", text, err)
		}
	}
	return nil
}

func inspectRules(h *netlink.Handle, _ netlink.Link) ([]string, error) {
	there, err := listRules(h)
	if err != nil {
		return nil, err
	}
	var want, have []string
	for _, r := range routingRules() {
		want = append(want, ruleText(r))
	}
	for i := range there {
		have = append(have, ruleText(&there[i]))
	}
	return compare("routing rule", want, have), nil
}

// listRules lists the routing rules beside the kernel's own.
func listRules(h *netlink.Handle) ([]netlink.Rule, error) {
	rs, err := h.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list routing rules: %w", err)
	}
	return slices.DeleteFunc(rs, func(r netlink.Rule) bool {
		return r.Priority <= 0 || r.Priority == 32766 || r.Priority == 32767
	}), nil
}

// ruleText has all that a rule can say: one that says more is another one.
func ruleText(r *netlink.Rule) string {
	s := fmt.Sprintf("%d", r.Priority)
	add := func(is bool, format string, value any) {
		if is {
			s += fmt.Sprintf(format, value)
		}
	}
	add(r.Invert, " %s", "not")
	add(r.Src != nil, " from %s", r.Src)
	add(r.Dst != nil, " to %s", r.Dst)
	add(r.IPProto != 0, " proto %d", r.IPProto)
	add(r.Sport != nil, " sport %v", r.Sport)
	add(r.Dport != nil, " dport %v", r.Dport)
	add(r.Mark != 0, " mark %d", r.Mark)
	add(r.Tos != 0, " tos %d", r.Tos)
	add(r.TunID != 0, " tunnel %d", r.TunID)
	add(r.IifName != "", " iif %s", r.IifName)
	add(r.OifName != "", " oif %s", r.OifName)
	add(r.UIDRange != nil, " uids %v", r.UIDRange)
	add(r.SuppressIfgroup > 0, " suppress group %d", r.SuppressIfgroup)
	add(r.SuppressPrefixlen > 0, " suppress prefix %d", r.SuppressPrefixlen)
	add(r.Goto > 0, " goto %d", r.Goto)
	add(r.Family != unix.AF_INET, " family %d", r.Family)
	return s + fmt.Sprintf(" table %d", r.Table)
}
