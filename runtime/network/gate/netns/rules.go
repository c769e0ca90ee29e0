package netns

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// explained is the routing table, and the place among the rules, of what is refused in
// words; see HTTPPort. Without the rule, or the route that it leads to, the route of all
// else forbids it.
const explained = 780

// routingRules are all rules that there are, with the kernel's own: who changed one of
// those leads all packets elsewhere. See ip-rule(8) and fib_default_rules_init in
// net/ipv4/fib_rules.c; those of multicast routing lead nowhere.
func routingRules() []*netlink.Rule {
	own := func(family, priority, table int) *netlink.Rule {
		r := netlink.NewRule()
		r.Family, r.Priority, r.Table = family, priority, table
		return r
	}
	e := own(unix.AF_INET, explained, explained)
	e.Dst = ipNet(Refused.String())
	e.IPProto, e.Dport = unix.IPPROTO_TCP, netlink.NewRulePortRange(HTTPPort, HTTPPort)
	all := []*netlink.Rule{
		own(unix.AF_INET, 0, unix.RT_TABLE_LOCAL), e,
		own(unix.AF_INET, 32766, unix.RT_TABLE_MAIN), own(unix.AF_INET, 32767, unix.RT_TABLE_DEFAULT),
	}
	if HasIPv6() {
		all = append(all, own(unix.AF_INET6, 0, unix.RT_TABLE_LOCAL), own(unix.AF_INET6, 32766, unix.RT_TABLE_MAIN))
	}
	return all
}

// rulePasses is how often plumbRules looks: the kernel removes the first rule that fits
// what is said of one, and that may be another.
const rulePasses = 3

func plumbRules(h *netlink.Handle) error {
	for range rulePasses {
		there, err := listRules(h)
		if err != nil {
			return err
		}
		missing, strange := sortRules(there)
		if len(missing)+len(strange) == 0 {
			return nil
		}
		for _, r := range strange {
			if err := h.RuleDel(r); err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("remove routing rule %s: %w", ruleText(r), err)
			}
		}
		for _, r := range missing {
			if err := h.RuleAdd(r); err != nil && !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("add routing rule %s: %w", ruleText(r), err)
			}
		}
	}
	return errors.New("the routing rules are not what they were set to: somebody else changes them")
}

// sortRules tells which rules are missing, and which should not be there.
func sortRules(there []netlink.Rule) (missing, strange []*netlink.Rule) {
	missing = routingRules()
	for i := range there {
		n := len(missing)
		missing = slices.DeleteFunc(missing, func(r *netlink.Rule) bool { return ruleText(r) == ruleText(&there[i]) })
		if len(missing) == n { // or a second one of it
			strange = append(strange, &there[i])
		}
	}
	return missing, strange
}

func inspectRules(h *netlink.Handle, _ netlink.Link) ([]string, error) {
	there, err := listRules(h)
	if err != nil {
		return nil, err
	}
	var wrong []string
	missing, strange := sortRules(there)
	for _, r := range missing {
		wrong = append(wrong, "routing rule "+ruleText(r)+" is missing")
	}
	for _, r := range strange {
		wrong = append(wrong, "unexpected routing rule "+ruleText(r))
	}
	return wrong, nil
}

// listRules lists the routing rules of the thread's namespace, which is that of h.
func listRules(h *netlink.Handle) ([]netlink.Rule, error) {
	families := []int{unix.AF_INET}
	if HasIPv6() {
		families = append(families, unix.AF_INET6)
	}
	var all []netlink.Rule
	for _, family := range families {
		rs, err := h.RuleList(family)
		if err != nil {
			return nil, fmt.Errorf("list routing rules: %w", err)
		}
		does, err := ruleActions(family)
		if err != nil {
			return nil, fmt.Errorf("list routing rules: %w", err)
		}
		if len(does) != len(rs) {
			return nil, errors.New("list routing rules: they changed in between")
		}
		for i := range rs {
			rs[i].Type = does[i]
		}
		all = append(all, rs...)
	}
	return all, nil
}

// ruleActions are what the rules do, which RuleList leaves out: FR_ACT_* of
// linux/fib_rules.h, in the order of the rules.
func ruleActions(family int) ([]uint8, error) {
	q := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
	q.AddData(nl.NewIfInfomsg(family))
	ms, err := q.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWRULE)
	if err != nil {
		return nil, err
	}
	var all []uint8
	for _, m := range ms {
		all = append(all, nl.DeserializeRtMsg(m).Type)
	}
	return all, nil
}

// actions are what a rule can do beside leading to its table.
var actions = map[uint8]string{
	nl.FR_ACT_GOTO: "goto", nl.FR_ACT_NOP: "nop", nl.FR_ACT_BLACKHOLE: "blackhole",
	nl.FR_ACT_UNREACHABLE: "unreachable", nl.FR_ACT_PROHIBIT: "prohibit",
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
	if r.Mask != nil {
		s += fmt.Sprintf(" mark %d/%#x", r.Mark, *r.Mask)
	}
	add(r.Tos != 0, " tos %d", r.Tos)
	add(r.TunID != 0, " tunnel %d", r.TunID)
	add(r.IifName != "", " iif %s", r.IifName)
	add(r.OifName != "", " oif %s", r.OifName)
	add(r.UIDRange != nil, " uids %v", r.UIDRange)
	add(r.SuppressIfgroup >= 0, " suppress group %d", r.SuppressIfgroup)
	add(r.SuppressPrefixlen >= 0, " suppress prefix %d", r.SuppressPrefixlen)
	add(r.Goto >= 0, " goto %d", r.Goto)
	add(r.Family != unix.AF_INET, " family %d", r.Family)
	add(r.Flow >= 0, " realms %d", r.Flow)
	s += fmt.Sprintf(" table %d", r.Table)
	if r.Type == unix.RTN_UNSPEC || r.Type == nl.FR_ACT_TO_TBL {
		return s
	}
	return s + " " + cmp.Or(actions[r.Type], fmt.Sprintf("action %d", r.Type))
}
