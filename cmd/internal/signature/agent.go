package signature

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const (
	listTime  = 10 * time.Second
	touchTime = 2 * time.Minute // a person may have to confirm, or to touch a key
)

var errNoAgent = errors.New("it is a public key, and there is no ssh-agent that has the private one: SSH_AUTH_SOCK is not set " +
	"(sudo drops it; sudo --preserve-env=SSH_AUTH_SOCK doesn't)")

// ofAgent returns a signer for a key that the agent behind SSH_AUTH_SOCK has. No
// connection is held between two signatures.
func ofAgent(ctx context.Context, key ssh.PublicKey) (*Signer, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, errNoAgent
	}
	err := withAgent(ctx, socket, listTime, func(a agent.ExtendedAgent) error {
		keys, err := a.List()
		if err != nil {
			return err
		}
		for _, k := range keys {
			if bytes.Equal(k.Blob, key.Marshal()) {
				return nil
			}
		}
		return fmt.Errorf("it doesn't have key %s: `ssh-add` it", ssh.FingerprintSHA256(key))
	})
	if err != nil {
		return nil, err
	}
	return &Signer{key, func(ctx context.Context, data []byte, algorithm string) (sig *ssh.Signature, err error) {
		return sig, withAgent(ctx, socket, touchTime, func(a agent.ExtendedAgent) error {
			sig, err = a.SignWithFlags(key, data, flags[algorithm])
			return err
		})
	}}, nil
}

// flags ask an agent for another signature than the first of a key's type, which is
// SHA-1 for RSA (draft-miller-ssh-agent, 4.5.1).
var flags = map[string]agent.SignatureFlags{
	ssh.KeyAlgoRSASHA512: agent.SignatureFlagRsaSha512,
	ssh.KeyAlgoRSASHA256: agent.SignatureFlagRsaSha256,
}

// withAgent talks to the agent until do returns, the time is up or ctx ends.
func withAgent(ctx context.Context, socket string, limit time.Duration, do func(agent.ExtendedAgent) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("ask ssh-agent: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	err = do(agent.NewClient(conn))
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("ask ssh-agent: %w", err)
	}
	return nil
}
