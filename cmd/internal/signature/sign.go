package signature

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Sign returns the signature of message as `ssh-keygen -Y sign -n namespace` writes
// it. An agent may ask its person first; ctx ends the wait.
func Sign(ctx context.Context, s *Signer, namespace string, message []byte) ([]byte, error) {
	if namespace == "" {
		return nil, errors.New("sign: a signature without a namespace is one for everything")
	}
	const hash = "sha512"
	data, err := digest(namespace, hash, message)
	if err != nil {
		return nil, err
	}
	sig, err := s.sign(ctx, data, algorithms[s.public.Type()][0])
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.Fingerprint(), err)
	}
	// An old agent makes SHA-1 of what it doesn't understand.
	if err := checkSignature(s.public, data, sig); err != nil {
		return nil, fmt.Errorf("sign with %s: what came back is not right: %w", s.Fingerprint(), err)
	}
	return armor(envelope{preamble, version, s.public.Marshal(), namespace, "", hash, ssh.Marshal(sig)}), nil
}
