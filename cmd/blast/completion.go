package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script that completes verbs, flags and file names. It is made of
// the parser's own model, so it knows what the parser knows.
func (cmd *completionCmd) Run(u *ui, k *kong.Kong) error {
	verbs := shown(k.Model.Node)
	if cmd.Shell == "fish" {
		return printAll(u.out, []byte(fishCompletion(k.Model.Flags, verbs)))
	}
	text := bashCompletion(k.Model.Flags, verbs)
	if cmd.Shell == "zsh" { // which can read bash's
		text = "#compdef blast\nautoload -U +X bashcompinit && bashcompinit\n" + text
	}
	return printAll(u.out, []byte(text))
}

// shown are the commands below a node that help lists.
func shown(n *kong.Node) []*kong.Node {
	return slices.DeleteFunc(slices.Clone(n.Children), func(c *kong.Node) bool { return c.Hidden || c.Type != kong.CommandNode })
}

// flagsOf are those of a verb, or of the one that it stands for alone.
func flagsOf(v *kong.Node) []*kong.Flag {
	if v.DefaultCmd != nil {
		return slices.Concat(v.Flags, v.DefaultCmd.Flags)
	}
	return v.Flags
}

func nodeNames(verbs []*kong.Node) []string {
	names := make([]string, 0, len(verbs))
	for _, v := range verbs {
		names = append(names, v.Name)
	}
	return names
}

// bashCompletion looks for the first word that is no flag: the verb, and for the
// second where a verb has verbs of its own. What follows -- is another program's.
func bashCompletion(global []*kong.Flag, verbs []*kong.Node) string {
	var find, offer strings.Builder
	fmt.Fprintf(&find, "    \"\") case $word in %s) verb=$word ;; esac ;;\n", strings.Join(nodeNames(verbs), "|"))
	for _, v := range verbs {
		inner := shown(v)
		if len(inner) == 0 {
			fmt.Fprintf(&offer, "  %s) flags='%s' ;;\n", v.Name, strings.Join(flagNames(v.Flags), " "))
			continue
		}
		fmt.Fprintf(&find, "    %s) case $word in %s) verb+=\" $word\" ;; esac ;;\n", v.Name, strings.Join(nodeNames(inner), "|"))
		fmt.Fprintf(&offer, "  %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", v.Name, strings.Join(append(nodeNames(inner), flagNames(flagsOf(v))...), " "))
		for _, i := range inner {
			fmt.Fprintf(&offer, "  '%s %s') flags='%s' ;;\n", v.Name, i.Name, strings.Join(flagNames(i.Flags), " "))
		}
	}
	return fmt.Sprintf(`# bash completion for blast: source <(blast completion bash)
_blast() {
  local cur=${COMP_WORDS[COMP_CWORD]} verb= word i flags=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == -- ]]; then
      COMPREPLY=($(compgen -c -- "$cur") $(compgen -f -- "$cur"))
      return
    fi
    case $verb in
%s    esac
  done
  case $verb in
  "") COMPREPLY=($(compgen -W '%s %s' -- "$cur")); return ;;
%s  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags %s" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _blast blast
`, find.String(), strings.Join(nodeNames(verbs), " "), strings.Join(flagNames(global), " "), offer.String(), strings.Join(flagNames(global), " "))
}

func flagNames(flags []*kong.Flag) []string {
	var out []string
	for _, f := range flags {
		if !f.Hidden {
			out = append(out, "--"+f.Name)
		}
	}
	return out
}

func fishCompletion(global []*kong.Flag, verbs []*kong.Node) string {
	var b strings.Builder
	b.WriteString("# fish completion for blast: blast completion fish | source\n")
	flag := func(when string, f *kong.Flag) {
		if f.Hidden {
			return
		}
		fmt.Fprintf(&b, "complete -c blast%s -l %s", when, f.Name)
		if f.Short != 0 {
			fmt.Fprintf(&b, " -s %c", f.Short)
		}
		if !f.IsBool() {
			b.WriteString(" -r")
		}
		fmt.Fprintf(&b, " -d %s\n", fishQuote(f.Help))
	}
	for _, f := range global {
		flag("", f)
	}
	for _, v := range verbs {
		fmt.Fprintf(&b, "complete -c blast -n __fish_use_subcommand -f -a %s -d %s\n", v.Name, fishQuote(v.Help))
		seen := "__fish_seen_subcommand_from " + v.Name
		for _, f := range flagsOf(v) {
			flag(" -n "+fishQuote(seen), f)
		}
		inner := shown(v)
		for _, i := range inner {
			none := seen + "; and not __fish_seen_subcommand_from " + strings.Join(nodeNames(inner), " ")
			fmt.Fprintf(&b, "complete -c blast -n %s -f -a %s -d %s\n", fishQuote(none), i.Name, fishQuote(i.Help))
			for _, f := range i.Flags {
				flag(" -n "+fishQuote(seen+"; and __fish_seen_subcommand_from "+i.Name), f)
			}
		}
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
