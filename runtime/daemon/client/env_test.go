package client

import (
	"slices"
	"testing"
)

// The daemon serves everybody: a secret of the shell that happened to start it
// stays with that.
func TestDaemonStartsWithoutTheCallersSecrets(t *testing.T) {
	got := daemonEnv([]string{"AWS_SECRET_ACCESS_KEY=x", "PATH=/home/me/bin", "HOME=/home/me", "LD_PRELOAD=/x.so", "BLAST_VAR_token=x", "BLAST_TOKEN=x", "XDG_CACHE_HOME=/c", "SSL_CERT_FILE=/ca.pem"})
	want := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "XDG_CACHE_HOME=/c", "SSL_CERT_FILE=/ca.pem"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
