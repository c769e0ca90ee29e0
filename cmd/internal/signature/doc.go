// Package signature signs bytes and checks signatures in the format of
// `ssh-keygen -Y` (PROTOCOL.sshsig of OpenSSH), so that the keys and the lists of
// signers that people have for git serve for plans, too.
//
//	-----BEGIN SSH SIGNATURE-----
//	base64( "SSHSIG" 1 key namespace reserved hash signature )
//	-----END SSH SIGNATURE-----        │              │
//	                                   ▼              ▼
//	     signature of "SSHSIG" namespace reserved hash H(message)
//
// It refuses more than ssh-keygen does: text before or after the signature, what
// the format reserves, RSA keys of less than 2048 bits, certificates, and a list of
// signers with a line that it can't read or that others could have written.
package signature

import (
	"context"
	"crypto/rsa"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Namespace is what a signature of a plan is for (ssh-keygen -n). One made for
// another purpose, like a commit, is none.
const Namespace = "blast-plan"

// A Signer signs with one private key, which this process or an ssh-agent has.
type Signer struct {
	public ssh.PublicKey
	sign   func(ctx context.Context, data []byte, algorithm string) (*ssh.Signature, error)
}

// Fingerprint names the key, as ssh-keygen -l does.
func (s *Signer) Fingerprint() string { return ssh.FingerprintSHA256(s.public) }

// algorithms are the signatures that a key of each type may make, the one to ask for
// first. SHA-1 is not among those of RSA, and DSA is not there at all.
var algorithms = map[string][]string{
	ssh.KeyAlgoED25519:    {ssh.KeyAlgoED25519},
	ssh.KeyAlgoECDSA256:   {ssh.KeyAlgoECDSA256},
	ssh.KeyAlgoECDSA384:   {ssh.KeyAlgoECDSA384},
	ssh.KeyAlgoECDSA521:   {ssh.KeyAlgoECDSA521},
	ssh.KeyAlgoRSA:        {ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
	ssh.KeyAlgoSKED25519:  {ssh.KeyAlgoSKED25519},
	ssh.KeyAlgoSKECDSA256: {ssh.KeyAlgoSKECDSA256},
}

const minRSA = 2048 // bits, as RFC 8332 and OpenSSH's RequiredRSASize advise

// checkKey refuses keys whose signatures prove nothing.
func checkKey(k ssh.PublicKey) error {
	if algorithms[k.Type()] == nil {
		return fmt.Errorf("keys of type %q are not accepted: use ssh-ed25519", k.Type())
	}
	c, ok := k.(ssh.CryptoPublicKey)
	if !ok {
		return nil // a security key
	}
	if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < minRSA {
		return fmt.Errorf("an RSA key of %d bits is too weak: it takes %d, or a key of type ssh-ed25519", r.N.BitLen(), minRSA)
	}
	return nil
}

// checkAlgorithm refuses a signature made in another way than its key's type allows.
func checkAlgorithm(k ssh.PublicKey, sig *ssh.Signature) error {
	if !slices.Contains(algorithms[k.Type()], sig.Format) {
		return fmt.Errorf("a signature %q by a key of type %q is not accepted", sig.Format, k.Type())
	}
	return nil
}
