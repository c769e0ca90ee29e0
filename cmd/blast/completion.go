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
	verbs := verbsOf(k)
	if cmd.Shell == "fish" {
		return printAll(u.out, []byte(fishCompletion(k.Model.Flags, verbs)))
	}
	text := bashCompletion(k.Model.Flags, verbs)
	if cmd.Shell == "zsh" { // which can read bash's
		text = "#compdef blast\nautoload -U +X bashcompinit && bashcompinit\n" + text
	}
	return printAll(u.out, []byte(text))
}

// verb is the first word that is no flag, with those that may follow it.
type verb struct {
	*kong.Node
	words []string // second ones, such as rm of snapshots
}

func verbsOf(k *kong.Kong) []verb {
	var out []verb
	for _, n := range k.Model.Children {
		if n.Hidden || n.Type != kong.CommandNode {
			continue
		}
		v := verb{Node: n}
		for _, c := range n.Children {
			if c.Type == kong.CommandNode && !c.Hidden {
				v.words = append(v.words, c.Name)
			}
		}
		out = append(out, v)
	}
	return out
}

// flags are the verb's own, and those of its second words.
func (v verb) flags() []*kong.Flag {
	all := slices.Clone(v.Flags)
	for _, c := range v.Children {
		for _, f := range c.Flags {
			if !slices.ContainsFunc(all, func(g *kong.Flag) bool { return g.Name == f.Name }) {
				all = append(all, f)
			}
		}
	}
	return all
}

// bashCompletion looks for the first word that is no flag: the verb. What
// follows -- is another program's.
func bashCompletion(global []*kong.Flag, verbs []verb) string {
	var b strings.Builder
	names := make([]string, 0, len(verbs))
	for _, v := range verbs {
		names = append(names, v.Name)
	}
	fmt.Fprintf(&b, `# bash completion for blast: source <(blast completion bash)
_blast() {
  local cur=${COMP_WORDS[COMP_CWORD]} verb= word i flags= words=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == -- ]]; then
      COMPREPLY=($(compgen -c -- "$cur") $(compgen -f -- "$cur"))
      return
    fi
    case $word in
    %s) [[ -n $verb ]] || verb=$word ;;
    esac
  done
  case $verb in
  "") COMPREPLY=($(compgen -W '%s %s' -- "$cur")); return ;;
`, strings.Join(names, "|"), strings.Join(names, " "), strings.Join(flagNames(global), " "))
	for _, v := range verbs {
		fmt.Fprintf(&b, "  %s) flags='%s' words='%s' ;;\n", v.Name, strings.Join(flagNames(v.flags()), " "), strings.Join(v.words, " "))
	}
	fmt.Fprintf(&b, `  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags %s" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _blast blast
`, strings.Join(flagNames(global), " "))
	return b.String()
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

func fishCompletion(global []*kong.Flag, verbs []verb) string {
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
		for _, w := range v.words {
			fmt.Fprintf(&b, "complete -c blast -n '__fish_seen_subcommand_from %s' -f -a %s\n", v.Name, w)
		}
		for _, f := range v.flags() {
			flag(fmt.Sprintf(" -n '__fish_seen_subcommand_from %s'", v.Name), f)
		}
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
