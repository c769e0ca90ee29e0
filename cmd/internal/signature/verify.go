package signature

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// Verify returns the principals of the allowed signer who signed message for this
// namespace, as `ssh-keygen -Y verify` at the time now. Any doubt is an error that
// says what is wrong.
func Verify(armored, message []byte, namespace string, allowed AllowedSigners, now time.Time) (string, error) {
	e, err := dearmor(armored)
	if err != nil {
		return "", fmt.Errorf("read signature: %w", err)
	}
	if e.Namespace != namespace {
		return "", fmt.Errorf("the signature was made for %q, not for %q", e.Namespace, namespace)
	}
	key, err := e.signedBy(message)
	if err != nil {
		return "", err
	}
	return allowed.find(key, namespace, now)
}

// signedBy returns the key that signed message.
func (e envelope) signedBy(message []byte) (ssh.PublicKey, error) {
	key, err := ssh.ParsePublicKey(e.Key)
	if err != nil {
		return nil, fmt.Errorf("read key of signature: %w", err)
	}
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("read key of signature: %w", err)
	}
	var sig ssh.Signature
	if err := ssh.Unmarshal(e.Signature, &sig); err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	data, err := digest(e.Namespace, e.Hash, message)
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	return key, checkSignature(key, data, &sig)
}

// checkSignature holds a signature against the key and what it should have signed.
func checkSignature(key ssh.PublicKey, data []byte, sig *ssh.Signature) error {
	if err := checkAlgorithm(key, sig); err != nil {
		return err
	}
	if len(sig.Rest) > 0 && key.Type() != ssh.KeyAlgoSKED25519 && key.Type() != ssh.KeyAlgoSKECDSA256 {
		return errors.New("the signature has something behind its end")
	}
	if err := key.Verify(data, sig); err != nil {
		return fmt.Errorf("the signature of %s is not one of these bytes: they or it changed since (%w)", ssh.FingerprintSHA256(key), err)
	}
	return nil
}
