package clients

import (
	"os/exec"
	"slices"
)

// A client is a program that people use, in a script that speaks of what it did.
type client struct {
	name    string   // as in docs/CLIENTS.md
	script  []string // takes verbs: all, get, idle, hold
	needs   []string // commands
	modules []string // of Debian's Python
	tasks   []string // what it says "ok" to
	http    bool     // it takes the addresses of web servers
	idles   bool     // it can be silent for a while
	hold    string   // what holds a connection to a host whose rule goes
	allowed string   // what it gets from a host that a rule names
	refused string   // what it says of a host that no rule names
	cut     string   // a pattern of what it says when the rule goes
}

// tasks of a client of HTTP, over HTTPS and without TLS.
func web(more ...string) []string {
	all := []string{"https", "http", "both", "six"}
	for _, task := range append([]string{"redirect", "down", "up", "chunks", "gzip", "query", "fifty"}, more...) {
		all = append(all, task, "http-"+task)
	}
	return all
}

func python(name, refused, cut string, idles bool, modules []string, tasks []string) client {
	return client{name: name, script: []string{"/usr/bin/python3", "/workspace/" + name + "_client.py"}, needs: []string{"/usr/bin/python3"}, modules: modules,
		tasks: tasks, http: true, idles: idles, hold: "https://" + cutName + "/" + name + "/endless", allowed: page, refused: refused, cut: cut}
}

func shell(name, allowed, refused, cut, hold string, idles bool, needs, tasks []string) client {
	return client{name: name, script: []string{"sh", "/workspace/" + name + ".sh"}, needs: needs, tasks: tasks, http: name == "curl", idles: idles, hold: hold, allowed: allowed, refused: refused, cut: cut}
}

// page is what clients of HTTP get.
const page = "https://" + otherName + "/hello"

// clients are all that are tried.
func clients() []client {
	return []client{
		shell("curl", page, "Failed to connect", "reset by peer", "https://"+cutName+"/curl/endless", false, []string{"curl"}, append(web("expect", "chunked", "events"), "http2", "http-http2", "http-old")),
		python("urllib", "Permission denied", "IncompleteRead|reset", true, nil, web()),
		python("requests", "Permission denied", "Connection broken", true, []string{"requests"}, web()),
		python("httpx", "Permission denied", "incomplete chunked read|reset", true, []string{"httpx", "h2"}, web("http2", "events")),
		python("aiohttp", "Permission denied", "payload is not completed|reset", true, []string{"aiohttp"}, web("websocket", "events")),
		{name: "fetch", script: []string{"node", "/workspace/fetch.mjs"}, needs: []string{"node"}, tasks: append(web("events"), "http2"), http: true, idles: true,
			hold: "https://" + cutName + "/fetch/endless", allowed: page, refused: "EACCES", cut: "ECONNRESET"},
		{name: "HttpClient", script: []string{"java", "/workspace/Client.java"}, needs: []string{"java", "javac"}, tasks: append(web("events"), "http2", "http-http2"), http: true, idles: true,
			hold: "https://" + cutName + "/java/endless", allowed: page, refused: "Permission denied", cut: "[Cc]onnection reset"},
		{name: "net/http", script: []string{"/workspace/goclient"}, tasks: append(web("events", "expect"), "http2"), http: true, idles: true,
			hold: "https://" + cutName + "/go/endless", allowed: page, refused: "permission denied", cut: "reset by peer"},
		shell("git", "https://git.example", "Failed to connect", "reset by peer", "https://"+cutName+"/git/endless.git", false, []string{"git"}, []string{"clone", "push", "fetch"}),
		shell("pip", "https://pypi.example", "Permission denied", "Connection broken|reset", "https://"+cutName+"/pip/endless", false, []string{"/usr/bin/pip3"}, []string{"installed"}),
		shell("psql", "https://db.example", "Permission denied", "closed the connection unexpectedly|connection to server was lost|reset by peer", "cut-db.example", true, []string{"psql", postgres, initdb}, []string{"db.example", "down db.example", "fifty db.example", "checked-db.example", "down checked-db.example", "fifty checked-db.example"}),
		shell("ssh", "https://ssh.example", "Permission denied", "Broken pipe|reset by peer|closed by remote", "cut-ssh.example", true, []string{"ssh", sshd}, []string{"ssh.example", "scp ssh.example", "checked-ssh.example", "scp checked-ssh.example"}),
	}
}

// missing says what of a client isn't installed; "" is nothing.
func (c client) missing() string {
	for _, need := range c.needs {
		if _, err := exec.LookPath(need); err != nil {
			return need
		}
	}
	for _, m := range c.modules {
		if exec.Command("/usr/bin/python3", "-c", "import "+m).Run() != nil {
			return "python3-" + m
		}
	}
	return ""
}

func there(name string) bool {
	all := clients()
	i := slices.IndexFunc(all, func(c client) bool { return c.name == name })
	return all[i].missing() == ""
}
