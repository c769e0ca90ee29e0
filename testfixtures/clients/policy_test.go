package clients

// policy is what somebody with an authority of the company's own writes.
const policy = `env = {
  SSL_CERT_FILE       = "/company/ca.pem" # OpenSSL: curl, Python, Go
  REQUESTS_CA_BUNDLE  = "/company/ca.pem" # requests, pip
  NODE_EXTRA_CA_CERTS = "/company/ca.pem"
  GIT_SSL_CAINFO      = "/company/ca.pem"
}
filesystem {
  workspace {
    source = "."
  }
  mount "/company" {
    source = %q
  }
}
network {
  egress "web" {
    domains = ["web.example", "both.example", "six.example", "other.example", "git.example", "pypi.example"]
    ports   = [80, 443]
  }
  egress "database" {
    domains  = ["db.example"]
    ports    = [5432]
    protocol = "tcp"
  }
  egress "shell" {
    domains  = ["ssh.example"]
    ports    = [22]
    protocol = "tcp"
  }
  egress "checked" {
    domains = ["checked-db.example", "checked-ssh.example"]
    ports   = [22, 5432]
  }
%s
  dns {
    servers = ["9.9.9.9"]
  }
}
`

// cutRule is what goes while connections are open.
const cutRule = `
  egress "cut" {
    domains = ["cut.example"]
    ports   = [443]
  }
  egress "cut-tcp" {
    domains  = ["cut-db.example", "cut-ssh.example"]
    ports    = [22, 5432]
    protocol = "tcp"
  }
`
