package clients

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Programs of servers, as Debian has them.
const (
	postgres = "/usr/lib/postgresql/15/bin/postgres"
	initdb   = "/usr/lib/postgresql/15/bin/initdb"
	sshd     = "/usr/sbin/sshd"
)

const postgresConf = `listen_addresses = '%s,%s'
unix_socket_directories = ''
max_connections = 120
ssl = on
ssl_cert_file = 'cert.pem'
ssl_key_file = 'key.pem'
fsync = off
`

// hba wants TLS and a password; pg_hba.conf(5).
const hba = "hostssl all tester all scram-sha-256\n"

// postgres starts a database as its own user, on a folder that goes.
func (w *world) postgres() {
	u, err := user.Lookup("postgres")
	w.try(err)
	uid, err := strconv.Atoi(u.Uid)
	w.try(err)
	gid, err := strconv.Atoi(u.Gid)
	w.try(err)
	root := filepath.Join(w.dir, "postgres")
	data := filepath.Join(root, "data")
	password := filepath.Join(root, "password")
	w.try(os.Mkdir(root, 0o700), os.WriteFile(password, []byte("secret\n"), 0o600), os.Chown(root, uid, gid), os.Chown(password, uid, gid))
	as := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = root, []string{"LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return cmd
	}
	if out, err := as(initdb, "-D", data, "-U", "tester", "--no-sync", "-A", "scram-sha-256", "--pwfile", password).CombinedOutput(); err != nil {
		w.t.Fatalf("initdb: %v\n%s", err, out)
	}
	cert, key, err := w.lab.Authority.Issue("db.example", "checked-db.example", "cut-db.example")
	w.try(err)
	for name, content := range map[string][]byte{"cert.pem": cert, "key.pem": key, "pg_hba.conf": []byte(hba), "postgresql.conf": fmt.Appendf(nil, postgresConf, web4, web6)} {
		path := filepath.Join(data, name)
		w.try(os.WriteFile(path, content, 0o600), os.Chown(path, uid, gid))
	}
	w.serve(as(postgres, "-D", data), syscall.SIGQUIT, 5432)
}

const sshdConf = `ListenAddress %s
ListenAddress %s
HostKey %s
AuthorizedKeysFile %s
PidFile none
UsePAM no
StrictModes no
MaxStartups 100
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
`

func (w *world) sshd() {
	root, mine := filepath.Join(w.dir, "sshd"), filepath.Join(w.project, "ssh")
	w.try(os.Mkdir(root, 0o700), os.Mkdir(mine, 0o755), os.MkdirAll("/run/sshd", 0o755))
	for _, path := range []string{filepath.Join(root, "host"), filepath.Join(mine, "key")} {
		if out, err := exec.CommandContext(w.t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
			w.t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	host, err := os.ReadFile(filepath.Join(root, "host.pub"))
	conf := filepath.Join(root, "config")
	w.try(err, os.Chmod(filepath.Join(mine, "key"), 0o644), // it is a key of the test's own
		os.WriteFile(filepath.Join(mine, "known_hosts"), append([]byte("ssh.example,checked-ssh.example,cut-ssh.example "), host...), 0o644),
		os.WriteFile(conf, fmt.Appendf(nil, sshdConf, web4, web6, filepath.Join(root, "host"), filepath.Join(mine, "key.pub")), 0o600))
	w.serve(exec.Command(sshd, "-D", "-e", "-f", conf), syscall.SIGTERM, 22)
}

// serve starts a server on the internet, waits until it answers, and ends it with the test.
func (w *world) serve(cmd *exec.Cmd, end syscall.Signal, port int) {
	w.t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	w.try(w.lab.Start(cmd))
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(end)
		<-gone
	})
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort(web4, strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(until) {
			w.t.Fatalf("%s doesn't listen: %v\n%s", cmd.Path, err, said.String())
		}
	}
}
