package index

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// Trust makes c accept the certificates of a test's server.
func (c *Client) Trust(pool *x509.CertPool) {
	c.client().Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
}
