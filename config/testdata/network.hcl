network {
  egress "none" {
    ports = [443]
  }

  egress "both" {
    domains = ["example.com"]
    cidrs   = ["10.0.0.0/8"]
    ports   = [443]
  }

  egress "empty" {
    domains = []
    ports   = []
    during  = []
  }

  egress "names" {
    domains = ["Example.COM.", "192.0.2.1", "*.com", "a.*.com", "https://x.org", "x.org:443", "bücher.example", "", "localhost", "a..b", "[::1]"]
    ports   = [443]
  }

  egress "blocks" {
    cidrs = ["10.20.0.5/16", "10.20.0.5", "::ffff:10.0.0.0/104", "x", "fe80::1%eth0"]
    ports = [443]
  }

  egress "datagrams" {
    domains  = ["example.com"]
    ports    = [53]
    protocol = "udp"
  }

  egress "words" {
    domains  = ["example.com"]
    ports    = [0]
    protocol = "sctp"
    during   = ["aply"]
  }

  egress "over" {
    domains = ["example.com"]
    ports   = [443]
    expires = "2026-01-01"
  }

  egress "soon" {
    domains = ["example.com"]
    ports   = [443]
    expires = "2026-11-10"
  }

  egress "never" {
    domains = ["example.com"]
    ports   = [443]
    expires = "31.12.2027"
  }

  egress "own" {
    cidrs = ["10.0.0.0/8", "127.0.0.1"]
    ports = [5432]
  }

  egress "index" {
    cidrs  = ["127.0.0.1"]
    ports  = [3141]
    during = ["apply"]
  }

  ingress "web" {
    port = 8000
  }

  ingress "other" {
    port    = 8080
    publish = "0.0.0.0:8000"
  }

  ingress "port" {
    port    = 8001
    publish = "8080"
  }

  ingress "privileged" {
    port = 80
  }

  dns {
    servers = ["dns.google", "192.0.2.53"]
  }
}
