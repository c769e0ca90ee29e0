package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script that completes verbs, flags and file names. It is made of
// the parser's own model, so it knows what the parser knows.
func (cmd *completionCmd) Run(u *ui, k *kong.Kong) error {
	verbs := k.Model.Leaves(true)
	if cmd.Shell == "fish" {
		return printAll(u.out, []byte(fishCompletion(k.Model.Flags, verbs)))
	}
	text := bashCompletion(k.Model.Flags, verbs)
	if cmd.Shell == "zsh" { // which can read bash's
		text = "#compdef blast\nautoload -U +X bashcompinit && bashcompinit\n" + text
	}
	return printAll(u.out, []byte(text))
}

// bashCompletion looks for the first word that is no flag: the verb. What
// follows -- is another program's.
func bashCompletion(global []*kong.Flag, verbs []*kong.Node) string {
	var b strings.Builder
	names := make([]string, 0, len(verbs))
	for _, v := range verbs {
		names = append(names, v.Name)
	}
	fmt.Fprintf(&b, `# bash completion for blast: source <(blast completion bash)
_blast() {
  local cur=${COMP_WORDS[COMP_CWORD]} verb= word i flags=
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
		fmt.Fprintf(&b, "  %s) flags='%s' ;;\n", v.Name, strings.Join(flagNames(v.Flags), " "))
	}
	fmt.Fprintf(&b, `  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags %s" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -- "$cur"))
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
		for _, f := range v.Flags {
			flag(fmt.Sprintf(" -n '__fish_seen_subcommand_from %s'", v.Name), f)
		}
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
